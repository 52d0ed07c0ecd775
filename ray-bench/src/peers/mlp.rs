//! The hand-written contender of the case `train`: the article's network on one thread, in a plain loop.

use std::time::Instant;

use ray_train::{
    data::DataLoader,
    model::{Model, Optimizer, Sgd},
};

use crate::{
    child,
    workload::train::{BATCH, Epoch, LEARNING_RATE, images, network},
};

/// Trains an epoch for each request of the bench.
pub(crate) fn serve() -> ray::Result<()> {
    let loader = DataLoader::new(images()?).batch_size(BATCH);
    let mut model = network();
    let weights = model.state_dict();
    let mut optimizer = Sgd::new(LEARNING_RATE);
    let mut first = None;
    while child::asked() {
        model.load_state_dict(&weights)?;
        let (begin, products) = (Instant::now(), model.time_in_products());
        let mut epoch = Epoch::default();
        for batch in loader.epoch(0) {
            let batch = batch?;
            epoch.step(model.train(batch.pixels(), batch.labels())?);
            optimizer.step(&mut model)?;
        }
        epoch.answer(&mut first, begin.elapsed(), Some(model.time_in_products() - products));
    }
    Ok(())
}
