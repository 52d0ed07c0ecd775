//! Ids: numbers of tasks, objects, actors, worker threads, jobs and nodes.
//!
//! They are printed in hexadecimal with a fixed width, so that logs line up and a search finds a whole id.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares an id: a number that is printed in hexadecimal.
macro_rules! id {
    ($(#[$doc:meta])+ $name:ident($raw:ty), $width:literal) => {
        $(#[$doc])+
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($raw);

        impl $name {
            pub(crate) const fn from_raw(raw: $raw) -> $name {
                $name(raw)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $width, "x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id! {
    /// The id of one call of a remote function or method, its retries included. Ids are assigned when a program asks for them, so
    /// their order is not the order of submission.
    TaskId(u64), "16"
}

id! {
    /// The id of one object, to which references refer. The object of a task with one result has the number of the task.
    ObjectId(u64), "16"
}

id! {
    /// The id of one actor, its restarts included.
    ActorId(u64), "16"
}

id! {
    /// The id of one thread that runs tasks.
    WorkerId(u64), "16"
}

id! {
    /// The id of one run of the engine, from `init` to `shutdown`.
    JobId(u64), "16"
}

id! {
    /// The id of one machine of a cluster; the embedded engine is a cluster of one machine.
    NodeId(u128), "32"
}

impl NodeId {
    /// The node that Ray calls by this hexadecimal text. Ray's ids are longer: this is their first half.
    pub(crate) fn of_text(text: &str) -> NodeId {
        NodeId(first_digits(text, 32))
    }
}

impl WorkerId {
    /// The worker that Ray calls by this hexadecimal text: its first digits.
    pub(crate) fn of_text(text: &str) -> WorkerId {
        WorkerId(first_digits(text, 16) as u64)
    }
}

impl JobId {
    /// The job that Ray calls by this hexadecimal text.
    pub(crate) fn of_text(text: &str) -> JobId {
        JobId(first_digits(text, 16) as u64)
    }
}

/// The number that the first `most` hexadecimal digits give; 0 for another text.
fn first_digits(text: &str, most: usize) -> u128 {
    let digits = text.get(..text.len().min(most)).unwrap_or_default();
    u128::from_str_radix(digits, 16).unwrap_or_default()
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A new id of a task or an object.
pub(crate) fn fresh() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// All ids that [`fresh`] returns from now on are greater than `bound`.
pub(crate) fn begin_above(bound: u64) {
    NEXT.fetch_max(bound + 1, Ordering::Relaxed);
}

static NEXT_CALLER: AtomicU64 = AtomicU64::new(1);

/// Callers that are numbered from now on have numbers greater than `bound`, except on threads that have reserved numbers before.
pub(crate) fn begin_callers_above(bound: u64) {
    NEXT_CALLER.fetch_max(bound + 1, Ordering::Relaxed);
}

/// A fresh identity for a caller of actors.
pub(crate) fn fresh_caller() -> u64 {
    thread_local!(static BLOCK: Cell<(u64, u64)> = const { Cell::new((0, 0)) });
    const BLOCK_SIZE: u64 = 1024;
    BLOCK
        .try_with(|block| {
            let (mut next, mut end) = block.get();
            if next == end {
                next = NEXT_CALLER.fetch_add(BLOCK_SIZE, Ordering::Relaxed);
                end = next + BLOCK_SIZE;
            }
            block.set((next + 1, end));
            next
        })
        .unwrap_or_else(|_| NEXT_CALLER.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printed_in_full_width() {
        assert_eq!(TaskId::from_raw(0xbeef).to_string(), "000000000000beef");
        assert_eq!(format!("{:?}", NodeId::from_raw(1)), "NodeId(00000000000000000000000000000001)");
        assert!(ObjectId::from_raw(2) > ObjectId::from_raw(1));
    }

    #[test]
    fn ids_of_ray_begin_with_the_same_digits() {
        let ray = "4b0dcc81939277f69d9b77c093d10e13b8060a555a6ca30a620c89d7";
        assert_eq!(NodeId::of_text(ray).to_string(), ray[..32]);
        assert_eq!(WorkerId::of_text(ray).to_string(), ray[..16]);
        assert_eq!(JobId::of_text("01000000").to_string(), "0000000001000000");
        assert_eq!(NodeId::of_text("no number"), NodeId::from_raw(0));
    }
}
