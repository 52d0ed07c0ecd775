//! The GPUs that Vulkan finds.

use std::env;
use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, WgpuInitError};
use burn::tensor::{Device, DeviceKind, DeviceType};

use crate::faults::failed;

/// burn's own variable: which device is its default one.
const CHOSEN: &str = "CUBECL_WGPU_DEFAULT_DEVICE";

/// One of the machine's GPUs.
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

    #[cfg_attr(feature = "cuda", expect(dead_code, reason = "`use_gpu` takes CUDA's then"))]
    /// Opens it, if it is not open yet: burn does so at the first use, but panics where it cannot.
    pub(super) fn open(&self) -> ray::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !*open {
            match Device::wgpu_options().device_kind(self.kind.clone()).graphics_api(WgpuBackend::Vulkan).init() {
                // It is registered: somebody has used it before.
                Ok(_) | Err(WgpuInitError::Registration { .. }) => *open = true,
                Err(error) => {
                    let chosen = env::var(CHOSEN).map(|chosen| format!(" ({CHOSEN} is `{chosen}`)")).unwrap_or_default();
                    return Err(failed(format!("the GPU cannot be opened by Vulkan: {error}{chosen}")));
                }
            }
        }
        Ok(())
    }
}

/// The GPUs of this machine, those of the best kind that it has; the numbers in [`Device::Vulkan`](super::Device::Vulkan) are
/// places in this list. It is made once: to ask takes a while, and what numbers mean must not change.
pub(super) fn gpus() -> &'static [Gpu] {
    static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
    GPUS.get_or_init(|| {
        if env::var_os(CHOSEN).is_some() {
            return vec![Gpu::new(DeviceKind::DefaultDevice)];
        }
        let there = Device::enumerate(DeviceType::Vulkan).into_vec();
        let kinds: [fn(usize) -> DeviceKind; 3] = [DeviceKind::DiscreteGpu, DeviceKind::IntegratedGpu, DeviceKind::VirtualGpu];
        let of_kind = |kind: fn(usize) -> DeviceKind| -> Vec<Gpu> {
            (0..).map(kind).map(Gpu::new).take_while(|gpu| there.contains(&gpu.device())).collect()
        };
        kinds.into_iter().map(of_kind).find(|found| !found.is_empty()).unwrap_or_default()
    })
}
