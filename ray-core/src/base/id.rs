//! Ids: numbers of tasks, objects, actors, worker threads, jobs and nodes.
//!
//! They are printed in hexadecimal with a fixed width, so that logs line up and a search finds a whole id.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, ErrorKind, Result};

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
    /// The id of one placement group.
    PlacementGroupId(u64), "16"
}

impl PlacementGroupId {
    pub(crate) const fn raw(self) -> u64 {
        self.0
    }
}

/// The id of one machine of a cluster; the embedded engine is a cluster of one machine. It is printed as Ray's own tools print it,
/// and read from this text.
///
/// ```
/// # extern crate ray_core as ray;
/// let text = "4b0dcc81939277f69d9b77c093d10e13b8060a555a6ca30a620c89d7";
/// let node: ray::NodeId = text.parse()?;
/// assert_eq!(node.to_string(), text);
/// assert!("4b0d".parse::<ray::NodeId>().is_err());
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId([u8; 28]);

impl NodeId {
    /// The node of the embedded engine.
    pub(crate) fn of_process() -> NodeId {
        let mut bytes = [0; 28];
        bytes[19] = 1;
        bytes[24..].copy_from_slice(&std::process::id().to_be_bytes());
        NodeId(bytes)
    }

    /// The node that Ray calls by this hexadecimal text; all zeros for another text.
    pub(crate) fn of_text(text: &str) -> NodeId {
        text.parse().unwrap_or(NodeId([0; 28]))
    }
}

impl FromStr for NodeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<NodeId> {
        let mut bytes = [0; 28];
        let digit = |at: usize| char::from(*text.as_bytes().get(at)?).to_digit(16);
        for (at, byte) in bytes.iter_mut().enumerate() {
            match (digit(2 * at), digit(2 * at + 1)) {
                (Some(high), Some(low)) if text.len() == 56 => *byte = ((high << 4) | low) as u8,
                _ => {
                    let what = format!("`{text}` is no id of a node, which has 56 hexadecimal digits: see `ray::nodes()`");
                    return Err(Error::new(ErrorKind::InvalidArgument, what));
                }
            }
        }
        Ok(NodeId(bytes))
    }
}

impl TryFrom<String> for NodeId {
    type Error = Error;

    fn try_from(text: String) -> Result<NodeId> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> String {
        node.to_string()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl WorkerId {
    /// The worker that Ray calls by this hexadecimal text: its first digits.
    pub(crate) fn of_text(text: &str) -> WorkerId {
        WorkerId(first_digits(text))
    }
}

impl JobId {
    /// The job that Ray calls by this hexadecimal text.
    pub(crate) fn of_text(text: &str) -> JobId {
        JobId(first_digits(text))
    }
}

/// The number that the first 16 hexadecimal digits give; 0 for another text.
fn first_digits(text: &str) -> u64 {
    let digits = text.get(..text.len().min(16)).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
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
        assert_eq!(format!("{:?}", WorkerId::from_raw(1)), "WorkerId(0000000000000001)");
        assert!(ObjectId::from_raw(2) > ObjectId::from_raw(1));
    }

    #[test]
    fn ids_of_ray_have_the_same_digits() {
        let ray = "4b0dcc81939277f69d9b77c093d10e13b8060a555a6ca30a620c89d7";
        assert_eq!(NodeId::of_text(ray).to_string(), ray);
        assert_eq!(WorkerId::of_text(ray).to_string(), ray[..16]);
        assert_eq!(JobId::of_text("01000000").to_string(), "0000000001000000");
        assert_eq!(NodeId::of_text("no number").to_string(), "0".repeat(56));
        for wrong in ["", "4b", &ray[1..], &ray.replace('4', "g"), &ray.replace('4', "é")] {
            assert!(wrong.parse::<NodeId>().unwrap_err().is_invalid_argument(), "{wrong}");
        }
        assert_eq!(NodeId::of_process().to_string().parse::<NodeId>().unwrap(), NodeId::of_process());
    }
}
