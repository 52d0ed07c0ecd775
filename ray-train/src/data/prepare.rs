//! The share of the data of one rank.

use super::dataset::Dataset;
use super::loader::DataLoader;
use crate::TrainContext;

impl TrainContext {
    /// Restricts the loader to this rank's share of its data set: every rank takes every W-th item of each epoch's order, and all
    /// ranks have the same number of steps (see [`Sampler`](crate::data::Sampler)). Shuffled orders use the run's seed, unless the
    /// loader has a seed of its own.
    ///
    /// ```
    /// # use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};
    /// use ray_train::data::{DataLoader, Images};
    /// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
    /// let images = Images::new(1, 1, vec![0; 5], vec![0, 1, 2, 3, 4])?;
    /// let train = move |ctx: &TrainContext| {
    ///     let loader = ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(3));
    ///     let mine = loader.epoch(0).next().unwrap()?.labels().to_vec();
    ///     assert_eq!(mine, [[0, 2, 4], [1, 3, 0]][ctx.world_rank()]);
    ///     Ok(())
    /// };
    /// Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(RunConfig::temporary("doc-loader")?).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn prepare_data_loader<D: Dataset>(&self, loader: DataLoader<D>) -> DataLoader<D> {
        loader.rank(self.world_rank(), self.world_size()).seed_or(self.seed())
    }
}
