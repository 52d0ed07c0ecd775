//! The sizes and weights of the networks of these tests, and a function to train them.

use std::sync::Once;

pub(crate) use ray_networks::Network;
#[cfg(feature = "burn")]
pub(crate) use ray_networks::{Burned, Net};
use ray_train::model::StateDict;
use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};

/// The sizes of the networks: the two layers `fc1` and `fc2`.
pub(crate) const SIZES: [usize; 3] = [784, 32, 10];

/// Starts the engine of all tests. It has enough logical CPUs for all of them at once, on every machine.
pub(crate) fn engine() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        ray::init_with(ray::Config::new().num_cpus(64)).unwrap();
    });
}

/// If this variable is set, all models of burn in these tests are on GPU 0, to test a backend.
const ON_GPU: &str = "RAY_TRAIN_TEST_GPU";

/// Runs a loop on this many workers in a new run, and returns the value of rank 0.
pub(crate) fn fit<R: Send + 'static>(
    name: &str,
    workers: usize,
    body: impl Fn(&TrainContext) -> ray::Result<R> + Send + Sync + 'static,
) -> ray::Result<R> {
    engine();
    // All ranks share the GPU, and the engine does not count it.
    let scaling = ScalingConfig::workers(workers).use_gpu(std::env::var_os(ON_GPU).is_some()).gpus_per_worker(0.0);
    Ok(Trainer::new(body).scaling(scaling).run_config(RunConfig::temporary(name)?).fit()?.into_value())
}

/// Weights from a generator of this test, by name.
pub(crate) fn weights() -> StateDict {
    let mut state = StateDict::new();
    let mut number = 0u32;
    let mut numbers = |count: usize, scale: f32| {
        let next = |_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((number >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
        };
        (0..count).map(next).collect::<Vec<f32>>()
    };
    for (layer, pair) in SIZES.windows(2).enumerate() {
        let [inputs, outputs] = [pair[0], pair[1]];
        let scale = 1.0 / (inputs as f32).sqrt();
        state.insert(&format!("fc{}.weight", layer + 1), &[outputs, inputs], numbers(outputs * inputs, scale));
        state.insert(&format!("fc{}.bias", layer + 1), &[outputs], numbers(outputs, scale));
    }
    state
}
