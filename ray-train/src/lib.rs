//! Data-parallel training: a training loop runs in a group of workers. Each worker is an actor with its own share of the data.
//!
//! It corresponds to Ray Train in Python. The loop is an ordinary function, and the workers average their gradients. Their reports
//! (metrics and checkpoints) are recorded on the disk, so a run can continue after a failure, after Ctrl-C, or in another process.
//!
//! ```
//! use ray_train::{Metrics, RunConfig, ScalingConfig, TrainContext, Trainer};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize)]
//! struct Config {
//!     epochs: usize,
//!     rate: f64,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Progress {
//!     epoch: usize,
//!     weight: f64,
//! }
//!
//! fn train(ctx: &TrainContext, config: Config) -> ray::Result<f64> {
//!     // Continue from the last checkpoint, if there is one.
//!     let (first, mut weight) = match ctx.checkpoint() {
//!         None => (0, 0.0),
//!         Some(checkpoint) => {
//!             let Progress { epoch, weight } = checkpoint.metadata()?;
//!             (epoch + 1, weight)
//!         }
//!     };
//!     for epoch in first..config.epochs {
//!         let mut gradient = [weight - ctx.world_rank() as f64]; // from this rank's own data
//!         ctx.collective().allreduce(&mut gradient, ray::collective::Mean)?;
//!         weight -= config.rate * gradient[0];
//!
//!         let checkpoint = ctx.new_checkpoint()?;
//!         checkpoint.set_metadata(&Progress { epoch, weight })?;
//!         ctx.report(Metrics::new().with("weight", weight), Some(checkpoint))?;
//!     }
//!     Ok(weight)
//! }
//!
//! # let _ = ray::init_with(ray::Config::new().num_cpus(2));
//! let run = RunConfig::temporary("example")?.max_failures(3); // or RunConfig::new("example"), in ~/ray_results
//! let trainer = Trainer::new(train)
//!     .config(Config { epochs: 20, rate: 0.5 })
//!     .scaling(ScalingConfig::workers(2).use_gpu(false))
//!     .run_config(run);
//! let result = trainer.fit()?;
//! assert!((result.value() - 0.5).abs() < 1e-3);
//! assert_eq!(result.history().len(), 20);
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! Features: `burn` (default) for models of burn, `download` (default) to download Fashion-MNIST, `cuda` and `vulkan` for
//! [`ScalingConfig::use_gpu`]. The last two are type-checked only: no GPU has run them yet.
//!
//! | Ray Train | here |
//! |---|---|
//! | `TorchTrainer(loop, train_loop_config=.., scaling_config=.., run_config=..).fit()` | [`Trainer::new`]`(loop).config(..).scaling(..).run_config(..).fit()?` |
//! | `ScalingConfig(num_workers=4, use_gpu=False)` | [`ScalingConfig::workers`]`(4).use_gpu(false)` |
//! | `ScalingConfig(num_workers=(2, 4))`, `num_workers=0` | [`ScalingConfig::elastic`]`(2, 4)`, [`ScalingConfig::in_place`]`()` |
//! | `RunConfig(name=.., storage_path=.., failure_config=FailureConfig(max_failures=3))` | [`RunConfig::new`]`(name).storage(path).max_failures(3)` |
//! | `CheckpointConfig(num_to_keep=2, checkpoint_score_attribute="loss", checkpoint_score_order="min")` | [`CheckpointConfig::new`]`().num_to_keep(2).score("loss", Order::Min)` |
//! | `ray.train.get_context().get_world_rank()` | [`ctx.world_rank()`](TrainContext::world_rank) |
//! | `ray.train.report(metrics, checkpoint=..)` | [`ctx.report(metrics, Some(checkpoint))?`](TrainContext::report) |
//! | `ray.train.get_checkpoint()` | [`ctx.checkpoint()`](TrainContext::checkpoint) |
//! | `result.metrics`, `result.checkpoint`, `result.return_value` | [`TrainResult::metrics`], [`checkpoint`](TrainResult::checkpoint), [`value`](TrainResult::value) |
//! | `except TrainingFailedError as e: e.worker_failures` | `error.downcast_ref::<`[`TrainingFailed`]`>()` |

#![deny(unsafe_code)]

mod checkpoint;
mod config;
mod context;
pub mod data;
mod device;
mod error;
#[cfg(feature = "_fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod metrics;
pub mod model;
mod pool;
mod report;
mod result;
mod run_directory;
mod trainer;

/// The library burn, in the version that [`model::BurnModel`] accepts.
#[cfg(feature = "burn")]
pub use burn;
pub use checkpoint::Checkpoint;
pub use config::{CheckpointConfig, Order, RunConfig, ScalingConfig};
pub use context::TrainContext;
pub use device::Device;
pub use error::{Damaged, InProgress, Interrupted, NotAdmitted, TrainingFailed, WorkerFailure};
pub use metrics::{Metric, Metrics};
pub use report::Report;
pub use result::TrainResult;
pub use trainer::{ConfigMissing, TrainLoop, Trainer, Worker};
