//! Kill, restart, exit, cancel and shutdown of serial, concurrent and async actors while calls run, wait or are queued.

use ray::{ActorHandle, ActorState, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::stage::{Token, alone, alone_on, apart, eventually, late};
use crate::support::{Gate, Tally};

/// Counts that a body runs, and blocks the body until the gate opens.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stop {
    pub(crate) running: Tally,
    pub(crate) gate: Gate,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Stop { running: Tally::new(), gate: Gate::new() }
    }

    pub(crate) fn meet(self) {
        self.running.add();
        self.gate.wait();
    }
}

macro_rules! class {
    ($name:ident, [$($options:tt)*], [$($asyncness:tt)*]) => {
        #[remote($($options)*)]
        struct $name {
            number: u64,
            #[allow(dead_code, reason = "the test observes its drop")]
            token: Token,
        }

        #[remote]
        impl $name {
            pub fn new(made: Tally, dropped: Tally) -> Self {
                $name { number: made.add(), token: Token(dropped) }
            }
            /// Returns the number of the instance; blocks its thread at `stop` first, also in an async actor.
            pub $($asyncness)* fn pass(&self, stop: Option<Stop>) -> u64 {
                if let Some(stop) = stop {
                    stop.meet();
                }
                self.number
            }
            pub $($asyncness)* fn change(&mut self) -> u64 {
                self.number
            }
            pub $($asyncness)* fn leave(&self, stop: Option<Stop>) -> u64 {
                if let Some(stop) = stop {
                    stop.meet();
                }
                ray::exit_actor().unwrap();
                5
            }
            pub $($asyncness)* fn crash(&self) {
                panic!("crashes");
            }
            /// The first attempt panics if `crashes`, and otherwise waits until it is cancelled.
            #[method(max_task_retries = -1)]
            pub $($asyncness)* fn attempt(&self, inside: Tally, count: u64, crashes: bool) -> (u64, u32) {
                if ray::context().attempt() == 0 {
                    inside.add();
                    inside.wait_for(count);
                    assert!(!crashes, "crashes at the first attempt");
                    while !ray::context().is_cancelled() {
                        std::thread::yield_now();
                    }
                }
                (self.number, ray::context().attempt())
            }
        }
    };
}

class!(Serial, [max_restarts = 1], []);
class!(Side, [max_restarts = 1, max_concurrency = 4], []);
class!(Woven, [max_restarts = 1], [async]);

/// Runs the block for each of the three kinds of actors.
macro_rules! for_each_sort {
    ($actor:ident of ($made:ident, $dropped:ident) $body:block) => {
        for_each_sort!(@ Serial, $actor, $made, $dropped, $body);
        for_each_sort!(@ Side, $actor, $made, $dropped, $body);
        for_each_sort!(@ Woven, $actor, $made, $dropped, $body);
    };
    (@ $class:ident, $actor:ident, $made:ident, $dropped:ident, $body:block) => {{
        let ($made, $dropped) = (Tally::new(), Tally::new());
        let $actor = $class::remote($made, $dropped);
        $body
    }};
}

#[track_caller]
fn all_died<T: Clone + Send + Sync + 'static>(calls: Vec<ObjectRef<T>>) {
    for call in calls {
        assert!(ray::get(call).map(drop).unwrap_err().is_actor_died());
    }
}

/// An exclusive call that is cancelled while it waits does not block the calls queued behind it.
#[test]
fn a_cancelled_exclusive_call_does_not_block_later_calls() {
    alone(|| {
        macro_rules! check {
            ($class:ident, $cancel:expr) => {{
                let actor = $class::remote(Tally::new(), Tally::new());
                let stop = Stop::new();
                let inside = actor.pass.remote(Some(stop));
                stop.running.wait_for(1);
                let exclusive = actor.change.remote();
                let behind = actor.pass.remote(None);
                ray::get(crate::stage::nothing.remote()).unwrap();
                assert!(!behind.is_ready());
                $cancel(exclusive);
                assert_eq!(ray::get(behind).unwrap(), 1);
                stop.gate.open();
                assert_eq!(ray::get(inside).unwrap(), 1);
            }};
        }
        for _ in 0..20 {
            check!(Side, |call: ObjectRef<u64>| ray::cancel(&call).unwrap());
            check!(Side, |call: ObjectRef<u64>| drop(call.cancel_on_drop()));
            check!(Woven, |call: ObjectRef<u64>| ray::cancel(&call).unwrap());
        }
        // Cancelling the task that submitted the call cancels the call as well.
        let side = Side::remote(Tally::new(), Tally::new());
        let (stop, sent, never) = (Stop::new(), Gate::new(), Gate::new());
        let inside = side.pass.remote(Some(stop));
        stop.running.wait_for(1);
        let handle = side.clone();
        let parent = ray::task(move || {
            let call = handle.change.remote();
            sent.open();
            never.wait();
            drop(call);
        })
        .num_cpus(0.0)
        .remote();
        sent.wait();
        let behind = side.pass.remote(None);
        ray::cancel(&parent).unwrap();
        assert_eq!(ray::get(behind).unwrap(), 1);
        stop.gate.open();
        never.open();
        ray::get(inside).unwrap();
    });
}

/// A body that was short so far blocks. The calls queued behind it fail when the actor is killed, not when the body ends.
#[test]
fn a_kill_fails_calls_queued_behind_a_blocked_body() {
    alone(|| {
        for told in [false, true] {
            for_each_sort!(actor of (made, dropped) {
                for _ in 0..crate::support::calls(10, 100) {
                    ray::get(actor.pass.remote(None)).unwrap();
                }
                // The first call blocks, so that the runner takes all later calls out of the mailbox at once.
                let (first, second) = (Stop::new(), Stop::new());
                let holds = actor.change.remote();
                ray::get(holds).unwrap();
                actor.pass.tell(Some(first));
                first.running.wait_for(1);
                let mut calls = Vec::new();
                if told {
                    actor.pass.tell(Some(second));
                } else {
                    calls.push(actor.pass.remote(Some(second)));
                }
                calls.extend((0..crate::support::calls(100, 1000)).map(|_| actor.change.remote()));
                first.gate.open();
                second.running.wait_for(1);
                ray::kill(&actor);
                all_died(calls);
                assert_eq!(dropped.count(), 0, "the running body still uses the state");
                second.gate.open();
                dropped.wait_for(1);
                assert_eq!((made.count(), dropped.count()), (1, 1));
            });
        }
    });
}

/// A kill before any call has run, or while calls are ending.
#[test]
fn a_kill_at_any_moment() {
    alone_on(2, || {
        for _ in 0..crate::support::calls(10, 100) {
            for_each_sort!(actor of (made, dropped) {
                let calls: Vec<_> = (0..crate::support::calls(40, 200)).map(|_| actor.pass.remote(None)).collect();
                actor.pass.tell(None);
                let helper = actor.clone();
                let getter = std::thread::spawn(move || {
                    let calls: Vec<_> = (0..50).map(|_| helper.pass.remote(None)).collect();
                    calls.into_iter().map(ray::get).all(|got| got.map_or_else(|error| error.is_actor_died(), |one| one == 1))
                });
                if made.count() > 0 {
                    std::thread::yield_now();
                }
                ray::kill(&actor);
                for call in calls {
                    assert!(ray::get(call).map_or_else(|error| error.is_actor_died(), |one| one == 1));
                }
                assert!(getter.join().unwrap());
                eventually("the state is dropped", || made.count() == dropped.count());
            });
        }
    });
}

/// After a restart queued calls run on the new instance, also those that a getter runs on its own thread.
#[test]
fn a_restart_while_a_getter_runs_the_calls() {
    alone(|| {
        for turn in 0..20 {
            for_each_sort!(actor of (made, dropped) {
                for _ in 0..crate::support::calls(10, 100) {
                    ray::get(actor.pass.remote(None)).unwrap();
                }
                let (stop, handle) = (Stop::new(), actor.clone());
                let getter = std::thread::spawn(move || {
                    if turn % 2 == 0 {
                        handle.pass.tell(Some(stop));
                    } else {
                        drop(handle.pass.remote(Some(stop)));
                    }
                    stop.running.wait_for(u64::from(turn % 4 < 2));
                    let calls: Vec<_> = (0..30).map(|_| handle.change.remote()).collect();
                    calls.into_iter().rev().map(ray::get).collect::<Vec<_>>()
                });
                stop.running.wait_for(1);
                ray::kill_and_restart(&actor);
                let after = actor.change.remote();
                stop.gate.open();
                assert_eq!(ray::get(after).unwrap(), 2);
                for got in getter.join().unwrap() {
                    // The calls were queued behind the blocked one, so they run after the restart.
                    assert_eq!(got.unwrap(), 2);
                }
                assert_eq!((made.count(), dropped.count()), (2, 1));
            });
        }
    });
}

/// `kill_and_restart` has no effect while the creation waits for its arguments. Later it uses up one restart, also before
/// the constructor has run.
#[test]
fn a_restart_before_the_constructor_has_run() {
    alone_on(2, || {
        let gate = Gate::new();
        let (made, dropped) = (Tally::new(), Tally::new());
        let waits = Serial::remote(late(gate, made), dropped);
        ray::kill_and_restart(&waits);
        ray::kill_and_restart(&waits);
        assert_eq!(waits.state(), ActorState::PendingCreation);
        gate.open();
        assert_eq!(ray::get(waits.pass.remote(None)).unwrap(), 1);
        assert!(ray::get(waits.crash.remote()).unwrap_err().is_actor_unavailable(), "the restart is not used up");
        assert_eq!(ray::get(waits.pass.remote(None)).unwrap(), 2);

        let (made, dropped) = (Tally::new(), Tally::new());
        let holds = Serial::options().num_cpus(2.0).remote(Tally::new(), Tally::new());
        ray::get(holds.ready()).unwrap();
        let pending = Serial::options().num_cpus(1.0).remote(made, dropped);
        ray::kill_and_restart(&pending);
        assert_eq!((pending.state(), made.count()), (ActorState::Restarting, 0));
        ray::kill(&holds);
        assert_eq!(ray::get(pending.pass.remote(None)).unwrap(), 1);
        assert!(ray::get(pending.crash.remote()).unwrap_err().is_actor_died(), "its restart is used up");

        for _ in 0..crate::support::calls(10, 100) {
            for_each_sort!(actor of (made, dropped) {
                ray::kill_and_restart(&actor);
                let number = ray::get(actor.pass.remote(None)).unwrap();
                assert_eq!(number, made.count());
                assert!(ray::get(actor.crash.remote()).unwrap_err().is_actor_died(), "its restart is used up");
                eventually("the state is dropped", || dropped.count() == made.count());
            });
            let twice = Serial::remote(Tally::new(), Tally::new());
            ray::kill_and_restart(&twice);
            ray::kill_and_restart(&twice);
            assert!(ray::get(twice.pass.remote(None)).unwrap_err().is_actor_died());
        }
    });
}

/// Calls in flight during a crash or `kill_and_restart` are retried if their `max_task_retries` allow it, for each kind of
/// actor.
#[test]
fn calls_in_flight_are_retried_after_a_restart() {
    alone_on(4, || {
        macro_rules! check {
            ($class:ident, $count:expr, $crashes:expr) => {{
                let (made, dropped, inside) = (Tally::new(), Tally::new(), Tally::new());
                let actor = $class::remote(made, dropped);
                let calls: Vec<_> = (0..$count).map(|at| actor.attempt.remote(inside, $count, $crashes && at == 1)).collect();
                inside.wait_for($count);
                if !$crashes {
                    ray::kill_and_restart(&actor);
                }
                for call in calls {
                    assert_eq!(ray::get(call).unwrap(), (2, 1));
                }
                assert_eq!((made.count(), dropped.count()), (2, 1));
            }};
        }
        for _ in 0..10 {
            check!(Side, 4, true);
            check!(Side, 4, false);
            check!(Woven, 4, true);
            check!(Woven, 4, false);
            check!(Serial, 1, false);
        }
        // A call without retries fails; concurrent calls with retries are retried.
        let (inside, stop) = (Tally::new(), Stop::new());
        let side = Side::remote(Tally::new(), Tally::new());
        let fails = side.pass.remote(Some(stop));
        stop.running.wait_for(1);
        let again = side.attempt.remote(inside, 2, false);
        let crashes = side.attempt.remote(inside, 2, true);
        assert!(ray::get(fails).unwrap_err().is_actor_unavailable());
        stop.gate.open();
        assert_eq!(ray::get(again).unwrap(), (2, 1));
        assert_eq!(ray::get(crashes).unwrap(), (2, 1));
    });
}

/// `exit_actor` fails all calls of the actor with `ActorDied`: the one that calls it, concurrent ones and queued ones.
#[test]
fn exit_actor_fails_all_calls() {
    alone(|| {
        for told in [false, true] {
            for_each_sort!(actor of (made, dropped) {
                let stop = Stop::new();
                let mut calls = Vec::new();
                if told {
                    actor.leave.tell(Some(stop));
                } else {
                    calls.push(actor.leave.remote(Some(stop)));
                }
                stop.running.wait_for(1);
                calls.extend((0..10).map(|_| actor.change.remote()));
                stop.gate.open();
                for call in calls {
                    let error = ray::get(call).unwrap_err();
                    assert!(error.is_actor_died() && error.to_string().contains("has ended itself"), "{error}");
                }
                assert!(ray::get(actor.pass.remote(None)).unwrap_err().is_actor_died());
                dropped.wait_for(1);
                assert_eq!((made.count(), actor.state()), (1, ActorState::Dead), "the actor does not restart");
            });
        }
        // With concurrent calls that never end by themselves.
        let inside = Tally::new();
        let side = Side::remote(Tally::new(), Tally::new());
        let beside = side.attempt.remote(inside, 1, false);
        inside.wait_for(1);
        assert!(ray::get(side.leave.remote(None)).unwrap_err().is_actor_died());
        assert!(ray::get(beside).unwrap_err().is_actor_died());
        let lasting = LeavingLasting::remote();
        let beside = lasting.stay.remote(inside);
        inside.wait_for(2);
        assert!(ray::get(lasting.leave.remote()).unwrap_err().is_actor_died());
        assert!(ray::get(beside).unwrap_err().is_actor_died());
    });
}

#[remote]
struct LeavingLasting;

#[remote]
impl LeavingLasting {
    pub fn new() -> Self {
        LeavingLasting
    }
    pub async fn stay(&self, inside: Tally) -> u64 {
        inside.add();
        std::future::pending().await
    }
    pub async fn leave(&self) -> u64 {
        ray::exit_actor().unwrap();
        5
    }
}

/// An actor that waits for resources and has neither handles nor calls never starts; its arguments are dropped at once.
#[test]
fn an_unreachable_actor_that_waits_for_resources_never_starts() {
    alone_on(2, || {
        let (made, dropped) = (Tally::new(), Tally::new());
        let holds = Serial::options().num_cpus(2.0).remote(Tally::new(), Tally::new());
        ray::get(holds.ready()).unwrap();
        let handle = Holder::options().num_cpus(1.0).remote(Serial::remote(made, dropped));
        drop(handle);
        dropped.wait_for(made.count());
        let killed = Holder::options().num_cpus(1.0).remote(Serial::remote(made, dropped));
        ray::kill(&killed);
        eventually("the arguments are dropped", || dropped.count() == 2);
        let called = Holder::options().num_cpus(1.0).remote(Serial::remote(made, dropped));
        let call = called.number.remote();
        drop(called);
        ray::kill(&holds);
        assert_eq!(ray::get(ray::get(call).unwrap()).unwrap(), 3, "a call that was sent before still runs");
        eventually("all states are dropped", || dropped.count() == 3);
    });
}

#[remote]
struct Holder {
    serial: ActorHandle<Serial>,
}

#[remote]
impl Holder {
    pub fn new(serial: ActorHandle<Serial>) -> Self {
        Holder { serial }
    }
    pub fn number(&self) -> ObjectRef<u64> {
        self.serial.pass.remote(None)
    }
}

/// A shutdown drops the states of actors, also of idle ones, although handles still exist.
#[test]
fn a_shutdown_drops_actor_states() {
    apart(|| {
        for _ in 0..20 {
            crate::support::init_with(ray::Config::new().num_cpus(2)).unwrap();
            let (made, dropped) = (Tally::new(), Tally::new());
            let (serial, side, woven) =
                (Serial::remote(made, dropped), Side::remote(made, dropped), Woven::remote(made, dropped));
            let fresh = Serial::remote(made, dropped);
            let named = Serial::options().name("named").num_cpus(1.0).remote(made, dropped);
            serial.pass.tell(None);
            ray::get((side.pass.remote(None), woven.pass.remote(None), named.pass.remote(None))).unwrap();
            ray::get((serial.ready(), fresh.ready())).unwrap();
            let never_called = Serial::remote(made, dropped);
            ray::shutdown().unwrap();
            eventually("all states are dropped", || made.count() >= 5 && dropped.count() == made.count());
            assert!(ray::get(serial.pass.remote(None)).unwrap_err().is_runtime_gone());
            drop((serial, side, woven, fresh, named, never_called));
            assert_eq!(dropped.count(), made.count());
        }
    });
}

/// The state of an actor whose body outlives the engine is dropped when that body ends.
#[test]
fn a_shutdown_while_actor_bodies_run() {
    apart(|| {
        for told in [false, true] {
            crate::support::init_with(ray::Config::new().num_cpus(2).shutdown_grace(std::time::Duration::ZERO)).unwrap();
            let (made, dropped, stop) = (Tally::new(), Tally::new(), Stop::new());
            let (serial, side) = (Serial::remote(made, dropped), Side::remote(made, dropped));
            if told {
                serial.pass.tell(Some(stop));
                side.pass.tell(Some(stop));
            } else {
                drop((serial.pass.remote(Some(stop)), side.pass.remote(Some(stop))));
            }
            stop.running.wait_for(2);
            ray::shutdown().expect_err("two bodies still run");
            assert_eq!(dropped.count(), 0);
            stop.gate.open();
            dropped.wait_for(2);
            drop((serial, side));
            assert_eq!(dropped.count(), 2);
        }
    });
}

/// A second kill or the drop of a dead actor does not affect a new actor with the same name.
#[test]
fn a_reused_name_stays_with_its_new_actor() {
    alone(|| {
        for _ in 0..crate::support::calls(10, 100) {
            let former = Serial::options().name("one").remote(Tally::new(), Tally::new());
            ray::kill(&former);
            let next = Serial::options().name("one").remote(Tally::new(), Tally::new());
            ray::kill(&former);
            drop(former);
            assert!(ray::get_actor::<Serial>("one").unwrap().id() == next.id());
            ray::kill(&next);
            assert!(ray::get_actor::<Serial>("one").unwrap_err().is_actor_not_found());
            assert!(ray::list_named_actors().is_empty());
        }
    });
}
