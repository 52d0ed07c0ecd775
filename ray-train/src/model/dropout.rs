//! Dropout that draws from a rank's own generator.

use burn::nn::Dropout;
use burn::tensor::{Tensor, TensorData};

/// The forward pass of burn's [`Dropout`] with a generator of the caller's.
///
/// `Dropout::forward` draws from the one generator that burn has for the whole process: several ranks draw from it in another
/// order each time, and no checkpoint has its state. With [`ctx.rng()`](crate::TrainContext::rng), a run repeats with the same
/// bits, with any number of workers, and goes on with the same bits after it was cut off.
///
/// ```
/// use ray_train::burn::{nn::DropoutConfig, tensor::Tensor};
/// use ray_train::model::DropoutExt;
/// # use ray_train::{RunConfig, TrainContext, Trainer};
///
/// let train = |ctx: &TrainContext| {
///     let x = Tensor::<2>::ones([4, 8], &ctx.device().burn().autodiff());
///     let y = DropoutConfig::new(0.5).init().forward_with(x, &mut ctx.rng());
///     assert!(y.into_data().as_slice::<f32>().unwrap().iter().all(|number| [0.0, 2.0].contains(number)));
///     Ok(())
/// };
/// Trainer::new(train).run_config(RunConfig::temporary("doc-dropout")?).fit()?;
/// # Ok::<(), ray::Error>(())
/// ```
pub trait DropoutExt {
    /// Sets each number to zero with the layer's probability, and scales the others so that the mean stays. As in burn's own
    /// forward pass, nothing happens where no gradients are wanted, and where the layer is frozen; nothing is drawn then.
    ///
    /// The mask is made on the CPU, and copied to the tensor's device.
    ///
    /// ```
    /// use ray_train::burn::{nn::DropoutConfig, tensor::Tensor};
    /// use ray_train::model::DropoutExt;
    ///
    /// let x = Tensor::<1>::ones([8], &ray_train::Device::Cpu.burn()); // no autodiff
    /// let y = DropoutConfig::new(0.5).init().forward_with(x, &mut fastrand::Rng::with_seed(1));
    /// assert_eq!(y.into_data().as_slice::<f32>().unwrap(), [1.0; 8]);
    /// ```
    fn forward_with<const D: usize>(&self, input: Tensor<D>, generator: &mut fastrand::Rng) -> Tensor<D>;
}

impl DropoutExt for Dropout {
    fn forward_with<const D: usize>(&self, input: Tensor<D>, generator: &mut fastrand::Rng) -> Tensor<D> {
        let device = input.device();
        if !self.training.is_enabled() || !device.is_autodiff() || self.prob == 0.0 {
            return input;
        }
        let keep = 1.0 - self.prob;
        let (scale, below) = ((1.0 / keep) as f32, (keep * (1u64 << 32) as f64) as u64);
        let shape = input.dims();
        let mut draw = || if u64::from(generator.u32(..)) < below { scale } else { 0.0 };
        let mask: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
        input * Tensor::from_data(TensorData::new(mask, shape), &device)
    }
}
