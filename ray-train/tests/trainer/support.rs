//! Shared by the tests: the engine, and a small model.

use std::path::Path;
use std::time::Duration;

use ray_train::{Checkpoint, RunConfig, TrainContext};
use serde::{Deserialize, Serialize};

use crate::process::{child, is_child, passes};

/// A timeout that does not expire in a test that passes, also on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Runs `body` in a child process. The test passes if the child process does.
pub(crate) fn in_child(name: &str, body: impl FnOnce()) {
    if is_child(name) {
        return body();
    }
    passes(&mut child(name));
}

/// Starts the engine that tests share. It has enough logical CPUs for all of them at once, on every machine.
pub(crate) fn engine() {
    ray::init_with(ray::Config::new().num_cpus(64).ignore_reinit_error(true)).unwrap();
}

/// A temporary run with limited waits.
pub(crate) fn run(name: &str) -> RunConfig {
    engine();
    RunConfig::temporary(name).unwrap().timeout(LONG).grace(LONG)
}

/// The progress of training.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub(crate) struct Progress {
    pub(crate) epoch: usize,
    pub(crate) step: usize,
}

/// A model of a few numbers with momentum. Each step moves them by the mean of random gradients of the ranks. A checkpoint stores its
/// whole state, bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Model {
    pub(crate) weights: Vec<f64>,
    pub(crate) momentum: Vec<f64>,
}

impl Model {
    pub(crate) fn new() -> Model {
        Model { weights: vec![0.0; 16], momentum: vec![0.0; 16] }
    }

    pub(crate) fn step(&mut self, ctx: &TrainContext) -> ray::Result<f64> {
        let mut gradient: Vec<f64> = self.weights.iter().map(|weight| weight * 0.1 + ctx.rng().f64() - 0.3).collect();
        ctx.collective().allreduce(&mut gradient, ray::collective::Mean)?;
        for ((weight, momentum), gradient) in self.weights.iter_mut().zip(&mut self.momentum).zip(&gradient) {
            *momentum = 0.9 * *momentum + gradient;
            *weight -= 0.05 * *momentum;
        }
        Ok(self.weights.iter().sum())
    }

    /// Saves the model of rank 0. The run itself saves the generators of all ranks.
    pub(crate) fn save(&self, ctx: &TrainContext, progress: Progress) -> ray::Result<Checkpoint> {
        let checkpoint = ctx.new_checkpoint()?;
        if ctx.world_rank() == 0 {
            let bytes: Vec<u8> = self.weights.iter().chain(&self.momentum).flat_map(|number| number.to_le_bytes()).collect();
            write(&checkpoint.path().join("model"), &bytes)?;
        }
        checkpoint.set_metadata(&progress)?;
        Ok(checkpoint)
    }

    pub(crate) fn load(checkpoint: &Checkpoint) -> ray::Result<Model> {
        let bytes = read(&checkpoint.path().join("model"))?;
        let numbers: Vec<f64> = bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
        let (weights, momentum) = numbers.split_at(numbers.len() / 2);
        Ok(Model { weights: weights.to_vec(), momentum: momentum.to_vec() })
    }

    /// Loads the model from the run's checkpoint, or makes a new one.
    pub(crate) fn resume(ctx: &TrainContext) -> ray::Result<(Model, Option<Progress>)> {
        let Some(checkpoint) = ctx.checkpoint() else { return Ok((Model::new(), None)) };
        Ok((Model::load(&checkpoint)?, Some(checkpoint.metadata()?)))
    }

    pub(crate) fn bits(&self) -> Vec<u64> {
        self.weights.iter().chain(&self.momentum).map(|number| number.to_bits()).collect()
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> ray::Result<()> {
    std::fs::write(path, bytes).map_err(ray::Error::other)
}

pub(crate) fn read(path: &Path) -> ray::Result<Vec<u8>> {
    std::fs::read(path).map_err(ray::Error::other)
}
