//! `nest10k`: the first recursion of a process, 10,000 calls deep, in which every call gets the result of the next one.
//!
//! Each round is a fresh process, so the engine has not seen the function before, and the process has used no stack. The
//! sample does not include the start of the engine. The tasks of tokio await each other. The contender with a plain thread
//! for each call shows the cost of a blocking recursion.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "nest10k", what: "a first recursion 10,000 deep, each caller gets its call; ms in total", unit: "ms" };

pub(crate) const DEPTH: u64 = 10_000;
