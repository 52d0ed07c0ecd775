//! The events that the engine tells to a listener: fixed programs for each kind of event, and random programs whose events are
//! checked for their order. Each test has a child process of its own, because a process has one listener.

mod check;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use ray::__private::{Event, EventKind, Listening, listen};
use ray::{Config, ObjectRef, remote};

use crate::stage::{alone_on, alone_with, apart, eventually, hold_every_cpu, late};
use crate::support::{Gate, Tally};

/// Collects the events, in the order of the calls of the listener.
struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
    _listening: Listening,
}

impl Recorder {
    fn new() -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let into = events.clone();
        let listening = listen(Box::new(move |event: &Event| into.lock().push(event.clone()))).expect("there is no listener");
        Self { events, _listening: listening }
    }

    fn count(&self, is_so: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().iter().filter(|event| is_so(event)).count()
    }

    /// All events in the order of their times, when every task is settled; fails if their order is not the one that holds.
    #[track_caller]
    fn finish(self) -> Vec<Event> {
        eventually("the listener is told that every task is settled", || {
            let submitted = self.count(|event| event.kind == EventKind::Submitted);
            submitted == self.count(|event| matches!(event.kind, EventKind::Settled { .. }))
        });
        check::ordered(&self.events.lock())
    }
}

/// The kinds of the events of each task of that name, in the order of the submissions; `failed` for a task that fails.
fn stories(events: &[Event], name: &str) -> Vec<String> {
    let of = events.iter().filter(|event| event.kind == EventKind::Submitted && is_named(event, name));
    let story = |task| {
        let words = events.iter().filter(|event| event.task == task).map(|event| match event.kind {
            EventKind::Settled { failed: true } => "failed".to_owned(),
            EventKind::Settled { failed: false } => "settled".to_owned(),
            kind => format!("{kind:?}").to_lowercase(),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    of.map(|event| story(event.task)).collect()
}

fn is_named(event: &Event, name: &str) -> bool {
    event.name.rsplit("::").next() == Some(name)
}

fn find<'a>(events: &'a [Event], name: &str, kind: EventKind) -> &'a Event {
    let found = events.iter().find(|event| event.kind == kind && is_named(event, name));
    found.unwrap_or_else(|| panic!("no {kind:?} of {name}: {events:#?}"))
}

const SETTLED: EventKind = EventKind::Settled { failed: false };

#[remote]
fn square(x: u64) -> u64 {
    x * x
}

#[remote]
fn sum(a: u64, b: u64) -> u64 {
    a + b
}

#[remote]
fn refuse(_a: u64) -> Result<u64, String> {
    Err("refused".into())
}

#[remote(max_retries = 3, retry_exceptions = true)]
fn stumble(times: u32) -> Result<u32, String> {
    if ray::context().attempt() < times { Err("again".into()) } else { Ok(times) }
}

#[remote(num_returns = 2)]
fn halves(x: u64) -> (u64, u64) {
    (x / 2, x - x / 2)
}

#[test]
fn a_task_is_submitted_ready_started_and_settled() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let id = ray::get(ray::task(|| ray::context().task_id()).remote()).unwrap();
        let events = recorder.finish();
        assert_eq!(stories(&events, "closure"), ["submitted ready started settled"]);
        assert!(events.iter().all(|event| Some(event.task) == id && event.parent.is_none() && event.actor.is_none()));
        assert_eq!(find(&events, "closure", EventKind::Submitted).thread, find(&events, "closure", EventKind::Ready).thread);
    });
}

#[test]
fn an_argument_is_settled_before_its_dependants_are_ready() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let gate = Gate::new();
        let object = late(gate, 3);
        let dependants = [sum.remote(&object, 1), sum.remote(&object, square.remote(2))];
        gate.open();
        assert_eq!(ray::get(dependants).unwrap(), [4, 7]);
        let events = recorder.finish();
        assert_eq!(stories(&events, "sum"), ["submitted ready started settled"; 2]);
        let settled = find(&events, "late_u64", SETTLED).time;
        let ready = events.iter().filter(|event| event.kind == EventKind::Ready && is_named(event, "sum"));
        assert!(ready.map(|event| event.time).all(|time| time > settled));
    });
}

#[remote]
fn outer(gate: Gate, begun: Tally) -> ray::Result<u64> {
    begun.add();
    ray::get(late(gate, 1))
}

#[test]
fn a_body_that_waits_is_blocked_and_resumed() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let (gate, begun) = (Gate::new(), Tally::new());
        let object = outer.remote(gate, begun);
        begun.wait_for(1);
        eventually("the body waits", || recorder.count(|event| event.kind == EventKind::Blocked) == 1);
        gate.open();
        assert_eq!(ray::get(object).unwrap(), 1);
        let events = recorder.finish();
        assert_eq!(stories(&events, "outer"), ["submitted ready started blocked resumed settled"]);
        assert_eq!(stories(&events, "late_u64"), ["submitted ready started settled"]);
        let child = find(&events, "late_u64", EventKind::Submitted);
        let parent = find(&events, "outer", EventKind::Submitted);
        assert_eq!(child.parent, Some(parent.task));
        assert!(find(&events, "outer", EventKind::Resumed).time > find(&events, "late_u64", SETTLED).time);
    });
}

#[remote]
fn nest(x: u64) -> ray::Result<u64> {
    ray::get(square.remote(x))
}

#[test]
fn work_that_a_getter_runs_itself_starts_on_its_thread() {
    alone_on(1, || {
        // A definition must be known as short before a getter runs it, and a busy machine may delay that.
        eventually("a getter runs the work itself", || {
            let recorder = Recorder::new();
            assert_eq!(ray::get(nest.remote(3)).unwrap(), 9);
            let events = recorder.finish();
            let threads = ["nest", "square"].map(|name| find(&events, name, EventKind::Started).thread);
            threads[0] == threads[1] && stories(&events, "nest") == ["submitted ready started settled"]
        });
    });
}

#[test]
fn each_attempt_is_started() {
    alone_on(2, || {
        let recorder = Recorder::new();
        assert_eq!(ray::get(stumble.remote(2)).unwrap(), 2);
        assert!(ray::get(stumble.remote(9)).is_err());
        let events = recorder.finish();
        let expected =
            ["submitted ready started started started settled", "submitted ready started started started started failed"];
        assert_eq!(stories(&events, "stumble"), expected);
    });
}

#[test]
fn several_returns_are_one_task() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let (one, other) = halves.remote(7);
        assert_eq!(ray::get((one, other)).unwrap(), (3, 4));
        let events = recorder.finish();
        assert_eq!(events.len(), 4);
        assert_eq!(stories(&events, "halves"), ["submitted ready started settled"]);
    });
}

#[test]
fn a_task_that_fails_before_it_starts_is_settled() {
    alone_on(1, || {
        let recorder = Recorder::new();
        let gate = Gate::new();
        let dependant = sum.remote(refuse.remote(late(gate, 1)), 2);
        let waiting = square.remote(late(gate, 1));
        ray::cancel(&waiting).unwrap();
        let held = hold_every_cpu(gate);
        let queued = halves.remote(1);
        ray::cancel(&queued.0).unwrap();
        gate.open();
        assert!(ray::get(dependant).is_err() && ray::get(queued.1).unwrap_err().is_cancelled());
        ray::get(held).unwrap();
        let events = recorder.finish();
        assert_eq!(stories(&events, "refuse"), ["submitted ready started failed"]);
        assert_eq!(stories(&events, "sum"), ["submitted failed"]);
        assert_eq!(stories(&events, "square"), ["submitted failed"]);
        assert_eq!(stories(&events, "halves"), ["submitted ready failed"]);
    });
}

#[test]
fn nothing_is_told_after_the_end() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let (gate, begun) = (Gate::new(), Tally::new());
        let object = outer.remote(gate, begun);
        eventually("the body waits", || recorder.count(|event| event.kind == EventKind::Blocked) == 1);
        ray::cancel(&object).unwrap();
        assert!(ray::get(object).unwrap_err().is_cancelled());
        gate.open();
        let events = recorder.finish();
        assert_eq!(stories(&events, "outer"), ["submitted ready started blocked failed"]);
    });
}

#[test]
fn a_refused_submission_is_not_told() {
    alone_on(1, || {
        let recorder = Recorder::new();
        assert!(ray::get(square.options().num_cpus(64.0).remote(1)).unwrap_err().is_infeasible());
        assert!(recorder.finish().is_empty());
    });
}

#[remote]
async fn linger(gate: Gate) -> ray::Result<u64> {
    gate.opened().await;
    square.remote(2).await
}

#[test]
fn an_async_body_starts_with_its_first_poll_and_is_never_blocked() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let gate = Gate::new();
        let object = linger.remote(gate);
        let given_up = linger.remote(Gate::new());
        eventually("both are polled", || recorder.count(|event| event.kind == EventKind::Started) == 2);
        gate.open();
        ray::cancel(&given_up).unwrap();
        assert_eq!(ray::get(object).unwrap(), 4);
        let events = recorder.finish();
        assert_eq!(stories(&events, "linger"), ["submitted ready started settled", "submitted ready started failed"]);
        let parent = find(&events, "square", EventKind::Submitted).parent;
        assert_eq!(parent, Some(find(&events, "linger", EventKind::Submitted).task));
    });
}

#[remote]
struct Counter(u64);

#[remote]
impl Counter {
    pub fn new(from: u64) -> Self {
        Counter(from)
    }
    pub fn add(&mut self, x: u64) -> u64 {
        self.0 += x;
        self.0
    }
    pub fn tear(&mut self) {
        panic!("torn")
    }
}

#[remote(max_concurrency = 2)]
struct Pair;

#[remote]
impl Pair {
    pub fn new() -> Self {
        Pair
    }
    pub fn block(&self, object: ObjectRef<u64>) -> ray::Result<u64> {
        ray::get(object)
    }
}

#[test]
fn the_calls_of_an_actor_are_told_with_its_creation() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let gate = Gate::new();
        let counter = Counter::options().name("counter").remote(late(gate, 1));
        let calls = [counter.add.remote(late(gate, 2)), counter.add.remote(3)];
        gate.open();
        assert_eq!(ray::get(calls).unwrap(), [3, 6]);
        counter.add.tell(4);
        assert_eq!(ray::get(counter.add.remote(0)).unwrap(), 10);
        assert!(ray::get(counter.tear.remote()).is_err());
        assert!(ray::get(counter.add.remote(0)).unwrap_err().is_actor_died());
        let events = recorder.finish();
        assert_eq!(stories(&events, "new"), ["submitted ready started settled"]);
        let mut calls = vec!["submitted ready started settled"; 4];
        calls.push("submitted ready failed");
        assert_eq!(stories(&events, "add"), calls);
        assert_eq!(stories(&events, "tear"), ["submitted ready started failed"]);
        let actors: Vec<_> = events.iter().filter(|event| !is_named(event, "late_u64")).map(|event| event.actor).collect();
        assert!(actors[0].is_some() && actors.iter().all(|actor| *actor == actors[0]));
    });
}

#[test]
fn calls_that_run_side_by_side_are_blocked_each_by_itself() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let (pair, gate) = (Pair::remote(), Gate::new());
        let gated = late(gate, 5);
        let calls = [pair.block.remote(&gated), pair.block.remote(&gated)];
        eventually("both wait", || recorder.count(|event| event.kind == EventKind::Blocked) == 2);
        gate.open();
        assert_eq!(ray::get(calls).unwrap(), [5, 5]);
        let events = recorder.finish();
        assert_eq!(stories(&events, "block"), ["submitted ready started blocked resumed settled"; 2]);
    });
}

#[test]
fn a_crash_of_a_constructor_is_followed_by_another_attempt() {
    alone_on(2, || {
        let recorder = Recorder::new();
        let tally = Tally::new();
        let frail = Frail::options().max_restarts(2).max_task_retries(1).remote(tally);
        assert_eq!(ray::get(frail.count.remote(tally)).unwrap(), 5);
        let events = recorder.finish();
        // Once there, the actor crashes in its method and is made anew, which is not told.
        assert_eq!(stories(&events, "new"), ["submitted ready started started settled"]);
        assert_eq!(stories(&events, "count"), ["submitted ready started started settled"]);
    });
}

#[remote]
struct Frail;

#[remote]
impl Frail {
    pub fn new(tally: Tally) -> Self {
        assert!(tally.add() > 1, "the first attempt fails");
        Frail
    }
    pub fn count(&mut self, tally: Tally) -> u64 {
        let count = tally.add();
        assert!(count > 3, "the first attempt fails");
        count
    }
}

#[test]
fn a_listener_that_panics_is_called_again() {
    alone_with(&[], || {
        crate::support::init_with(Config::new().num_cpus(2)).unwrap();
        let called = Arc::new(AtomicU64::new(0));
        let here = called.clone();
        let listening = listen(Box::new(move |_: &Event| {
            here.fetch_add(1, Ordering::SeqCst);
            panic!("a listener of the test");
        }));
        assert_eq!(ray::get(square.remote(3)).unwrap(), 9);
        eventually("each event is told", || called.load(Ordering::SeqCst) == 4);
        drop(listening);
        assert_eq!(ray::get(square.remote(3)).unwrap(), 9);
        assert_eq!(called.load(Ordering::SeqCst), 4);
    });
}

#[test]
fn a_listener_cannot_use_the_engine() {
    apart(|| {
        crate::support::init_with(Config::new().num_cpus(2)).unwrap();
        let refused = Arc::new(AtomicU64::new(0));
        let here = refused.clone();
        let there = ray::put(1);
        let listening = listen(Box::new(move |_: &Event| {
            let errors = [
                ray::get(square.remote(1)).unwrap_err(),
                ray::get(ray::put(1)).unwrap_err(),
                ray::get(Counter::remote(1).add.remote(1)).unwrap_err(),
                ray::shutdown().unwrap_err(),
                ray::get_actor::<Counter>("counter").unwrap_err(),
            ];
            assert_eq!(ray::get(&there).unwrap(), 1, "what is there can be read");
            assert!(catch_unwind(AssertUnwindSafe(|| panic!("inside"))).is_err());
            if errors[..2].iter().all(|error| error.to_string().contains("must not call into ray")) {
                here.fetch_add(1, Ordering::SeqCst);
            }
        }));
        assert!(listen(Box::new(|_: &Event| ())).unwrap_err().is_invalid_argument());
        assert_eq!(ray::get(nest.remote(3)).unwrap(), 9);
        eventually("each event is told", || refused.load(Ordering::SeqCst) >= 8);
        drop(listening);
        drop(listen(Box::new(|_: &Event| ())).expect("the former listener is gone"));
    });
}

#[test]
fn the_events_of_random_programs_are_in_order() {
    alone_with(&[("RAY_IGNORE_UNHANDLED_ERRORS", "1")], || {
        let seed = std::env::var("RAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let recorder = Recorder::new();
        crate::random::run(seed.unwrap_or(20_260_729), 20_000);
        let events = recorder.finish();
        println!("{} events", events.len());
        // Calls of actors are among the programs, also calls that are told without a reference.
        for name in ["add", "nest", "note", "hear"] {
            find(&events, name, EventKind::Started);
        }
    });
}
