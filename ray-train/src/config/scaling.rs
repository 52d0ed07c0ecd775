//! The configuration of workers: their number, and the resources of each.

use std::time::Duration;

use crate::error::failed;

/// The default of [`ScalingConfig::wait_for_resources`].
const DEFAULT_ADMISSION_TIMEOUT: Duration = Duration::from_secs(60);

/// The number of workers that train together, and the resources that each of them holds while the group lives; by default one CPU.
///
/// Either all workers get their resources, or none does. If the node has too few resources, `fit` fails at once; if too few are free,
/// it waits ([`wait_for_resources`](Self::wait_for_resources)).
///
/// ```
/// use ray_train::ScalingConfig;
///
/// let four = ScalingConfig::workers(4).use_gpu(false);
/// let wide = ScalingConfig::workers(2).cpus_per_worker(8.0);
/// let some = ScalingConfig::elastic(2, 4);
/// let here = ScalingConfig::in_place();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ScalingConfig {
    size: GroupSize,
    use_gpu: bool,
    cpus: f64,
    gpus: Option<f64>,
    memory: u64,
    custom: Vec<(String, f64)>,
    admission_timeout: Duration,
}

/// The number of workers, or none if the loop runs on the thread of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupSize {
    InPlace,
    Workers { min: usize, max: usize },
}

/// The resources of one worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkerResources {
    pub(crate) cpus: f64,
    pub(crate) gpus: f64,
    pub(crate) memory: u64,
    pub(crate) custom: Vec<(String, f64)>,
}

impl WorkerResources {
    /// The amounts above zero, by the names that the engine uses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        let known = [("CPU", self.cpus), ("GPU", self.gpus), ("memory", self.memory as f64)];
        let custom = self.custom.iter().map(|(name, amount)| (name.as_str(), *amount));
        known.into_iter().chain(custom).filter(|(_, amount)| *amount > 0.0)
    }

    /// The number of threads that a worker may use: its CPUs, rounded up.
    pub(crate) fn threads(&self) -> usize {
        (self.cpus.ceil() as usize).max(1)
    }
}

impl ScalingConfig {
    fn with_size(size: GroupSize) -> ScalingConfig {
        ScalingConfig {
            size,
            use_gpu: false,
            cpus: 1.0,
            gpus: None,
            memory: 0,
            custom: Vec::new(),
            admission_timeout: DEFAULT_ADMISSION_TIMEOUT,
        }
    }

    /// A fixed number of workers. With 0 `fit` fails; [`in_place`](Self::in_place) does what Ray does with 0.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(4);
    /// ```
    pub fn workers(workers: usize) -> ScalingConfig {
        ScalingConfig::with_size(GroupSize::Workers { min: workers, max: workers })
    }

    /// As many workers as the resources allow, from `min` to `max`. The number is determined at the start and at each restart. Fewer
    /// than `min` is an error, as for [`workers`](Self::workers).
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::elastic(2, 4);
    /// ```
    pub fn elastic(min: usize, max: usize) -> ScalingConfig {
        ScalingConfig::with_size(GroupSize::Workers { min, max })
    }

    /// No workers: the loop runs on the thread that calls `fit`, as the only rank. It is for debugging and for small programs.
    ///
    /// The loop holds no resources, so the settings for each worker's resources have no effect. The loop uses the threads of the
    /// calling thread's rayon pool; outside of a pool that is rayon's global pool.
    ///
    /// ```
    /// # use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};
    /// let here = std::thread::current().id();
    /// let trainer = Trainer::new(move |_: &TrainContext| Ok(std::thread::current().id() == here))
    ///     .scaling(ScalingConfig::in_place())
    ///     .run_config(RunConfig::temporary("doc-in-place")?);
    /// assert!(trainer.fit()?.into_value());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn in_place() -> ScalingConfig {
        ScalingConfig::with_size(GroupSize::InPlace)
    }

    /// Whether each worker trains on a GPU. It then holds one GPU, unless [`gpus_per_worker`](Self::gpus_per_worker) sets another
    /// amount. `fit` fails if this build has no GPU backend, or if the machine has too few GPUs.
    ///
    /// GPUs are a logical resource: the engine has as many as its configuration says,
    /// `Config::new().num_gpus(`[`Device::gpus`](crate::Device::gpus)`())`. Rank 0 gets GPU 0, rank 1 gets the next one, and so on. Two
    /// runs at the same time both begin with GPU 0.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(4).use_gpu(false);
    /// ```
    pub fn use_gpu(mut self, gpu: bool) -> ScalingConfig {
        self.use_gpu = gpu;
        self
    }

    /// The CPUs of each worker; by default 1. A worker computes with as many threads as it has CPUs, rounded up.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(2).cpus_per_worker(4.0);
    /// ```
    pub fn cpus_per_worker(mut self, amount: f64) -> ScalingConfig {
        self.cpus = amount;
        self
    }

    /// The GPUs of each worker; by default 1 with [`use_gpu`](Self::use_gpu). With 0.5, ranks 0 and 1 share the first GPU. With several
    /// GPUs the model of a rank is on the first of them. With 0, all ranks share GPU 0, and the engine counts no GPU.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(2).use_gpu(true).gpus_per_worker(0.5);
    /// ```
    pub fn gpus_per_worker(mut self, amount: f64) -> ScalingConfig {
        self.gpus = Some(amount);
        self
    }

    /// The memory of each worker in bytes. It is a logical resource: the engine does not measure the memory in use.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(2).memory_per_worker(1 << 30);
    /// ```
    pub fn memory_per_worker(mut self, bytes: u64) -> ScalingConfig {
        self.memory = bytes;
        self
    }

    /// A custom resource of each worker.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(2).resource_per_worker("licence", 1.0);
    /// ```
    pub fn resource_per_worker(mut self, name: impl Into<String>, amount: f64) -> ScalingConfig {
        self.custom.push((name.into(), amount));
        self
    }

    /// The time that a group waits for resources that others hold; by default 60 s. Then `fit` fails, and the error names the holders.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let scaling = ray_train::ScalingConfig::workers(2).wait_for_resources(Duration::from_secs(5));
    /// ```
    pub fn wait_for_resources(mut self, timeout: Duration) -> ScalingConfig {
        self.admission_timeout = timeout;
        self
    }

    /// # Errors
    /// The numbers of workers are out of range.
    pub(crate) fn group_size(&self) -> ray::Result<GroupSize> {
        match self.size {
            GroupSize::Workers { min: 0, max: 0 } => Err(failed(
                "the ScalingConfig has 0 workers, and a group has 1 or more: use ScalingConfig::in_place() to run the loop on the calling thread, as 0 does in Ray",
            )),
            GroupSize::Workers { min, max } if min == 0 || max < min => Err(failed(format!(
                "ScalingConfig::elastic({min}, {max}): the minimum must be at least 1, and at most the maximum"
            ))),
            size => Ok(size),
        }
    }

    /// The number of the GPU that a rank uses, if it uses one. Each GPU has as many ranks as their amounts allow.
    pub(crate) fn gpu_of(&self, rank: usize) -> Option<usize> {
        // Amounts of resources are multiples of a ten-thousandth.
        const ONE: usize = 10_000;
        let amount = (self.worker_resources().gpus * ONE as f64).round() as usize;
        let gpu = if amount > ONE { rank.saturating_mul(amount / ONE) } else { rank / (ONE / amount.max(1)) };
        self.use_gpu.then_some(gpu)
    }

    pub(crate) fn admission_timeout(&self) -> Duration {
        self.admission_timeout
    }

    pub(crate) fn worker_resources(&self) -> WorkerResources {
        let gpus = self.gpus.unwrap_or(if self.use_gpu { 1.0 } else { 0.0 });
        WorkerResources { cpus: self.cpus, gpus, memory: self.memory, custom: self.custom.clone() }
    }
}

impl Default for ScalingConfig {
    /// One worker.
    fn default() -> ScalingConfig {
        ScalingConfig::workers(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_a_gpu_as_far_as_their_amounts_allow() {
        let gpus = |amount| {
            let scaling = ScalingConfig::workers(5).use_gpu(true).gpus_per_worker(amount);
            (0..5).map(|rank| scaling.gpu_of(rank).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(gpus(1.0), [0, 1, 2, 3, 4]);
        assert_eq!(gpus(2.0), [0, 2, 4, 6, 8]);
        assert_eq!(gpus(0.5), [0, 0, 1, 1, 2]);
        assert_eq!(gpus(0.3), [0, 0, 0, 1, 1], "a tenth of each GPU is unused");
        assert_eq!(gpus(1.0 / 3.0), [0, 0, 0, 1, 1]);
        assert_eq!(gpus(0.7), [0, 1, 2, 3, 4]);
        assert_eq!(gpus(0.0), [0; 5]);
        assert_eq!(ScalingConfig::workers(5).use_gpu(true).gpu_of(1), Some(1));
        assert_eq!(ScalingConfig::workers(5).gpus_per_worker(1.0).gpu_of(1), None);
    }
}
