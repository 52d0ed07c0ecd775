//! How many workers, and what each of them holds.

use std::time::Duration;

use crate::faults::failed;

/// How long a group waits for what others hold, unless it is told otherwise.
const ADMISSION: Duration = Duration::from_secs(60);

/// How many workers train together, and what each of them holds for as long as the group lives: one CPU, unless it is told
/// otherwise.
///
/// All workers are admitted together or none is: more than the node has is an error at once, more than is free waits
/// ([`wait_for_resources`](Self::wait_for_resources)).
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
    group: Group,
    use_gpu: bool,
    cpus: f64,
    gpus: Option<f64>,
    memory: u64,
    custom: Vec<(String, f64)>,
    admission: Duration,
}

/// Where the loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    InPlace,
    Workers { least: usize, most: usize },
}

/// What one worker holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Share {
    pub(crate) cpus: f64,
    pub(crate) gpus: f64,
    pub(crate) memory: u64,
    pub(crate) custom: Vec<(String, f64)>,
}

impl Share {
    /// By name, as the engine counts what there is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        let known = [("CPU", self.cpus), ("GPU", self.gpus), ("memory", self.memory as f64)];
        let custom = self.custom.iter().map(|(name, amount)| (name.as_str(), *amount));
        known.into_iter().chain(custom).filter(|(_, amount)| *amount > 0.0)
    }

    /// The threads that a worker may use: its CPUs, rounded up.
    pub(crate) fn threads(&self) -> usize {
        (self.cpus.ceil() as usize).max(1)
    }
}

impl ScalingConfig {
    fn of(group: Group) -> ScalingConfig {
        ScalingConfig { group, use_gpu: false, cpus: 1.0, gpus: None, memory: 0, custom: Vec::new(), admission: ADMISSION }
    }

    /// So many workers. 0 is an error of `fit`; [`in_place`](Self::in_place) is what Ray means by it.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(4);
    /// ```
    pub fn workers(workers: usize) -> ScalingConfig {
        ScalingConfig::of(Group::Workers { least: workers, most: workers })
    }

    /// As many workers as can be had, at the start and at each restart, between these two numbers. What the node can never
    /// have counts as not to be had; fewer than `least` is as for [`workers`](Self::workers).
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::elastic(2, 4);
    /// ```
    pub fn elastic(least: usize, most: usize) -> ScalingConfig {
        ScalingConfig::of(Group::Workers { least, most })
    }

    /// No workers: the loop runs on the thread that calls `fit`, as the one rank of a group of one. For debuggers, and for
    /// programs that are small.
    ///
    /// No resources are held, so what is said of each worker's has no meaning here. The loop computes with the threads of the
    /// rayon pool that the calling thread is in: unless it is in one of its own, the common one, of a thread for each processor.
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
        ScalingConfig::of(Group::InPlace)
    }

    /// Whether each worker trains on a GPU, of which it then holds one unless
    /// [`gpus_per_worker`](Self::gpus_per_worker) says otherwise. Where this build has no GPU backend, or the machine too few
    /// GPUs, it is an error of `fit`.
    ///
    /// The engine counts GPUs as it counts everything: it has as many as it was told of, with
    /// `Config::new().num_gpus(`[`Device::gpus`](crate::Device::gpus)`())`. Rank 0 gets GPU 0, rank 1 the next one, and so on;
    /// of two runs at the same time both begin there.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(4).use_gpu(false);
    /// ```
    pub fn use_gpu(mut self, gpu: bool) -> ScalingConfig {
        self.use_gpu = gpu;
        self
    }

    /// CPUs of each worker, by default 1. A worker's computations use as many threads, rounded up.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(2).cpus_per_worker(4.0);
    /// ```
    pub fn cpus_per_worker(mut self, amount: f64) -> ScalingConfig {
        self.cpus = amount;
        self
    }

    /// GPUs of each worker, by default 1 with [`use_gpu`](Self::use_gpu). With half a GPU for each, ranks 0 and 1 share the first
    /// one; of several GPUs a rank's model is on the first. With 0, all ranks share GPU 0, and the engine counts none.
    ///
    /// ```
    /// let scaling = ray_train::ScalingConfig::workers(2).use_gpu(true).gpus_per_worker(0.5);
    /// ```
    pub fn gpus_per_worker(mut self, amount: f64) -> ScalingConfig {
        self.gpus = Some(amount);
        self
    }

    /// Memory of each worker in bytes; logical, as everywhere: nothing is measured.
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

    /// How long a group may wait for resources that others hold, by default 60 s; then `fit` fails and says who holds them.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let scaling = ray_train::ScalingConfig::workers(2).wait_for_resources(Duration::from_secs(5));
    /// ```
    pub fn wait_for_resources(mut self, longest: Duration) -> ScalingConfig {
        self.admission = longest;
        self
    }

    pub(crate) fn group(&self) -> ray::Result<Group> {
        match self.group {
            Group::Workers { least: 0, most: 0 } => Err(failed(
                "a group has 1 worker or more; ScalingConfig::in_place() runs the loop on the calling thread, as 0 does in Ray",
            )),
            Group::Workers { least, most } if least == 0 || most < least => {
                Err(failed(format!("ScalingConfig::elastic({least}, {most}): the first is 1 or more, and at most the second")))
            }
            group => Ok(group),
        }
    }

    /// The number of the GPU that a rank computes on, if it does: each has as many ranks as their shares of it allow.
    pub(crate) fn gpu_of(&self, rank: usize) -> Option<usize> {
        // Amounts are exact to a ten-thousandth.
        const ONE: usize = 10_000;
        let share = (self.share().gpus * ONE as f64).round() as usize;
        let gpu = if share > ONE { rank.saturating_mul(share / ONE) } else { rank / (ONE / share.max(1)) };
        self.use_gpu.then_some(gpu)
    }

    pub(crate) fn admission(&self) -> Duration {
        self.admission
    }

    pub(crate) fn share(&self) -> Share {
        let gpus = self.gpus.unwrap_or(if self.use_gpu { 1.0 } else { 0.0 });
        Share { cpus: self.cpus, gpus, memory: self.memory, custom: self.custom.clone() }
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
    fn ranks_share_a_gpu_as_far_as_it_goes() {
        let gpus = |amount| {
            let scaling = ScalingConfig::workers(5).use_gpu(true).gpus_per_worker(amount);
            (0..5).map(|rank| scaling.gpu_of(rank).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(gpus(1.0), [0, 1, 2, 3, 4]);
        assert_eq!(gpus(2.0), [0, 2, 4, 6, 8]);
        assert_eq!(gpus(0.5), [0, 0, 1, 1, 2]);
        assert_eq!(gpus(0.3), [0, 0, 0, 1, 1], "a tenth of each is left");
        assert_eq!(gpus(1.0 / 3.0), [0, 0, 0, 1, 1]);
        assert_eq!(gpus(0.7), [0, 1, 2, 3, 4]);
        assert_eq!(gpus(0.0), [0; 5]);
        assert_eq!(ScalingConfig::workers(5).use_gpu(true).gpu_of(1), Some(1));
        assert_eq!(ScalingConfig::workers(5).gpus_per_worker(1.0).gpu_of(1), None);
    }
}
