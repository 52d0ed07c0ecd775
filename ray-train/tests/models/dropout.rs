//! Dropout with the generators of the ranks: a repeated run and a resumed run end with the same bits.

use ray_train::burn::{
    self,
    module::Module,
    nn::{Dropout, DropoutConfig, Linear, LinearConfig, loss::CrossEntropyLoss},
    tensor::{Device, Tensor, activation::relu},
};
use ray_train::data::{DataLoader, FashionMnist};
use ray_train::model::{DropoutExt, Model, Optimizer, Sgd, StateDict};
use ray_train::{Metrics, RunConfig, ScalingConfig, TrainContext, Trainer};

use crate::network::engine;

const STEPS: usize = 8;
/// The step of the checkpoint.
const SAVED: usize = 3;
/// The step at which the run is interrupted. Two steps are lost.
const CUT: usize = 5;

#[derive(Module, Debug)]
struct Net {
    fc1: Linear,
    drop: Dropout,
    fc2: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        Net { fc1: linear(784, 32), drop: DropoutConfig::new(0.3).init(), fc2: linear(32, 10) }
    }

    fn forward(&self, images: Tensor<2>, ctx: &TrainContext) -> Tensor<2> {
        self.fc2.forward(self.drop.forward_with(relu(self.fc1.forward(images)), &mut ctx.rng()))
    }
}

/// Trains two workers, and interrupts the run once if `cut_off` is set. Returns the final parameters.
fn trained(name: &str, cut_off: bool) -> StateDict {
    engine();
    let images = FashionMnist::synthetic(2 * 16 * STEPS, 10, 2).train;
    let train = move |ctx: &TrainContext| {
        let loader = ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(16));
        let mut model = ctx.prepare_module(Net::new)?;
        let mut optimizer = Sgd::new(0.1);
        let mut done = 0;
        if let Some(checkpoint) = ctx.checkpoint() {
            model.load_state_dict(&StateDict::load(checkpoint.path().join("model.safetensors"))?)?;
            done = SAVED;
        }
        let device = ctx.device().burn().autodiff();
        for batch in loader.epoch(0).skip(done) {
            assert!(!(cut_off && done == CUT && ctx.attempt() == 0 && ctx.world_rank() == 1), "cut off");
            let mut batch = batch?;
            let (images, labels) = batch.tensors(&device);
            let loss = CrossEntropyLoss::new(None, &device).forward(model.forward(images, ctx), labels);
            let loss = model.backward(loss)?;
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;
            done += 1;
            let mut checkpoint = None;
            if done == SAVED && ctx.world_rank() == 0 {
                let new = ctx.new_checkpoint()?;
                model.state_dict().save(new.path().join("model.safetensors"))?;
                checkpoint = Some(new);
            }
            ctx.report(Metrics::new().with("loss", loss), checkpoint)?;
        }
        Ok(model.state_dict())
    };
    let run = RunConfig::temporary(name).unwrap().max_failures(1);
    let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
    assert_eq!(result.history().len(), STEPS);
    result.into_value()
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let whole = trained("whole", false);
    assert_eq!(trained("again", false), whole, "a run repeats");
    assert_eq!(trained("cut-off", true), whole, "a run is resumed");
}

/// The right share of values is zero, the others are scaled, and generators with the same state give the same mask.
#[test]
fn values_are_dropped_and_scaled() {
    let device = ray_train::Device::Cpu.burn().autodiff();
    let layer = DropoutConfig::new(0.25).init();
    let drop = |seed| {
        let y = layer.forward_with(Tensor::<2>::ones([100, 100], &device), &mut fastrand::Rng::with_seed(seed));
        y.into_data().try_to_vec::<f32>().unwrap()
    };
    let numbers = drop(7);
    let zeros = numbers.iter().filter(|number| **number == 0.0).count();
    assert!((2300..2700).contains(&zeros), "{zeros}");
    assert!(numbers.iter().all(|number| *number == 0.0 || *number == (1.0f64 / 0.75) as f32));
    assert_eq!(drop(7), numbers);
    assert!(drop(8) != numbers);
}

/// The gradient of a dropped value is zero, and the others are scaled.
#[test]
fn gradients_are_dropped_too() {
    let device = ray_train::Device::Cpu.burn().autodiff();
    let x = Tensor::<1>::ones([64], &device).require_grad();
    let y = DropoutConfig::new(0.5).init().forward_with(x.clone(), &mut fastrand::Rng::with_seed(1));
    let slopes = x.grad(&y.clone().sum().backward()).unwrap();
    assert_eq!(slopes.into_data().try_to_vec::<f32>().unwrap(), y.into_data().try_to_vec::<f32>().unwrap());
}

/// As in burn's own dropout, nothing is dropped or drawn without autodiff, in a frozen layer, or with a probability of zero.
#[test]
fn nothing_is_dropped_without_training() {
    let plain = ray_train::Device::Cpu.burn();
    let trained = plain.clone().autodiff();
    let half = || DropoutConfig::new(0.5).init();
    for (layer, device) in [(half(), &plain), (half().freeze(), &trained), (DropoutConfig::new(0.0).init(), &trained)] {
        let mut generator = fastrand::Rng::with_seed(3);
        let y = layer.forward_with(Tensor::<1>::ones([64], device), &mut generator);
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [1.0; 64]);
        assert_eq!(generator.get_seed(), 3);
    }
}
