//! The peers: libraries for comparison, each used in the way that its own documentation recommends.
//!
//! A module has a function for each case that its library supports. The function returns contenders whose names begin with
//! the name of the library. The caller is a plain thread outside any runtime, as in a sync `main`, unless the name of the
//! contender contains another caller. The caller of "(async caller)" is a task on a worker of the peer's own runtime. The
//! cases with async callers have two rows for each library, "(worker)" and "(current_thread)": the caller is a task of that
//! kind of tokio runtime, and the peers' actors run on it too.
//!
//! The actor is the same for every library: a counter with two methods. `increment` returns the new value, `read` returns
//! the value.

pub(crate) mod actix;
pub(crate) mod bounded;
pub(crate) mod by_hand;
pub(crate) mod channels;
pub(crate) mod kameo;
#[cfg(feature = "train")]
pub(crate) mod mlp;
pub(crate) mod ractor;
pub(crate) mod rayon;
pub(crate) mod threads;
pub(crate) mod ticker;
pub(crate) mod tokio_tasks;
#[cfg(feature = "train")]
pub(crate) mod torch;
pub(crate) mod web;
