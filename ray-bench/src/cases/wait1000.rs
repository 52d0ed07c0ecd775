//! `wait1000`: a thousand references, drained one at a time as they finish.
//!
//! The clock starts when the last task is submitted and stops when the last result is taken. It includes, for everybody,
//! what the tasks still have to run then, and building the set to wait on from the references where the library has such a
//! set (`FuturesUnordered`, ours); `JoinSet` registers at submission, before the clock. The lines with
//! "(with submit)" are of the same rounds and the clock starts before the first submit: what a library saves in one span by
//! doing it in the other shows there.
//!
//! A mere channel into which every task sends would be faster still, but gives no reference to a result that could be
//! waited for, passed on or got alone, so it is no peer.

use std::time::Instant;

use crate::{
    measure::{Case, Contender, USUAL, per},
    ours,
    peers::tokio_tasks,
};

const REFS: usize = 1_000;
/// Drains a round, one after another.
const DRAINS: usize = 20;

pub(crate) const CASE: Case = Case {
    name: "wait1000",
    what: "1,000 refs drained one at a time as they finish; ns per ref",
    unit: "ns",
    contenders,
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::wait());
    all.extend(tokio_tasks::wait());
    all
}

/// A contender that submits 1,000 tasks, of which number `i` returns `i`, and then drains their results, summed.
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
