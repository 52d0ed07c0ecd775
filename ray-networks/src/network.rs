//! The functions of a network in a training loop, and `Mlp` as such a network.

use ray_train::TrainContext;
use ray_train::data::ImageBatch;
use ray_train::model::{Mlp, Model};

/// The functions that a training loop needs in addition to [`Model`]. All implementations name the layers `fc1`, `fc2` and
/// so on, so each of them loads the weights of the others.
pub trait Network: Model + Sized + 'static {
    /// Makes this rank's replica of a network. The sizes are the number of inputs, the number of outputs of each hidden
    /// layer, and the number of classes.
    ///
    /// # Errors
    /// The ranks make different networks, or a rank is missing.
    fn prepare(ctx: &TrainContext, sizes: &[usize]) -> ray::Result<Self>;

    /// Runs a forward and a backward pass, and returns the loss.
    ///
    /// # Errors
    /// The batch does not fit the network.
    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32>;

    /// The number of images in a batch that it classifies correctly.
    ///
    /// # Errors
    /// The batch does not fit the network.
    fn correct(&mut self, batch: &mut ImageBatch) -> ray::Result<usize>;
}

impl Network for Mlp {
    fn prepare(ctx: &TrainContext, sizes: &[usize]) -> ray::Result<Self> {
        ctx.prepare_model(|| Ok(Mlp::new(sizes, ctx.seed())))
    }

    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32> {
        Mlp::train(self, batch.pixels(), batch.labels())
    }

    fn correct(&mut self, batch: &mut ImageBatch) -> ray::Result<usize> {
        Mlp::correct(self, batch.pixels(), batch.labels())
    }
}
