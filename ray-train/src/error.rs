//! The errors of ray-train: public types that [`ray::Error::downcast_ref`] finds, and errors that consist of a message only.

mod message;
mod released;
mod run;
mod training;

pub(crate) use message::{failed, rank_list};
pub(crate) use released::Released;
pub use run::{Damaged, InProgress, NotAdmitted};
pub use training::{Interrupted, TrainingFailed, WorkerFailure};
