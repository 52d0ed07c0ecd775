//! Models, their gradients and optimisers, and the files that store them.
//!
//! This module works on the interface of [`Model`]: parameters by name, each as a slice of `f32`, and all gradients as one buffer.
//! [`Mlp`] is a model without a library.
#![cfg_attr(feature = "burn", doc = "[`BurnModel`] makes a model of any module of burn.")]
//!
//! The replicas of a model stay equal to the last bit: [`prepare_model`](crate::TrainContext::prepare_model) copies the parameters of
//! rank 0 to all ranks, [`allreduce_grads`](crate::TrainContext::allreduce_grads) averages the gradients in a fixed order, and an
//! [`Optimizer`] does the same arithmetic on every rank.
//!
//! ```
//! use ray_train::model::{Mlp, Model, Optimizer, Sgd};
//!
//! let mut model = Mlp::new(&[2, 8, 2], 1);
//! let mut optimizer = Sgd::new(0.5).momentum(0.9);
//! for _ in 0..200 {
//!     model.train(&[0.0, 1.0, 1.0, 0.0], &[0, 1])?; // two inputs, their classes
//!     optimizer.step(&mut model)?;
//! }
//! assert!(model.train(&[0.0, 1.0, 1.0, 0.0], &[0, 1])? < 0.01);
//! # Ok::<(), ray::Error>(())
//! ```

mod adam;
#[cfg(feature = "burn")]
mod burn_model;
#[cfg(feature = "burn")]
mod dropout;
mod gradients;
mod mlp;
mod model_trait;
mod optimizer;
mod parameter;
mod prepare;
mod sgd;
mod state;

pub use adam::Adam;
#[cfg(feature = "burn")]
pub use burn_model::BurnModel;
#[cfg(feature = "burn")]
pub use dropout::DropoutExt;
pub use gradients::Gradients;
pub use mlp::Mlp;
pub use model_trait::Model;
pub use optimizer::Optimizer;
pub use parameter::Parameter;
pub use sgd::Sgd;
pub use state::StateDict;
