//! Names of things, as numbers.
//!
//! Every id is that of one run of the engine, never given twice in it. They are written in hexadecimal of a fixed width, so
//! that logs line up and a search finds the whole of one.

use std::fmt;

/// Declares an id: a number that is written in hexadecimal.
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
    /// One invocation of a remote function or method, its retries included. In order of submission by one thread.
    TaskId(u64), "16"
}

id! {
    /// One object: what a reference refers to. A task's only result has the number of the task.
    ObjectId(u64), "16"
}

id! {
    /// One actor, its restarts included.
    ActorId(u64), "16"
}

id! {
    /// One thread that runs tasks.
    WorkerId(u64), "16"
}

id! {
    /// One run of a program against the engine, from `init` to `shutdown`.
    JobId(u64), "16"
}

id! {
    /// One machine of the cluster; the embedded engine is one.
    NodeId(u128), "32"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_in_full_width() {
        assert_eq!(TaskId::from_raw(0xbeef).to_string(), "000000000000beef");
        assert_eq!(format!("{:?}", NodeId::from_raw(1)), "NodeId(00000000000000000000000000000001)");
        assert!(ObjectId::from_raw(2) > ObjectId::from_raw(1));
    }
}
