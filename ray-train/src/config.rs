//! The configurations of a run: the run itself, its checkpoints, and its workers.

mod run;
mod scaling;

pub use run::{CheckpointConfig, Order, RunConfig};
pub use scaling::ScalingConfig;

pub(crate) use scaling::{GroupSize, WorkerResources};
