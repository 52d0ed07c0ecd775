//! The GPUs that Vulkan finds.

use std::env;
use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, WgpuInitError};
use burn::tensor::{Device, DeviceKind, DeviceType};

use crate::error::failed;

/// burn's variable for its default device.
const DEFAULT_DEVICE_VARIABLE: &str = "CUBECL_WGPU_DEFAULT_DEVICE";

/// A GPU of the machine.
pub(super) struct Gpu {
    kind: DeviceKind,
    open: Mutex<bool>,
}

impl Gpu {
    fn new(kind: DeviceKind) -> Gpu {
        Gpu { kind, open: Mutex::new(false) }
    }

    pub(super) fn device(&self) -> Device {
        Device::vulkan(self.kind.clone())
    }

    #[cfg_attr(feature = "cuda", expect(dead_code, reason = "`use_gpu` uses CUDA then"))]
    /// Opens it, if it is not open yet. burn opens a device at its first use, but panics if it cannot.
    pub(super) fn open(&self) -> ray::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !*open {
            match Device::wgpu_options().device_kind(self.kind.clone()).graphics_api(WgpuBackend::Vulkan).init() {
                // A registered device is open: burn has used it before.
                Ok(_) | Err(WgpuInitError::Registration { .. }) => *open = true,
                Err(error) => {
                    let variable = env::var(DEFAULT_DEVICE_VARIABLE);
                    let variable = variable.map(|value| format!(" ({DEFAULT_DEVICE_VARIABLE} is `{value}`)")).unwrap_or_default();
                    return Err(failed(format!("Vulkan cannot open the GPU: {error}{variable}")));
                }
            }
        }
        Ok(())
    }
}

/// The GPUs of this machine, of the best kind that it has. The numbers in [`Device::Vulkan`](super::Device::Vulkan) are indices of
/// this list. The list is made once: the query is slow, and the meaning of a number must not change.
pub(super) fn gpus() -> &'static [Gpu] {
    static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
    GPUS.get_or_init(|| {
        if env::var_os(DEFAULT_DEVICE_VARIABLE).is_some() {
            return vec![Gpu::new(DeviceKind::DefaultDevice)];
        }
        let existing = Device::enumerate(DeviceType::Vulkan).into_vec();
        let kinds: [fn(usize) -> DeviceKind; 3] = [DeviceKind::DiscreteGpu, DeviceKind::IntegratedGpu, DeviceKind::VirtualGpu];
        let of_kind = |kind: fn(usize) -> DeviceKind| -> Vec<Gpu> {
            (0..).map(kind).map(Gpu::new).take_while(|gpu| existing.contains(&gpu.device())).collect()
        };
        kinds.into_iter().map(of_kind).find(|found| !found.is_empty()).unwrap_or_default()
    })
}
