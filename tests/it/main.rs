//! Integration tests of `ray` through its public API. They are one binary: most tests share one engine (`support::engine`);
//! a test that configures, shuts down or measures an engine runs in a child process of its own (`support::in_child`).
#![allow(missing_docs, missing_debug_implementations, reason = "the name of a test says what it checks")]
#![allow(unreachable_pub, reason = "`pub` is how an actor's methods are exported")]

mod actor_sorts;
mod cluster;
mod processes;
mod stage;
mod support;

mod actor_constructors;
mod actor_faults;
mod actor_life;
mod actor_order;
mod actors;
mod async_constructors;
mod asynchronous;
mod awaiting;
mod awaits;
mod blocked;
mod callbacks;
mod cancel;
mod checkpoints;
mod claims;
mod deadlock;
mod dump;
mod groups;
mod handles;
mod machine;
mod named;
mod naming;
mod nesting;
mod no_threads;
mod resources;
mod restarts;
mod scheduling;
mod shutdown;
mod starvation;
mod threaded;
mod waiting;

mod events;
mod races;
mod random;

mod agreement;
mod arguments;
mod closures;
mod codec;
mod collective;
mod collective_faults;
mod collective_named;
mod completion;
mod context;
mod encoded_errors;
mod error_chains;
mod errors;
mod forks;
mod get;
mod instances;
mod large;
mod lifecycle;
mod local;
mod maps;
mod objects;
mod placement;
mod retry;
mod streams;
mod streams_faults;
mod streams_methods;
mod strict;
mod tasks;
mod tips;
mod traces;
mod unread;
mod util;
mod wait;
