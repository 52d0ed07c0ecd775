//! What a member asks for: which operation, on how many elements of which type, where in its program; and how errors say it.

use std::fmt;
use std::panic::Location;

use crate::collective::element::Way;
use crate::collective::kernel::Kernel;

/// An operation as all who take part in it must ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    AllReduce(Way),
    Reduce(Way, usize),
    Broadcast(usize),
    AllGather,
    ReduceScatter(Way),
    Barrier,
    /// Between two: to that rank.
    Send(usize),
    /// Between two: from that rank.
    Receive(usize),
}

impl What {
    /// The one other member of an operation between two.
    pub(crate) fn peer(self) -> Option<usize> {
        match self {
            Self::Send(peer) | Self::Receive(peer) => Some(peer),
            _ => None,
        }
    }

    /// The one member whose memory alone is written, or read.
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

/// What others compare and errors tell of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) what: What,
    /// The type of the elements, as the language writes it.
    pub(crate) element: &'static str,
    /// Elements; of one member's part where the operation gathers or scatters.
    pub(crate) len: usize,
    pub(crate) site: &'static Location<'static>,
}

impl Call {
    /// Both are the same operation of a group, so that their members may go on together.
    pub(crate) fn agrees(&self, other: &Call) -> bool {
        self.what == other.what && self.carries(other)
    }

    /// The same elements, and as many.
    pub(crate) fn carries(&self, other: &Call) -> bool {
        self.element == other.element && self.len == other.len
    }
}

/// `allreduce(sum) of 10 f32 at src/main.rs:7:5`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what.name())?;
        match self.what {
            What::AllReduce(way) | What::ReduceScatter(way) => write!(f, "({})", way.name())?,
            What::Reduce(way, root) => write!(f, "({}, root {root})", way.name())?,
            What::Broadcast(root) => write!(f, "(root {root})")?,
            What::Send(peer) => write!(f, "(to {peer})")?,
            What::Receive(peer) => write!(f, "(from {peer})")?,
            What::AllGather | What::Barrier => {}
        }
        if self.what != What::Barrier {
            write!(f, " of {} {}", self.len, self.element)?;
        }
        write!(f, " at {}", self.site)
    }
}

/// A call with the member's memory, as a transport gets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) call: Call,
    /// Of one element, in bytes.
    pub(crate) size: usize,
    /// Where the member's elements are read; null if it has none to give.
    pub(crate) input: *const u8,
    /// Where the results go; null if it gets none.
    pub(crate) output: *mut u8,
    /// The loop of a reduction.
    pub(crate) kernel: Option<Kernel>,
}
