//! The engine of the library `ray`: tasks, actors and objects in one process.
//!
//! This crate is internal. Programs depend on the crate `ray-remote`, whose library `ray` exports the public items of this crate.

mod actor;
mod api;
mod base;
mod call;
pub mod collective;
mod engine;
#[cfg(all(test, loom))]
#[allow(
    clippy::undocumented_unsafe_blocks,
    reason = "a model makes the unsafe calls of the engine, and loom checks that their conditions hold"
)]
mod loom;
mod object;
mod sched;
mod task;

pub use actor::handle::{ActorHandle, exit_actor};
pub use actor::kill::{Handle, kill, kill_and_restart};
pub use actor::lifecycle::ActorState;
pub use actor::named::{get_actor, get_actor_in, list_named_actors};
pub use actor::weak_handle::WeakActorHandle;
pub use api::cancel::{CancelOnDrop, cancel, cancel_with};
pub use api::closure::{Task, task};
pub use api::context::{RuntimeContext, context, get_gpu_ids};
pub use api::dump::dump;
#[cfg(unix)]
pub use api::dump::dump_on_signal;
pub use api::future::RefFuture;
pub use api::get::{Get, get, get_all_settled, get_timeout};
pub use api::init::{
    Context, Node, ShutdownGuard, available_resources, cluster_resources, init, init_with, is_initialized, nodes,
};
pub use api::map::{Chunk, Map, MapChunks, MapStream};
pub use api::merge::{Merge, merge};
pub use api::placement_group::{
    PlacementGroupBuilder, PlacementGroupInfo, get_current_placement_group, get_placement_group, placement_group,
    placement_group_table, remove_placement_group,
};
pub use api::put::{put, put_local};
pub use api::remote_function::RemoteFunction;
pub use api::shutdown::shutdown;
pub use api::stream::ItemStream;
pub use api::wait::completed::{AsCompleted, CompletedStream, as_completed};
pub use api::wait::{Pending, Reference, wait};
pub use api::yielder::Yielder;
pub use base::amount::Amount;
pub use base::config::Config;
pub use base::error::{Error, ErrorKind, Result};
pub use base::id::{ActorId, JobId, NodeId, ObjectId, PlacementGroupId, TaskId, WorkerId};
pub use base::labels::LabelMatch;
pub use base::lint;
pub use base::options::{CancelOptions, WaitOptions, first};
pub use base::placement::{Lifetime, SchedulingStrategy};
pub use base::placement_group::{Bundle, PlacementGroup, PlacementStrategy};
pub use base::resources::Resources;
pub use base::runtime_env::RuntimeEnv;
pub use base::trace::TraceContext;
pub use engine::group::PlacementGroupState;
pub use object::any::AnyRef;
pub use object::object_ref::ObjectRef;
pub use object::stream::ObjectRefStream;
pub use object::view::{TakeError, View};
pub use task::executor::ClusterInfo;

/// The items that the expansion of `#[remote]` names. Programs must not use them: they may change with every release.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde;

    pub use crate::actor::any::AnyActor;
    pub use crate::actor::class::{
        Actor, ActorClass, Constructor, Flag, Link, Movable, MovableState, No, RemoteMethod, Yes, every_field_is_send, is_actor,
    };
    pub use crate::actor::create::{create, try_create};
    pub use crate::actor::handle::ActorHandle;
    pub use crate::api::configured::Configured;
    pub use crate::api::get::check_may_block;
    pub use crate::api::init::moves_values;
    pub use crate::api::listen::listen;
    pub use crate::api::macro_streams::*;
    pub use crate::api::macro_support::*;
    pub use crate::api::macro_surface::*;
    pub use crate::api::map::Map;
    pub use crate::api::method::{
        ActorBuilder, BorrowedMethod, ConfiguredMethod, call_method, configure_method, tell_method, try_call_method,
        whole_call_method,
    };
    pub use crate::api::remote_function::{Called, RemoteFunction};
    pub use crate::api::yielder::{Yielder, yield_all, yield_all_async, yielder};
    pub use crate::base::concurrency_group::{Group, GroupSizes, group_of_attribute};
    pub use crate::base::error::conversion::*;
    pub use crate::base::error::{EncodedError, Error, Result};
    pub use crate::base::event::{Event, EventKind, Listening};
    pub use crate::base::lint;
    pub use crate::base::options::{ActorOptions, MethodOptions, RetryOn, TaskOptions};
    pub use crate::base::runtime_env::RuntimeEnv;
    pub use crate::call::arg::{Arg, IntoArg, IntoShared, Lend, Portable, Shared};
    pub use crate::call::bounds::{Args, Kept, Shareable, Wire};
    pub use crate::call::checkpoint::{Checkpoint, Checkpoints};
    pub use crate::call::codec::{ArgsCodec, Codec, EncodedArg, OutputCodec, ReferenceArg};
    pub use crate::call::function::{BoxFuture, Function, FunctionCall, MethodCall, Outcome, RetryArgs};
    pub use crate::call::instance::{Constructing, Instance};
    pub use crate::call::invoke::{Running, run_body};
    pub use crate::call::params::FromArgument;
    pub use crate::call::refs::Refs;
    pub use crate::call::registry::{MethodEntry, Registration, lookup, registered, signatures};
    pub use crate::call::spec::Spec;
    pub use crate::call::stream_spec::StreamSpec;
    pub use crate::engine::submit::{submit, tell, try_submit};
    pub use crate::object::any::AnyRef;
    pub use crate::object::carried::{Carried, CarriedObject};
    pub use crate::object::encoded::Encoded;
    pub use crate::object::erased::AnyValue;
    pub use crate::object::object_ref::ObjectRef;
    pub use crate::object::stream::ObjectRefStream;
    /// What an engine in other processes is made of.
    pub mod executor {
        pub use crate::actor::remote::{OwnActor, proxy_of};
        pub use crate::api::get::fetch;
        pub use crate::api::init::init_with_executor;
        pub use crate::engine::remote_body::RemoteBody;
        pub use crate::object::carried::{Carried, CarriedActor, CarriedObject};
        pub use crate::object::remote::{BodyInfo, RemoteObject, Reply};
        pub use crate::task::executor::{
            Executor, PROCESSES, RemoteActor, RemoteCall, RemoteCreation, RemoteNode, RemotePlacement, RemoteState, Retries,
            Retry, fail, unit,
        };
    }
    pub use crate::{not_a_result, task_error};
}
