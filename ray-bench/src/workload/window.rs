//! `window`: the caller keeps a number of no-op tasks in flight. It takes the result of the task that ends first, and submits the next
//! one, 100,000 times.

use crate::measure::{Definition, ns_per};

pub(crate) const DEFINITION: Definition =
    Definition { name: "window", what: "100,000 no-op tasks, a window of 100 or 4,000 in flight; ns per task", unit: "ns" };

/// The sizes of the window.
pub(crate) const SIZES: [usize; 2] = [100, 4_000];

const TASKS: usize = 100_000;

/// The time of a task, where `all` runs that many tasks, of which task `i` returns `i`, and adds up their results.
pub(crate) fn time(all: impl FnOnce(u64) -> u64) -> f64 {
    ns_per(TASKS, || assert_eq!(all(TASKS as u64), (0..TASKS as u64).sum::<u64>()))
}
