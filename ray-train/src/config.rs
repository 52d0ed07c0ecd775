//! How a run is called and where it lies, what it keeps, what it forgives, and how many workers it has.

mod run;
mod scaling;

pub use run::{CheckpointConfig, Order, RunConfig};
pub use scaling::ScalingConfig;

pub(crate) use scaling::{Group, Share};
