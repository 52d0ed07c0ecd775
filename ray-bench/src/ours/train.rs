//! The contender of this project in the case `train`: the article's network in a [`Trainer`], in a process of its own.

use std::time::Instant;

use ray::Config;
use ray_networks::{ARTICLE, Network};
use ray_train::{
    RunConfig, ScalingConfig, TrainContext, Trainer,
    data::{DataLoader, Images},
    model::{Model, Optimizer, Sgd, StateDict},
};

use crate::{
    child,
    measure::cores,
    workload::train::{BATCH, Epoch, LEARNING_RATE, images, network},
};

/// Trains an epoch with `workers` workers for each request of the bench.
pub(crate) fn serve<N: Network>(workers: usize) -> ray::Result<()> {
    ray::init_with(Config::new().num_cpus(cores().max(workers)).tips(false))?;
    let (images, weights) = (images()?, network().state_dict());
    Trainer::new(move |ctx: &TrainContext| epochs::<N>(ctx, &images, &weights))
        .scaling(ScalingConfig::workers(workers).use_gpu(false))
        .run_config(RunConfig::temporary("bench")?)
        .fit()?;
    Ok(())
}

/// Runs the epochs of one rank. The clock is that of rank 0, which waits for the other ranks at the end of an epoch.
fn epochs<N: Network>(ctx: &TrainContext, images: &Images, weights: &StateDict) -> ray::Result<()> {
    let loader = ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(BATCH));
    let mut model = N::prepare(ctx, &ARTICLE)?;
    let mut optimizer = Sgd::new(LEARNING_RATE);
    let mut first = None;
    loop {
        model.load_state_dict(weights)?;
        // Rank 0 waits for a request of the bench, and the other ranks wait for rank 0.
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
