//! Utilities on tasks and actors, with the names of Ray's `ray.util`.
//!
//! | type | what it is | in Ray |
//! |---|---|---|
//! | [`Queue`] | a queue of items, bounded or not, between threads, tasks and actors | [`ray.util.queue.Queue`](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.queue.Queue.html) |
//! | [`ActorPool`] | actors of one class that share work | [`ray.util.ActorPool`](https://docs.ray.io/en/latest/ray-core/actors/actor-utils.html#actor-pool) |
//! | [`Pool`] | workers that run calls of functions | [`ray.util.multiprocessing.Pool`](https://docs.ray.io/en/latest/ray-more-libs/multiprocessing.html) |
//! | [`Semaphore`] | a number of permits | an actor with an `asyncio.Semaphore` |
//! | [`Event`] | a flag that callers wait for | an actor with an `asyncio.Event` |
//!
//! They are written on actors. `Queue`, `Semaphore` and `Event` are handles: they are
//! passed to tasks and actors, and stored in values and objects.
//!
//! A method without `async` in its name blocks, as [`ray::get`](crate::get) does: in a body it lends the CPU, and ends when the body is
//! cancelled. In async code use the method with `async` in its name; a blocking one returns an error of kind `BlockingInAsync` if it has
//! to wait.

mod actor_pool;
mod event;
mod pool;
mod queue;
mod semaphore;
mod service;

pub use actor_pool::ActorPool;
pub use actor_pool::map::ActorMap;
pub use event::{Event, EventActor};
pub use pool::{AsyncResult, Collected, Mapped, One, Pool, PoolOptions, Pooled, Slot, Slots};
pub use queue::{GetError, PutBatchError, PutError, Queue, QueueActor};
pub use semaphore::{Permit, Semaphore, SemaphoreActor};
