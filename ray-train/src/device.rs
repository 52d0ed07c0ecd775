//! Where a rank's model computes.

#[cfg(feature = "vulkan")]
mod vulkan;

use crate::faults::failed;

/// Where a rank's model computes: on the CPUs, or on a GPU.
///
/// [`ScalingConfig::use_gpu`](crate::ScalingConfig::use_gpu) chooses; a loop that makes its models and tensors on
/// `ctx.device()` reads the same for both.
///
/// On a GPU are a model's parameters, and its forward and backward passes. The averaging of gradients, the optimisers' steps
/// and the files are the CPUs' there too, so each step copies the gradients from the GPU and the parameters there and back.
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
    /// The GPU of this number, by Vulkan (feature `vulkan`; with `cuda` too, `use_gpu` takes that one).
    ///
    /// Discrete GPUs are counted; where there is none, integrated ones; where there is none either, virtual ones. If burn's
    /// variable `CUBECL_WGPU_DEFAULT_DEVICE` is set, the device that it names is the only one: `IntegratedGpu(0)` beside a
    /// discrete one, or `Cpu`, which is a driver that computes on the CPUs, for trying things out.
    #[cfg(feature = "vulkan")]
    Vulkan(usize),
}

impl Device {
    /// How many GPUs this machine has for [`use_gpu`](crate::ScalingConfig::use_gpu): what to tell an engine that is started by
    /// hand. Without ray-train's features `cuda` and `vulkan` it is 0, whatever the machine has.
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

    /// The device of a rank: the GPU whose number is the rank's on its node, or the CPUs.
    ///
    /// # Errors
    /// A GPU is asked for that is not there or cannot be opened, or in a program that was built without ray-train's features
    /// `cuda` and `vulkan`.
    ///
    /// ```
    /// use ray_train::Device;
    /// assert!(Device::for_rank(true, Device::gpus()).is_err()); // they are counted from 0
    /// ```
    pub fn for_rank(use_gpu: bool, local_rank: usize) -> ray::Result<Device> {
        if use_gpu { Device::gpu(local_rank) } else { Ok(Device::Cpu) }
    }

    #[cfg(not(any(feature = "cuda", feature = "vulkan")))]
    pub(crate) fn gpu(number: usize) -> ray::Result<Device> {
        Err(failed(format!(
            "GPU {number} is to be used, and this program was built without ray-train's feature for it: build it with \
             `--features cuda` or `--features vulkan`, or leave out `use_gpu(true)`"
        )))
    }

    /// The GPU of this number, if it is there.
    #[cfg(any(feature = "cuda", feature = "vulkan"))]
    pub(crate) fn gpu(number: usize) -> ray::Result<Device> {
        let (api, shows) = if cfg!(feature = "cuda") { ("CUDA", "nvidia-smi") } else { ("Vulkan", "vulkaninfo --summary") };
        match Device::gpus() {
            0 => Err(failed(format!(
                "GPU {number} is to be used, and {api} finds no GPU on this machine. `{shows}` shows what its drivers see: \
                 install the GPU's own driver, or leave out `use_gpu(true)`"
            ))),
            gpus if number >= gpus => Err(failed(format!(
                "GPU {number} is to be used, counted from 0, and {api} finds {gpus} on this machine: take fewer workers, or let \
                 several share a GPU with `ScalingConfig::gpus_per_worker(0.5)`"
            ))),
            #[cfg(feature = "cuda")]
            _ => Ok(Device::Cuda(number)),
            #[cfg(not(feature = "cuda"))]
            _ => vulkan::gpus()[number].open().map(|()| Device::Vulkan(number)),
        }
    }

    /// The device as burn names it, without autodiff: add it with `.autodiff()` for what is trained.
    ///
    /// # Panics
    /// On a `Device::Vulkan` that was made by hand and is not there.
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
                None => panic!("{self:?} is not there: `Device::gpus()` says how many there are"),
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
    fn a_gpu_that_is_not_there_is_refused() {
        let error = Device::for_rank(true, Device::gpus()).unwrap_err().to_string();
        assert!(error.contains(&format!("GPU {} is to be used", Device::gpus())), "{error}");
    }
}
