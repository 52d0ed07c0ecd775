//! `wait1000`: the caller takes the results of a thousand references one at a time, in the order in which they finish.
//!
//! The clock starts when the last task is submitted and stops when the last result is taken. So the sample holds the part
//! of the tasks that still has to run at that time. It also holds the time to build the set that the caller waits on, where
//! the library builds such a set from references (`FuturesUnordered` and `ray`); `JoinSet` builds its set during
//! submission, before the clock starts. The rows with "(with submit)" are of the same rounds, and their clock starts before
//! the first submission. They show whether a library does work during the submission instead of during the wait.
//!
//! A channel into which every task sends its result is faster still. It is not a contender, because it gives no reference
//! to a single result that a caller could wait for, pass on, or get alone.

use std::time::Instant;

use crate::measure::{Contender, Definition, per};

pub(crate) const DEFINITION: Definition =
    Definition { name: "wait1000", what: "1,000 refs drained one at a time as they finish; ns per ref", unit: "ns" };

const REFS: usize = 1_000;
/// Drains in a round, one after another.
const DRAINS: usize = 20;

/// A contender that submits 1,000 tasks and then adds up their results. Task number `i` returns `i`.
pub(crate) fn contender<Refs>(
    who: &str,
    submit: impl Fn(u64) -> Refs + 'static,
    drain: impl Fn(Refs) -> u64 + 'static,
) -> Contender {
    let whos = [who.to_owned(), format!("{who} (with submit)")];
    Contender::many(whos, move || {
        let mut drained = 0.0;
        let mut whole = 0.0;
        for _ in 0..DRAINS {
            let start = Instant::now();
            let refs = submit(REFS as u64);
            let submitted = Instant::now();
            let sum = drain(refs);
            let end = Instant::now();
            assert_eq!(sum, (0..REFS as u64).sum::<u64>());
            drained += per(REFS, end - submitted);
            whole += per(REFS, end - start);
        }
        vec![drained / DRAINS as f64, whole / DRAINS as f64]
    })
}
