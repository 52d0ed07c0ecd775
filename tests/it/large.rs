//! Many tasks, long chains and wide fans: no deep recursion of the engine, and linear time.

use ray::{ObjectRef, remote};

use crate::cluster;
use crate::stage::wait_or_end;
use crate::support::{Gate, Tally, engine, strict};

/// The number of tasks; fewer in strict mode, which serialises each value.
fn many() -> i64 {
    crate::support::calls(100, if strict() { 10_000 } else { 100_000 })
}

#[remote]
fn next(x: i64) -> i64 {
    x + 1
}

#[remote]
fn starts(gate: Gate) -> Result<i64, String> {
    wait_or_end(gate);
    Ok(0)
}

#[remote]
fn fails(gate: Gate) -> Result<i64, String> {
    gate.wait();
    Err("at the start".into())
}

#[remote]
fn sum(xs: &[i64]) -> i64 {
    xs.iter().sum()
}

#[remote]
fn counted(tally: Tally, x: i64) -> i64 {
    tally.add();
    x
}

fn chain(start: ObjectRef<i64>) -> ObjectRef<i64> {
    (0..many()).fold(start, |before, _| next.remote(before))
}

/// The whole chain is submitted before its first task ends.
#[test]
fn a_long_chain() {
    engine();
    let gate = Gate::new();
    let end = chain(starts.remote(gate));
    gate.open();
    assert_eq!(ray::get(end).unwrap(), many());
}

/// The failure of the first task reaches the last one; the printed error shortens the chain of tasks.
#[test]
fn a_long_chain_that_fails() {
    engine();
    let gate = Gate::new();
    let end = chain(fails.remote(gate));
    gate.open();
    let error = ray::get(end).unwrap_err();
    assert_eq!(error.to_string(), "task `fails` failed: at the start");
    let told = format!("{error:?}");
    // Ray names only the last task.
    assert!(told.lines().count() < 50 && (cluster::wanted() || told.contains("more tasks")), "{told}");
}

/// The last reference of a chain is dropped; its tasks run all the same.
#[test]
fn a_long_chain_that_is_dropped() {
    engine();
    let (gate, tally) = (Gate::new(), Tally::new());
    let end = counted.remote(tally, chain(starts.remote(gate)));
    drop(end);
    gate.open();
    tally.wait_for(1);
}

/// The first task of a chain is cancelled; all later tasks fail.
#[test]
fn a_long_chain_that_is_cancelled() {
    engine();
    let gate = Gate::new();
    let start = starts.remote(gate);
    let end = chain(start.clone());
    ray::cancel(&start).unwrap();
    assert!(ray::get(end).unwrap_err().is_cancelled());
    gate.open();
}

/// One object with a hundred thousand dependants, and one task with a hundred thousand arguments.
#[test]
fn a_wide_fan() {
    engine();
    let gate = Gate::new();
    let start = starts.remote(gate);
    let middle: Vec<_> = (0..many()).map(|_| next.remote(&start)).collect();
    let end = sum.remote(middle);
    gate.open();
    assert_eq!(ray::get(end).unwrap(), many());
}

#[test]
fn a_wide_fan_that_fails() {
    engine();
    let gate = Gate::new();
    let start = fails.remote(gate);
    let middle: Vec<_> = (0..many()).map(|_| next.remote(&start)).collect();
    let end = sum.remote(&middle);
    gate.open();
    assert!(ray::get(end).unwrap_err().is_task());
    assert!(ray::get_all_settled(middle).iter().all(Result::is_err));
}

/// Results are taken one at a time out of many, by `wait` and by `as_completed`.
#[test]
fn one_by_one_out_of_many() {
    engine();
    let mut rest = ray::Pending::from((0..many()).map(|x| next.remote(x)).collect::<Vec<_>>());
    let mut total = 0;
    while rest.len() > usize::try_from(many() / 2).unwrap() {
        let (mut done, others) = ray::wait(rest, 1).unwrap();
        total += ray::get(done.remove(0)).unwrap();
        rest = others;
    }
    for object in ray::as_completed(rest) {
        total += ray::get(object).unwrap();
    }
    assert_eq!(total, (1..=many()).sum());
}
