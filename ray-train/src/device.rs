//! The device of a rank: the CPUs, or a GPU.

#[cfg(feature = "vulkan")]
mod vulkan;

use crate::error::failed;

/// The device on which a rank's model computes: the CPUs, or a GPU.
///
/// [`ScalingConfig::use_gpu`](crate::ScalingConfig::use_gpu) chooses it. A loop that makes its models and tensors on `ctx.device()` has
/// the same code for both.
///
/// A GPU stores the parameters of a model, and runs its forward and backward passes. The CPUs average gradients, run the steps of
/// optimisers, and write files. So each step copies the gradients from the GPU, and the parameters from the GPU and back.
///
/// ```
/// use ray_train::Device;
/// assert_eq!(Device::for_rank(false, 3)?, Device::Cpu);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The CPUs, with as many threads as the rank has CPUs.
    Cpu,
    /// The CUDA device of this number (feature `cuda`).
    #[cfg(feature = "cuda")]
    Cuda(usize),
    /// The Vulkan GPU of this number (feature `vulkan`; if the feature `cuda` is enabled too, `use_gpu` uses CUDA).
    ///
    /// The numbers count discrete GPUs; without any, integrated GPUs; without any of these, virtual GPUs. If burn's variable
    /// `CUBECL_WGPU_DEFAULT_DEVICE` is set, only the device that it names is used: for instance `IntegratedGpu(0)` on a machine that
    /// also has a discrete one, or `Cpu`, a driver that computes on the CPUs, for tests.
    #[cfg(feature = "vulkan")]
    Vulkan(usize),
}

impl Device {
    /// The number of GPUs of this machine that [`use_gpu`](crate::ScalingConfig::use_gpu) can use. Pass it to the configuration of the
    /// engine. Without ray-train's features `cuda` and `vulkan` it is 0.
    ///
    /// ```
    /// # use ray_train::Device;
    /// ray::init_with(ray::Config::new().num_gpus(Device::gpus()))?;
    /// assert_eq!(ray::cluster_resources()?.get("GPU").map_or(0, |gpus| *gpus as usize), Device::gpus());
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn gpus() -> usize {
        #[cfg(feature = "cuda")]
        return burn::tensor::Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len();
        #[cfg(all(feature = "vulkan", not(feature = "cuda")))]
        return vulkan::gpus().len();
        #[cfg(not(any(feature = "cuda", feature = "vulkan")))]
        0
    }

    /// The device of a rank: the CPUs, or the GPU whose number is the rank's number on its node.
    ///
    /// # Errors
    /// The GPU does not exist or cannot be opened, or the program was built without ray-train's features `cuda` and `vulkan`.
    ///
    /// ```
    /// use ray_train::Device;
    /// assert!(Device::for_rank(true, Device::gpus()).is_err()); // GPUs are counted from 0
    /// ```
    pub fn for_rank(use_gpu: bool, local_rank: usize) -> ray::Result<Device> {
        if use_gpu { Device::gpu(local_rank) } else { Ok(Device::Cpu) }
    }

    #[cfg(not(any(feature = "cuda", feature = "vulkan")))]
    pub(crate) fn gpu(number: usize) -> ray::Result<Device> {
        Err(failed(format!(
            "GPU {number} cannot be used, because this program was built without a GPU feature of ray-train: build it with \
             `--features cuda` or `--features vulkan`, or remove `use_gpu(true)`"
        )))
    }

    /// The GPU of this number.
    ///
    /// # Errors
    /// It does not exist or cannot be opened.
    #[cfg(any(feature = "cuda", feature = "vulkan"))]
    pub(crate) fn gpu(number: usize) -> ray::Result<Device> {
        let (api, tool) = if cfg!(feature = "cuda") { ("CUDA", "nvidia-smi") } else { ("Vulkan", "vulkaninfo --summary") };
        match Device::gpus() {
            0 => Err(failed(format!(
                "GPU {number} cannot be used, because {api} finds no GPU on this machine: install the driver of the GPU (`{tool}` \
                 lists the GPUs that its drivers find), or remove `use_gpu(true)`"
            ))),
            gpus if number >= gpus => Err(failed(format!(
                "GPU {number}, counted from 0, cannot be used, because {api} finds {gpus} on this machine: use fewer workers, or \
                 let several share a GPU with `ScalingConfig::gpus_per_worker(0.5)`"
            ))),
            #[cfg(feature = "cuda")]
            _ => Ok(Device::Cuda(number)),
            #[cfg(not(feature = "cuda"))]
            _ => vulkan::gpus()[number].open().map(|()| Device::Vulkan(number)),
        }
    }

    /// The device in burn, without autodiff. For training add it with `.autodiff()`.
    ///
    /// # Panics
    /// If it is a `Device::Vulkan` whose number is not that of an existing GPU.
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
            Device::Vulkan(index) => match vulkan::gpus().get(index) {
                Some(gpu) => gpu.device(),
                None => panic!("{self:?} does not exist: its number must be below `Device::gpus()`"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(any(feature = "cuda", feature = "vulkan")))]
    #[test]
    fn a_gpu_without_the_feature_is_refused() {
        let error = Device::for_rank(true, 2).unwrap_err().to_string();
        assert!(error.contains("GPU 2") && error.contains("`--features cuda`"), "{error}");
    }

    #[cfg(any(feature = "cuda", feature = "vulkan"))]
    #[test]
    fn a_gpu_that_does_not_exist_is_refused() {
        let error = Device::for_rank(true, Device::gpus()).unwrap_err().to_string();
        assert!(error.contains(&format!("GPU {}", Device::gpus())) && error.contains("cannot be used"), "{error}");
    }
}
