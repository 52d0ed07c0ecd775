//! Groups of tasks, actors or threads that exchange arrays: sums over all of them, copies to all of them, barriers.
//!
//! A [`Group`] is one member's handle of a group. All members call the same operations in the same order, each on its own
//! buffer, and each call returns when the result is there:
//!
//! ```
//! # extern crate ray_core as ray;
//! use ray::collective::{Group, Mean};
//!
//! let members = Group::members(4)?; // one for each of four workers
//! let workers: Vec<_> = members
//!     .into_iter()
//!     .map(|mut group| {
//!         ray::task(move || -> ray::Result<Vec<f32>> {
//!             let mut gradients = vec![group.rank() as f32; 3]; // 0, 1, 2, 3
//!             group.allreduce(&mut gradients, Mean)?; // in place
//!             Ok(gradients)
//!         })
//!         .num_cpus(0.0) // they wait for each other, so all of them must run
//!         .remote()
//!     })
//!     .collect();
//! for worker in workers {
//!     assert_eq!(ray::get(worker)?, [1.5; 3]);
//! }
//! # Ok::<(), ray::Error>(())
//! ```
//!
//! # What is guaranteed
//!
//! * **Results are exact and repeat.** Elements are reduced in the order of ranks, whoever does the work: all members get the
//!   same bits, and the next run gets them again.
//! * **Nothing is copied on the way.** Members work on each other's buffers while all are inside of the operation, whoever is
//!   awake does the work, and a call returns when its buffer is the caller's own again.
//! * **Nobody waits for one that will not come.** A member that leaves (its handle is dropped, by a panic too) releases all
//!   who need it at once, with an error that names it, now and in every later operation. So do members in operations that do not go
//!   together (another one, type, length, root or reduction), the error naming who is where; a refused argument; a task that is
//!   cancelled, an actor that is killed or dies before it joined (within a second); a [`Poisoner`]; a time-out, which names the
//!   missing ranks. A broken group stays broken: make another.
//!
//! A member that waits spins a little, gives its processor away a little, then parks. Parked inside a task it
//! lends its CPU to others, as in [`get`](crate::get), so that members which are tasks of one CPU each come through on
//! fewer CPUs, in turns. An actor keeps what it holds for life.
//!
//! Ray's pages: [`ray.util.collective`](https://docs.ray.io/en/latest/ray-more-libs/ray-collective.html).

pub(crate) mod ask;
pub(crate) mod board;
mod element;
mod group;
mod kernel;
mod named;
mod shared;
mod trouble;

pub use element::{Element, Float, Max, Mean, Min, Product, ReduceOp, Sum};
pub use group::{Group, Poisoner};
/// A float of 16 bits, that of the crate `half`; the language has none yet.
pub use half::f16;
pub use named::{
    create_collective_group, destroy_collective_group, get_collective_group_size, get_group, get_rank, init_collective_group,
    is_group_initialized,
};
