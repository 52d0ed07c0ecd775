//! Dropout that draws from a generator of the caller.

use burn::nn::Dropout;
use burn::tensor::{Tensor, TensorData};

/// The forward pass of burn's [`Dropout`] with a generator of the caller.
///
/// `Dropout::forward` draws from burn's generator, which the whole process shares: the order in which several ranks draw from it
/// differs in each run, and no checkpoint has its state. With [`ctx.rng()`](crate::TrainContext::rng) a run of several workers repeats
/// with the same bits, also after it was interrupted and resumed.
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
    /// Sets each value to zero with the layer's probability, and scales the others so that the mean is unchanged. As in burn's own
    /// forward pass, the input is returned unchanged if the device has no autodiff or if the layer is frozen. It draws nothing then.
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
