//! Retries of tasks, and their arguments.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ray::{Error, ErrorKind, remote};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::stage::eventually;
use crate::support::{Gate, Tally, calls, engine};

/// Fails until attempt `good`; the first attempt is 1.
fn attempt(tally: Tally, good: u64) -> Result<u64, String> {
    let now = tally.add();
    if now < good { Err(format!("attempt {now}")) } else { Ok(now) }
}

#[remote]
fn never_again(tally: Tally, good: u64) -> Result<u64, String> {
    attempt(tally, good)
}

#[remote(max_retries = 5)]
fn no_exceptions(tally: Tally, good: u64) -> Result<u64, String> {
    attempt(tally, good)
}

#[remote(retry_exceptions = true)]
fn by_default_three(tally: Tally, good: u64) -> Result<u64, String> {
    attempt(tally, good)
}

#[remote(max_retries = 1, retry_exceptions = true)]
fn once_more(tally: Tally, good: u64) -> Result<u64, String> {
    attempt(tally, good)
}

#[remote(max_retries = -1, retry_exceptions = true)]
fn for_ever(tally: Tally, good: u64) -> Result<u64, String> {
    attempt(tally, good)
}

fn is_early(error: &Error) -> bool {
    error.downcast_ref::<String>().is_some_and(|said| said == "attempt 1" || said == "attempt 2")
}

#[remote(max_retries = 10, retry_exceptions = is_early)]
fn while_early(tally: Tally, good: u64) -> Result<u64, String> {
    attempt(tally, good)
}

#[remote(max_retries = 4, retry_exceptions = true)]
async fn later(tally: Tally, good: u64) -> Result<u64, String> {
    attempt(tally, good)
}

#[remote(max_retries = 2, retry_exceptions = true, num_returns = 2)]
fn in_parts(tally: Tally, good: u64) -> Result<(u64, String), String> {
    attempt(tally, good).map(|now| (now, now.to_string()))
}

#[remote(max_retries = 2, retry_exceptions = true)]
fn panics(tally: Tally) -> u64 {
    panic!("attempt {}", tally.add())
}

/// The number of attempts follows the attribute.
#[test]
fn attempts_are_counted() {
    engine();
    type Submit = fn(Tally, u64) -> ray::ObjectRef<u64>;
    let cases: [(&str, Submit, u64); 6] = [
        ("never_again", |tally, good| never_again.remote(tally, good), 1),
        ("no_exceptions", |tally, good| no_exceptions.remote(tally, good), 1),
        ("by_default_three", |tally, good| by_default_three.remote(tally, good), 4),
        ("once_more", |tally, good| once_more.remote(tally, good), 2),
        ("while_early", |tally, good| while_early.remote(tally, good), 3),
        ("later", |tally, good| later.remote(tally, good), 5),
    ];
    for (name, submit, most) in cases {
        for good in 1..=most {
            let tally = Tally::new();
            assert_eq!(ray::get(submit(tally, good)).unwrap(), good, "{name}");
            assert_eq!(tally.count(), good, "{name}");
        }
        let tally = Tally::new();
        let error = ray::get(submit(tally, u64::MAX)).unwrap_err();
        assert_eq!(
            error.downcast_ref::<String>().unwrap(),
            &format!("attempt {most}"),
            "{name}: the error is that of the last attempt"
        );
        assert_eq!(tally.count(), most, "{name}");
    }
    let tally = Tally::new();
    let many = calls(20, 1000);
    assert_eq!(ray::get(for_ever.remote(tally, many)).unwrap(), many);
}

/// The options of a call override the attribute.
#[test]
fn options_of_a_call() {
    engine();
    let tried = |object: ray::ObjectRef<u64>, tally: Tally| {
        assert!(ray::get(object).unwrap_err().is_task());
        tally.count()
    };
    let tally = Tally::new();
    assert_eq!(tried(never_again.options().max_retries(6).retry_exceptions(true).remote(tally, 100), tally), 7);
    let tally = Tally::new();
    assert_eq!(tried(never_again.options().retry_exceptions(true).remote(tally, 100), tally), 4);
    let tally = Tally::new();
    assert_eq!(
        tried(never_again.options().max_retries(6).remote(tally, 100), tally),
        1,
        "`max_retries` alone does not retry failures of the body"
    );
    let tally = Tally::new();
    assert_eq!(tried(for_ever.options().max_retries(0).remote(tally, 100), tally), 1);
    let tally = Tally::new();
    assert_eq!(tried(for_ever.options().retry_exceptions(false).remote(tally, 100), tally), 1);
    let tally = Tally::new();
    let early: fn(&Error) -> bool = is_early;
    let early = for_ever.options().retry_exceptions(early).remote(tally, 100);
    if cluster::wanted() {
        // A worker knows only the predicate of the attribute.
        assert!(ray::get(early).unwrap_err().is_invalid_argument());
    } else {
        assert_eq!(tried(early, tally), 3);
    }
}

/// A panic is retried like an error.
#[test]
fn panics_are_retried() {
    engine();
    let tally = Tally::new();
    let error = ray::get(panics.remote(tally)).unwrap_err();
    assert!(error.is_panic() && error.to_string().ends_with("attempt 3"), "{error}");
    assert_eq!(tally.count(), 3);
}

#[test]
fn several_returns_are_retried_together() {
    engine();
    let tally = Tally::new();
    let (number, text) = in_parts.remote(tally, 3);
    assert_eq!(ray::get((number, text)).unwrap(), (3, "3".to_owned()));
    let tally = Tally::new();
    let (number, text) = in_parts.remote(tally, 4);
    assert!(ray::get(number).unwrap_err().is_task() && ray::get(text).unwrap_err().is_task());
    assert_eq!(tally.count(), 3);
}

/// Only failures of the body are retried, not a failed argument, an infeasible request (which waits on a cluster) or a cancel.
#[test]
fn failures_that_are_not_retried() {
    engine();
    let (tally, before) = (Tally::new(), Tally::new());
    let error = ray::get(for_ever.remote(tally, never_again.remote(before, 9))).unwrap_err();
    assert_eq!(error.downcast_ref::<String>().unwrap(), "attempt 1");
    assert_eq!((before.count(), tally.count()), (1, 0));
    if !cluster::wanted() {
        assert!(ray::get(for_ever.options().num_cpus(1e6).remote(tally, 1)).unwrap_err().is_infeasible());
    }
    let gate = Gate::new();
    let cancelled = waits.remote(tally, gate);
    tally.wait_for(1);
    ray::cancel(&cancelled).unwrap();
    gate.open();
    assert_eq!(ray::get(cancelled).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(tally.count(), 1);
}

#[remote(max_retries = -1, retry_exceptions = true)]
fn waits(tally: Tally, gate: Gate) -> Result<(), String> {
    tally.add();
    gate.wait();
    Err("cancelled meanwhile".into())
}

/// A task with unlimited retries can be cancelled.
#[test]
fn a_cancel_ends_the_attempts() {
    engine();
    let tally = Tally::new();
    let object = for_ever.remote(tally, u64::MAX);
    tally.wait_for(10);
    ray::cancel(&object).unwrap();
    assert!(ray::get(object).unwrap_err().is_cancelled());
}

#[remote(max_retries = 2, retry_exceptions = panicking_predicate)]
fn has_a_panicking_predicate(tally: Tally) -> Result<u64, String> {
    attempt(tally, 9)
}

fn panicking_predicate(_: &Error) -> bool {
    panic!("do not ask")
}

/// If the retry predicate panics, the task is not retried.
#[test]
fn a_retry_predicate_that_panics() {
    engine();
    let tally = Tally::new();
    assert!(ray::get(has_a_panicking_predicate.remote(tally)).unwrap_err().is_task());
    assert_eq!(tally.count(), 1);
}

static CLONES: AtomicUsize = AtomicUsize::new(0);

#[derive(Serialize, Deserialize)]
struct Counted {
    #[serde(skip)]
    alive: Arc<()>,
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        CLONES.fetch_add(1, Ordering::Relaxed);
        Counted { alive: self.alive.clone() }
    }
}

#[remote(max_retries = 3, retry_exceptions = true)]
fn uses_up(value: Counted, kept: &[u64], tally: Tally) -> Result<u64, String> {
    drop(value);
    attempt(tally, kept[0])
}

/// The arguments of a task that may be retried are kept, cloned for each attempt, and dropped when the task ends. On a cluster each
/// attempt decodes them.
#[test]
fn arguments_are_cloned_for_each_attempt() {
    engine();
    let alive = Arc::new(());
    let kept = ray::put(vec![3]);
    let tally = Tally::new();
    let object = uses_up.remote(Counted { alive: alive.clone() }, &kept, tally);
    assert_eq!(ray::get(object).unwrap(), 3);
    assert_eq!(CLONES.load(Ordering::Relaxed), calls(0, 3));
    assert_eq!(Arc::strong_count(&alive), 1, "dropped when the task succeeded");
    let object = uses_up.remote(Counted { alive: alive.clone() }, vec![9], Tally::new());
    ray::get(object).unwrap_err();
    assert_eq!(CLONES.load(Ordering::Relaxed), calls(0, 7));
    assert_eq!(Arc::strong_count(&alive), 1, "dropped when the task failed");
    assert_eq!(kept.take().unwrap(), [3], "the reference is the only one again");
}

#[remote(max_retries = 3, retry_exceptions = true)]
fn tells_its_attempt() -> Result<u32, String> {
    match ray::context().attempt() {
        3 => Ok(3),
        attempt => Err(attempt.to_string()),
    }
}

#[test]
fn the_context_reports_the_attempt() {
    engine();
    assert_eq!(ray::get(tells_its_attempt.remote()).unwrap(), 3);
}

/// Each attempt acquires its resources again, like any other task.
#[test]
fn attempts_hold_resources_one_at_a_time() {
    crate::support::in_child("retry::attempts_hold_resources_one_at_a_time", || {
        crate::support::init_with(ray::Config::new().num_cpus(1).resource("seat", 1.0)).unwrap();
        let (tally, many) = (Tally::new(), calls(5, 50));
        let object = for_ever.options().resource("seat", 1.0).remote(tally, many);
        let other = for_ever.options().resource("seat", 0.5).remote(Tally::new(), many);
        assert_eq!(ray::get((object, other)).unwrap(), (many, many));
        eventually("all resources are returned", || {
            let free = ray::available_resources().unwrap();
            (free["CPU"], free["seat"]) == (1.0, 1.0)
        });
    });
}
