//! A custom model and data set: a small network learns to classify points of three spirals, with Adam.
//!
//! ```text
//! cargo run --release -p ray-train --example train_spirals            # two workers
//! cargo run --release -p ray-train --example train_spirals -- 4       # four
//! ```

use ray_train::burn::{
    self,
    module::Module,
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, loss::CrossEntropyLoss},
    tensor::{Device, Int, Tensor, TensorData, activation::relu},
};
use ray_train::data::{DataLoader, Dataset};
use ray_train::model::{Adam, Model, Optimizer, StateDict};
use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};
use serde::Serialize;

const ARMS: usize = 3;
const EPOCHS: u64 = 30;

/// Points along spirals that wind around each other. A point is computed from its number, so nothing is stored.
struct Spirals(usize);

#[derive(Default)]
struct Points {
    places: Vec<f32>,
    arms: Vec<i64>,
}

impl Dataset for Spirals {
    type Batch = Points;

    fn len(&self) -> usize {
        self.0
    }

    fn fill(&self, items: &[usize], batch: &mut Points) -> ray::Result<()> {
        batch.places.clear();
        batch.arms.clear();
        for item in items {
            let (arm, along) = (item % ARMS, *item as f32 / self.0 as f32);
            let turn = along * 9.0 + arm as f32 * std::f32::consts::TAU / ARMS as f32;
            batch.places.extend([along * turn.cos(), along * turn.sin()]);
            batch.arms.push(arm as i64);
        }
        Ok(())
    }
}

impl Points {
    fn tensors(&self, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let count = self.arms.len();
        let places = TensorData::new(self.places.clone(), [count, 2]);
        (Tensor::from_data(places, device), Tensor::from_data(TensorData::new(self.arms.clone(), [count]), device))
    }
}

#[derive(Module, Debug)]
struct Net {
    fc1: Linear,
    fc2: Linear,
    norm: LayerNorm,
    fc3: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        let norm = LayerNormConfig::new(64).init(device);
        Net { fc1: linear(2, 64), fc2: linear(64, 64), norm, fc3: linear(64, ARMS) }
    }

    fn forward(&self, places: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.fc1.forward(places));
        let hidden = relu(self.norm.forward(self.fc2.forward(hidden)));
        self.fc3.forward(hidden)
    }
}

#[derive(Serialize)]
struct Epoch {
    epoch: u64,
    loss: f32,
}

/// Returns the accuracy on other points.
fn train_loop(ctx: &TrainContext) -> ray::Result<f64> {
    let device = ctx.device().burn().autodiff();
    let loader = ctx.prepare_data_loader(DataLoader::new(Spirals(1500)).batch_size(50).shuffle(true));
    let mut model = ctx.prepare_module(Net::new)?;
    let mut optimizer = Adam::new(0.005);
    let loss_function = CrossEntropyLoss::new(None, &device);

    let mut first = 0;
    if let Some(checkpoint) = ctx.checkpoint() {
        model.load_state_dict(&StateDict::load(checkpoint.path().join("model.safetensors"))?)?;
        let state = StateDict::load(checkpoint.path().join("optimizer.safetensors"))?;
        optimizer.load_state_dict(&state, &model)?;
        first = state.metadata("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0) + 1;
    }
    for epoch in loader.epochs(first..EPOCHS) {
        let (number, mut loss) = (epoch.number(), 0.0);
        for batch in epoch {
            let (places, arms) = batch?.tensors(&device);
            let prediction = model.forward(places);
            loss = model.backward(loss_function.forward(prediction, arms))?;
            ctx.allreduce_grads(&mut model)?;
            ctx.clip_grad_norm(&mut model, 5.0)?;
            optimizer.step(&mut model)?;
        }
        let mut checkpoint = None;
        if ctx.world_rank() == 0 {
            let files = ctx.new_checkpoint()?;
            model.state_dict().save(files.path().join("model.safetensors"))?;
            let mut state = optimizer.state_dict(&model);
            state.set_metadata("epoch", &number.to_string());
            state.save(files.path().join("optimizer.safetensors"))?;
            checkpoint = Some(files);
        }
        ctx.report(Epoch { epoch: number, loss }, checkpoint)?;
    }

    // Another number of points gives other points than those of training.
    let (mut right, test, model) = (0, Spirals(997), model.valid());
    for batch in DataLoader::new(test).batch_size(100).epoch(0) {
        let (places, arms) = batch?.tensors(&ctx.device().burn());
        let found = model.forward(places).argmax(1).squeeze_dim::<1>(1);
        right += found.equal(arms).int().sum().into_scalar::<i64>();
    }
    Ok(right as f64 / 997.0)
}

fn main() -> ray::Result<()> {
    let workers = std::env::args().nth(1).map_or(Ok(2), |workers| workers.parse()).map_err(ray::Error::other)?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    ray::init_with(ray::Config::new().num_cpus(cpus.max(workers)))?;

    let result = Trainer::new(train_loop)
        .scaling(ScalingConfig::workers(workers))
        .run_config(RunConfig::temporary("train_spirals")?)
        .fit()?;
    for report in result.history().iter().step_by(5) {
        let number = |name| report.metrics().number(name).unwrap_or(f64::NAN);
        println!("epoch {}: loss {:.4}", number("epoch"), number("loss"));
    }
    println!("{:.1} % of other points are classified correctly", result.value() * 100.0);
    assert!(*result.value() > 0.95, "the network has not learned: the accuracy is {}", result.value());
    Ok(())
}
