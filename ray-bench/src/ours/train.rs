//! Ours trains: the article's network in a [`Trainer`], in a process that does nothing else.

use std::time::Instant;

use ray::Config;
use ray_train::{
    RunConfig, ScalingConfig, TrainContext, Trainer,
    burn::{
        self,
        module::Module,
        nn::{Linear, LinearConfig, loss::CrossEntropyLoss},
        tensor::{Device, Tensor, activation::relu},
    },
    data::{DataLoader, ImageBatch, Images},
    model::{BurnModel, Mlp, Model, Optimizer, Sgd, StateDict},
};

use crate::{
    child,
    measure::cores,
    workload::train::{BATCH, Epoch, LEARNING_RATE, images, network},
};

/// What the loop needs of a network beside parameters and gradients.
pub(crate) trait Network: Model + Sized + 'static {
    /// This rank's replica.
    fn prepare(ctx: &TrainContext) -> ray::Result<Self>;
    /// One forward and one backward pass; the loss.
    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32>;
}

impl Network for Mlp {
    fn prepare(ctx: &TrainContext) -> ray::Result<Self> {
        ctx.prepare_model(|| Ok(network()))
    }

    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32> {
        Mlp::train(self, batch.pixels(), batch.labels())
    }
}

/// The network as a module of burn.
pub(crate) type Burned = BurnModel<Net>;

#[derive(Module, Debug)]
pub(crate) struct Net {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl Net {
    fn new(device: &Device) -> Net {
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        Net { fc1: linear(784, 512), fc2: linear(512, 512), fc3: linear(512, 10) }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.fc1.forward(images));
        let hidden = relu(self.fc2.forward(hidden));
        self.fc3.forward(hidden)
    }
}

impl Network for Burned {
    fn prepare(ctx: &TrainContext) -> ray::Result<Self> {
        ctx.prepare_module(Net::new)
    }

    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32> {
        let device = self.devices().remove(0);
        let (images, labels) = batch.tensors(&device);
        let loss = CrossEntropyLoss::new(None, &device).forward(self.forward(images), labels);
        self.backward(loss)
    }
}

/// Trains an epoch with so many workers whenever it is asked to.
pub(crate) fn serve<N: Network>(workers: usize) -> ray::Result<()> {
    ray::init_with(Config::new().num_cpus(cores().max(workers)).tips(false))?;
    let (images, weights) = (images()?, network().state_dict());
    Trainer::new(move |ctx: &TrainContext| epochs::<N>(ctx, &images, &weights))
        .scaling(ScalingConfig::workers(workers).use_gpu(false))
        .run_config(RunConfig::temporary("bench")?)
        .fit()?;
    Ok(())
}

/// One rank's epochs. The clock is that of rank 0, which waits for the others in the end.
fn epochs<N: Network>(ctx: &TrainContext, images: &Images, weights: &StateDict) -> ray::Result<()> {
    let loader = ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(BATCH));
    let mut model = N::prepare(ctx)?;
    let mut optimizer = Sgd::new(LEARNING_RATE);
    let mut first = None;
    loop {
        model.load_state_dict(weights)?;
        // The others wait for rank 0, which waits to be asked.
        let mut asked = [u8::from(ctx.world_rank() == 0 && child::asked())];
        ctx.collective().broadcast(&mut asked, 0)?;
        if asked == [0] {
            return Ok(());
        }
        let begin = Instant::now();
        let mut epoch = Epoch::default();
        for batch in loader.epoch(0) {
            epoch.step(model.train(&mut *batch?)?);
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;
        }
        ctx.barrier()?;
        if ctx.world_rank() == 0 {
            epoch.answer(&mut first, begin.elapsed(), None);
        }
    }
}
