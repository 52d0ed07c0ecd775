//! An internal crate of `ray-remote`, whose library `ray` exports what programs need: depend on that.
//!
//! This is its engine: tasks, actors and objects in one process.

mod actor;
mod arity;
mod blocking;
mod callable;
mod cancel;
mod clock;
pub mod collective;
mod config;
mod context;
mod deadlock;
mod emit;
mod error;
mod event;
mod id;
#[cfg(all(test, loom))]
#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "what is made up for a model is unsafe where the engine is, and checked by the model checker"
)]
mod loom;
mod object_ref;
mod options;
mod os;
mod resources;
mod retry;
mod runtime;
mod scheduler;
mod store;
mod sync;
mod task;
mod thread;
mod tips;
mod unwind;
mod value;
mod wait;
mod worker;

pub use actor::handle::{ActorHandle, WeakActorHandle, exit_actor, kill, kill_and_restart};
pub use actor::life::ActorState;
pub use actor::names::{get_actor, get_actor_in, list_named_actors};
pub use blocking::get::{Get, get, get_all_settled, get_timeout};
pub use callable::closure::{Task, task};
pub use cancel::{CancelOnDrop, cancel, cancel_with};
pub use config::Config;
pub use context::{RuntimeContext, context};
pub use error::{Error, ErrorKind, Result};
pub use id::{ActorId, JobId, NodeId, ObjectId, TaskId, WorkerId};
pub use object_ref::future::RefFuture;
pub use object_ref::put::{put, put_local};
pub use object_ref::{AnyRef, ObjectRef, TakeError, View};
pub use options::{CancelOptions, WaitOptions, first};
pub use resources::Resources;
pub use runtime::api::{
    Context, Node, ShutdownGuard, available_resources, cluster_resources, init, init_with, is_initialized, nodes,
};
pub use runtime::dump::dump;
#[cfg(unix)]
pub use runtime::dump::dump_on_signal;
pub use runtime::shutdown::shutdown;
pub use wait::{AsCompleted, CompletedStream, Pending, Reference, as_completed, wait};

/// What `#[remote]` names. Not for use by hand: it may change with every release.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;

    pub use crate::actor::cell::Link;
    pub use crate::actor::create::{create, try_create};
    pub use crate::actor::handle::ActorHandle;
    pub use crate::actor::method::{ActorBuilder, ConfiguredMethod, Method};
    pub use crate::actor::{Actor, ActorClass, Constructor, RemoteMethod};
    pub use crate::callable::arg::{Arg, IntoArg, IntoShared, Lend, Portable, Shared};
    pub use crate::callable::bounds::{Args, Kept, Shareable, Wire};
    pub use crate::callable::configured::Configured;
    pub use crate::callable::function::{BoxFuture, Function, FunctionCall, MethodCall, Outcome, RetryArgs};
    pub use crate::callable::params::IntoParam;
    pub use crate::callable::refs::Refs;
    pub use crate::callable::registry::{ArgsGlue, Glue, MethodEntry, OutputGlue, Registration, lookup, registered};
    pub use crate::callable::spec::Spec;
    pub use crate::emit::*;
    pub use crate::error::glue::*;
    pub use crate::error::{Error, Result};
    pub use crate::object_ref::ObjectRef;
    pub use crate::options::{ActorOptions, MethodOptions, RetryOn, TaskOptions};
    pub use crate::runtime::submit::{submit, tell, try_submit};
    pub use crate::{not_a_result, task_error};
}
