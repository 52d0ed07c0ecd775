//! Groups of tasks, actors or threads that exchange arrays: sums over all of them, copies to all of them, barriers.
//!
//! A [`Group`] is one member's handle of a group. All members call the same operations in the same order, each on its own
//! buffer, and each call returns when the result is in that buffer:
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
//! # Guarantees
//!
//! * **Results are deterministic.** Elements are reduced in the order of ranks, whichever member does the work: all members
//!   get the same bits, and so does the next run.
//! * **No data is copied on the way.** Members work on each other's buffers while all of them are inside of the operation; the
//!   members that are awake do the work. A call returns when no other member uses its buffer any more.
//! * **No member waits for one that cannot come.** The group breaks when a member leaves (its handle is dropped, also by a
//!   panic) while others need it; when members call operations that do not match (in kind, type, length, root or reduction);
//!   when an argument is refused; when a member's task is cancelled, or its actor is killed or dies before it joined (noticed
//!   within a second); by a [`Poisoner`]; and by a time-out. Every waiting member, and every later operation, then gets an
//!   error that names the ranks and what they did. A broken group stays broken: make another one.
//!
//! A waiting member spins for a short time, then yields its processor for a short time, then parks. A parked task
//! lends its CPU to other tasks, as in [`get`](crate::get), so a group of tasks of one CPU each makes progress on fewer CPUs
//! than members, in turns. An actor keeps the resources that it holds for life.
//!
//! Ray's pages: [`ray.util.collective`](https://docs.ray.io/en/latest/ray-more-libs/ray-collective.html).

mod element;
mod errors;
mod group;
mod kernel;
mod local;
mod named;
pub(crate) mod rendezvous;
pub(crate) mod request;

pub use element::{Element, Float, Max, Mean, Min, Product, ReduceOp, Sum};
pub use group::{Group, Poisoner};
/// A float of 16 bits, from the crate `half`; stable Rust has none yet.
pub use half::f16;
pub use named::{
    create_collective_group, destroy_collective_group, get_collective_group_size, get_group, get_rank, init_collective_group,
    is_group_initialized,
};
