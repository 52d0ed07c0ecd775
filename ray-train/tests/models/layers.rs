//! Modules of burn: their names and layouts are those of torch, and their forward passes equal those of `Mlp`.

use ray_train::Device;
use ray_train::burn::{
    self,
    module::{Module, Param},
    nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, LinearLayout},
    tensor::{Int, Tensor, TensorData},
};
use ray_train::data::{DataLoader, FashionMnist};
use ray_train::model::{Adam, BurnModel, Mlp, Model, Optimizer, Sgd};

use crate::network::{Burned, Net, Network, SIZES, weights};

fn device() -> burn::tensor::Device {
    Device::Cpu.burn().autodiff()
}

#[test]
fn burn_and_mlp_read_each_others_files() {
    let mut by_burn: Burned = BurnModel::new(Net::new(&SIZES, &device())).unwrap();
    let mut by_hand = Mlp::new(&SIZES, 3);
    by_burn.load_state_dict(&by_hand.state_dict()).unwrap();
    assert_eq!(by_burn.state_dict(), by_hand.state_dict());
    let images = FashionMnist::synthetic(64, 10, 3).train;
    let (mut sgd, mut again) = (Adam::new(0.001), Adam::new(0.001));
    for batch in DataLoader::new(images).batch_size(16).epochs(0..3).flatten() {
        let mut batch = batch.unwrap();
        let loss = Network::train(&mut by_hand, &mut batch).unwrap();
        assert!((loss - Network::train(&mut by_burn, &mut batch).unwrap()).abs() < 1e-5);
        again.step(&mut by_hand).unwrap();
        sgd.step(&mut by_burn).unwrap();
    }
    // The state of the optimiser is exchangeable too: exp_avg is transposed like its weight.
    let state = sgd.state_dict(&by_burn);
    assert!(again.load_state_dict(&state, &by_hand).is_ok());
    let (a, b) = (state.get("fc1.weight.exp_avg").unwrap(), again.state_dict(&by_hand));
    assert_eq!(a, b.get("fc1.weight.exp_avg").unwrap());
}

#[derive(Module, Debug)]
struct Mixed {
    layers: Vec<Linear>,
    turned: Linear,
    norm: LayerNorm,
    batch: BatchNorm,
    drop: Dropout,
    free: Param<Tensor<2>>,
}

impl Mixed {
    fn new() -> Mixed {
        let device = device();
        let linear = LinearConfig::new(3, 2);
        Mixed {
            layers: vec![linear.init(&device), linear.clone().with_bias(false).init(&device)],
            turned: linear.with_layout(LinearLayout::Col).init(&device),
            norm: LayerNormConfig::new(2).init(&device),
            batch: BatchNormConfig::new(2).init(&device),
            drop: DropoutConfig::new(0.5).init(),
            free: Param::from_tensor(Tensor::zeros([3, 2], &device)),
        }
    }
}

#[test]
fn names_and_shapes_are_those_of_torch() {
    let model = BurnModel::new(Mixed::new()).unwrap();
    let found: Vec<(&str, &[usize], bool)> =
        model.parameters().iter().map(|parameter| (parameter.path(), parameter.shape(), parameter.is_trainable())).collect();
    let expected: [(&str, &[usize], bool); 12] = [
        ("layers.0.weight", &[2, 3], true),
        ("layers.0.bias", &[2], true),
        ("layers.1.weight", &[2, 3], true),
        ("turned.weight", &[2, 3], true),
        ("turned.bias", &[2], true),
        ("norm.weight", &[2], true),
        ("norm.bias", &[2], true),
        ("batch.weight", &[2], true),
        ("batch.bias", &[2], true),
        ("batch.running_mean", &[2], false),
        ("batch.running_var", &[2], false),
        ("free", &[3, 2], true),
    ];
    assert_eq!(found, expected);
}

/// In each layout, a 1 in row 0, column 2 of torch's matrix maps input 2 to output 0.
#[test]
fn every_layout_of_a_layer_is_supported() {
    for layout in [LinearLayout::Row, LinearLayout::Col] {
        let linear = LinearConfig::new(3, 2).with_bias(false).with_layout(layout).init(&device());
        let mut model = BurnModel::new(linear).unwrap();
        let mut state = model.state_dict();
        state.insert("weight", &[2, 3], vec![0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        model.load_state_dict(&state).unwrap();
        assert_eq!(model.state_dict(), state);
        let y = model.forward(Tensor::<2>::from_data([[5.0, 6.0, 7.0]], &device()));
        assert_eq!(y.into_data().as_slice::<f32>().unwrap(), [7.0, 0.0]);
        let y = model.forward(Tensor::<2>::from_data([[5.0, 6.0, 7.0]], &device())).sum();
        model.backward(y).unwrap();
        Sgd::new(1.0).step(&mut model).unwrap();
        assert_eq!(model.state_dict().get("weight").unwrap(), [-5.0, -6.0, -6.0, -5.0, -6.0, -7.0]);
    }
}

/// A step leaves untrainable parameters unchanged, and those on which the loss does not depend.
#[test]
fn a_step_changes_only_parameters_with_gradients() {
    let mut model = BurnModel::new(Mixed::new()).unwrap();
    let before = model.state_dict();
    let loss = model.layers[0].forward(Tensor::<2>::ones([1, 3], &device())).sum();
    model.backward(loss).unwrap();
    Sgd::new(1.0).step(&mut model).unwrap();
    let after = model.state_dict();
    let changed: Vec<&str> = before.names().filter(|name| before.get(name) != after.get(name)).collect();
    assert_eq!(changed, ["layers.0.bias", "layers.0.weight"]);
}

#[test]
fn a_running_mean_is_saved_and_restored() {
    let mut model = BurnModel::new(Mixed::new()).unwrap();
    let x = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device());
    let loss = model.batch.forward(x.reshape([2, 2, 1])).sum() + model.free.val().sum();
    model.backward(loss).unwrap();
    Sgd::new(0.1).step(&mut model).unwrap();
    let state = model.state_dict();
    assert!(state.get("batch.running_mean").unwrap().iter().all(|number| *number > 0.0));
    let mut other = BurnModel::new(Mixed::new()).unwrap();
    other.load_state_dict(&state).unwrap();
    assert_eq!(other.state_dict(), state);

    // A pending update of a running mean does not overwrite the loaded value.
    let _ = other.batch.forward(Tensor::<3>::ones([2, 2, 1], &device()) * 100.0);
    other.load_state_dict(&state).unwrap();
    assert_eq!(other.state_dict(), state);
}

#[derive(Module, Debug)]
struct Counted {
    linear: Linear,
    count: Param<Tensor<1, Int>>,
}

#[test]
fn untrainable_modules_are_refused() {
    let count = Param::initialized(burn::module::ParamId::new(), Tensor::<1, Int>::from_data(TensorData::from([1]), &device()));
    let counted = Counted { linear: LinearConfig::new(1, 1).init(&device()), count };
    let error = BurnModel::new(counted).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`count` is of integers"), "{error}");
    let mut model = BurnModel::new(LinearConfig::new(2, 1).init(&device())).unwrap();
    let error = model.backward(Tensor::<1>::ones([1], &device())).unwrap_err().to_string();
    assert!(error.contains("does not depend on the model"), "{error}");
    let frozen = BurnModel::new(LinearConfig::new(2, 1).init(&device()).no_grad());
    assert!(frozen.map(|_| ()).unwrap_err().to_string().contains("autodiff"));
}

/// A loss of NaN is returned, and makes the parameters NaN, as in torch.
#[test]
fn nan_propagates() {
    let mut model: Burned = BurnModel::new(Net::new(&SIZES, &device())).unwrap();
    let mut state = weights();
    state.insert("fc1.bias", &[32], vec![f32::NAN; 32]);
    model.load_state_dict(&state).unwrap();
    let images = FashionMnist::synthetic(4, 10, 3).train;
    let mut batch = DataLoader::new(images).batch_size(4).epoch(0).next().unwrap().unwrap();
    assert!(Network::train(&mut model, &mut batch).unwrap().is_nan());
    Sgd::new(0.1).step(&mut model).unwrap();
    assert!(model.state_dict().get("fc2.weight").unwrap()[0].is_nan());
}
