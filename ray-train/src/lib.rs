//! Data-parallel training on ray's actors.

#![deny(unsafe_code)]

mod checkpoint;
mod config;
mod context;
pub mod data;
mod device;
mod faults;
mod metrics;
pub mod model;
mod pool;
mod report;
mod result;
mod run_directory;
mod trainer;

/// The library behind the models: its version is the one that [`model::BurnModel`] takes.
#[cfg(feature = "burn")]
pub use burn;
pub use checkpoint::Checkpoint;
pub use config::{CheckpointConfig, Order, RunConfig, ScalingConfig};
pub use context::TrainContext;
pub use device::Device;
pub use faults::{Damaged, InProgress, Interrupted, NotAdmitted, TrainingFailed, WorkerFailure};
pub use metrics::{Metric, Metrics};
pub use report::Report;
pub use result::TrainResult;
pub use trainer::{ConfigMissing, TrainLoop, Trainer, Worker};
