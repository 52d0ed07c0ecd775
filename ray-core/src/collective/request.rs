//! The request of a member: which operation, on how many elements of which type, from which line of the program; and its text
//! in errors.

use std::fmt;
use std::panic::Location;

use crate::collective::element::Reduction;
use crate::collective::kernel::Kernel;

/// An operation. All members that take part in it must ask for the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    AllReduce(Reduction),
    /// To the root of that rank.
    Reduce(Reduction, usize),
    /// From the root of that rank.
    Broadcast(usize),
    AllGather,
    ReduceScatter(Reduction),
    Barrier,
    /// Between two members: to that rank.
    Send(usize),
    /// Between two members: from that rank.
    Receive(usize),
}

impl Operation {
    /// The other member of an operation between two.
    pub(crate) fn peer(self) -> Option<usize> {
        match self {
            Self::Send(peer) | Self::Receive(peer) => Some(peer),
            _ => None,
        }
    }

    /// The root: the only member that gets the result of a reduce, or whose buffer a broadcast reads.
    pub(crate) fn root(self) -> Option<usize> {
        match self {
            Self::Reduce(_, root) | Self::Broadcast(root) => Some(root),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AllReduce(_) => "allreduce",
            Self::Reduce(..) => "reduce",
            Self::Broadcast(_) => "broadcast",
            Self::AllGather => "allgather",
            Self::ReduceScatter(_) => "reducescatter",
            Self::Barrier => "barrier",
            Self::Send(_) => "send",
            Self::Receive(_) => "recv",
        }
    }
}

/// A member's call of an operation: what the other members compare, and what errors print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    /// The name of the elements' type in Rust.
    pub(crate) element: &'static str,
    /// The number of elements; of one member's part where the operation gathers or scatters.
    pub(crate) len: usize,
    pub(crate) site: &'static Location<'static>,
}

impl Call {
    /// Whether both calls are the same operation of a whole group, on the same elements.
    pub(crate) fn matches(&self, other: &Call) -> bool {
        self.operation == other.operation && self.has_same_elements(other)
    }

    /// Whether both calls have the same number of elements of the same type.
    pub(crate) fn has_same_elements(&self, other: &Call) -> bool {
        self.element == other.element && self.len == other.len
    }
}

/// `allreduce(sum) of 10 f32 at src/main.rs:7:5`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation.name())?;
        match self.operation {
            Operation::AllReduce(reduction) | Operation::ReduceScatter(reduction) => write!(f, "({})", reduction.name())?,
            Operation::Reduce(reduction, root) => write!(f, "({}, root {root})", reduction.name())?,
            Operation::Broadcast(root) => write!(f, "(root {root})")?,
            Operation::Send(peer) => write!(f, "(to {peer})")?,
            Operation::Receive(peer) => write!(f, "(from {peer})")?,
            Operation::AllGather | Operation::Barrier => {}
        }
        if self.operation != Operation::Barrier {
            write!(f, " of {} {}", self.len, self.element)?;
        }
        write!(f, " at {}", self.site)
    }
}

/// A call with the member's memory: the input of a transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) call: Call,
    /// The size of one element, in bytes.
    pub(crate) size: usize,
    /// The elements that the member contributes; null if it contributes none.
    pub(crate) input: *const u8,
    /// The place for the member's results; null if it gets none.
    pub(crate) output: *mut u8,
    /// The loop of a reduction.
    pub(crate) kernel: Option<Kernel>,
}
