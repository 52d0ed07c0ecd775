//! Where a rank's model computes.

#[cfg(not(any(feature = "cuda", feature = "vulkan")))]
use crate::faults::failed;

/// Where a rank's model computes: on the CPUs, or on a GPU of its own.
///
/// [`ScalingConfig::use_gpu`](crate::ScalingConfig::use_gpu) chooses; a loop that makes its models and tensors on
/// `ctx.device()` reads the same for both.
///
/// ```
/// use ray_train::Device;
/// assert_eq!(Device::for_rank(false, 3)?, Device::Cpu);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The CPUs, as many threads as the rank has CPUs.
    Cpu,
    /// The CUDA device of this number (feature `cuda`).
    #[cfg(feature = "cuda")]
    Cuda(usize),
    /// The discrete GPU of this number, by Vulkan (feature `vulkan`; with `cuda` too, `use_gpu` takes that one).
    #[cfg(feature = "vulkan")]
    Vulkan(usize),
}

impl Device {
    /// The device of a rank: the GPU whose number is the rank's on its node, or the CPUs.
    ///
    /// # Errors
    /// A GPU is asked for in a program that was built without ray-train's features `cuda` and `vulkan`.
    ///
    /// ```
    /// let device = ray_train::Device::for_rank(true, 0);
    /// assert_eq!(device.is_ok(), cfg!(any(feature = "cuda", feature = "vulkan")));
    /// ```
    pub fn for_rank(use_gpu: bool, local_rank: usize) -> ray::Result<Device> {
        if !use_gpu {
            return Ok(Device::Cpu);
        }
        #[cfg(feature = "cuda")]
        return Ok(Device::Cuda(local_rank));
        #[cfg(all(feature = "vulkan", not(feature = "cuda")))]
        return Ok(Device::Vulkan(local_rank));
        #[cfg(not(any(feature = "cuda", feature = "vulkan")))]
        Err(failed(format!(
            "rank {local_rank} is to use a GPU, and this program was built without ray-train's feature for it: build it with \
             `--features cuda` or `--features vulkan`, or leave out `use_gpu(true)`"
        )))
    }

    /// The device as burn names it, without autodiff: add it with `.autodiff()` for what is trained.
    ///
    /// ```
    /// let device = ray_train::Device::Cpu.burn().autodiff();
    /// assert!(device.is_autodiff());
    /// ```
    #[cfg(feature = "burn")]
    pub fn burn(self) -> burn::tensor::Device {
        match self {
            Device::Cpu => burn::tensor::Device::flex(),
            #[cfg(feature = "cuda")]
            Device::Cuda(index) => burn::tensor::Device::cuda(index),
            #[cfg(feature = "vulkan")]
            Device::Vulkan(index) => burn::tensor::Device::vulkan(burn::tensor::DeviceKind::DiscreteGpu(index)),
        }
    }
}

#[cfg(all(test, not(any(feature = "cuda", feature = "vulkan"))))]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_without_the_feature_is_refused() {
        let error = Device::for_rank(true, 2).unwrap_err().to_string();
        assert!(error.contains("rank 2") && error.contains("`--features cuda`"), "{error}");
    }
}
