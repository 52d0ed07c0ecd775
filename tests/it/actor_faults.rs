//! Kill, restart, exit, cancel and shutdown of serial, concurrent and async actors while calls run, wait or are queued.

use ray::{ActorHandle, ActorState, ObjectRef, remote};

use crate::actor_sorts::{Serial, Side, Stop, Woven, all_died, for_each_sort};
use crate::stage::{alone, alone_on, apart, dropped_after_kill, eventually, late, on_cluster, soon};
use crate::support::{Gate, Tally, calls};

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
        for _ in 0..calls(1, 20) {
            check!(Side, |call: ObjectRef<u64>| ray::cancel(&call).unwrap());
            check!(Side, |call: ObjectRef<u64>| drop(call.cancel_on_drop()));
            check!(Woven, |call: ObjectRef<u64>| ray::cancel(&call).unwrap());
        }
        // Cancelling the task that submitted the call cancels the call as well.
        let side = Side::remote(Tally::new(), Tally::new());
        let (stop, sent, never) = (Stop::new(), Gate::new(), Gate::new());
        let inside = side.pass.remote(Some(stop));
        stop.running.wait_for(1);
        let parent = calls_and_waits.remote(side.clone(), sent, never);
        sent.wait();
        let behind = side.pass.remote(None);
        ray::cancel(&parent).unwrap();
        assert_eq!(ray::get(behind).unwrap(), 1);
        stop.gate.open();
        never.open();
        ray::get(inside).unwrap();
    });
}

/// Sends an exclusive call, and waits.
#[remote(num_cpus = 0)]
fn calls_and_waits(side: ActorHandle<Side>, sent: Gate, never: Gate) {
    let call = side.change.remote();
    sent.open();
    never.wait();
    drop(call);
}

/// A body that was short so far blocks. The calls queued behind it fail when the actor is killed, not when the body ends.
#[test]
fn a_kill_fails_calls_queued_behind_a_blocked_body() {
    alone(|| {
        for told in [false, true] {
            for_each_sort!(actor of (made, dropped) {
                for _ in 0..calls(3, 100) {
                    ray::get(actor.pass.remote(None)).unwrap();
                }
                // The first call blocks, so that the runner takes all later calls out of the mailbox at once.
                let (first, second) = (Stop::new(), Stop::new());
                let holds = actor.change.remote();
                ray::get(holds).unwrap();
                actor.pass.tell(Some(first));
                first.running.wait_for(1);
                let mut queued = Vec::new();
                if told {
                    actor.pass.tell(Some(second));
                } else {
                    queued.push(actor.pass.remote(Some(second)));
                }
                if crate::cluster::wanted() {
                    // The threads of a concurrent actor of Ray may begin calls in another order.
                    first.gate.open();
                    second.running.wait_for(1);
                }
                queued.extend((0..calls(20, 1000)).map(|_| actor.change.remote()));
                first.gate.open();
                second.running.wait_for(1);
                ray::kill(&actor).unwrap();
                all_died(queued);
                assert_eq!(dropped.count(), 0, "the running body still uses the state");
                second.gate.open();
                dropped_after_kill(dropped, 1);
                assert_eq!(made.count(), 1);
            });
        }
    });
}

/// A kill before any call has run, or while calls are ending.
#[test]
fn a_kill_at_any_moment() {
    alone_on(2, || {
        for round in 0..calls(2, 100) {
            for_each_sort!(actor of (made, dropped) {
                let sent: Vec<_> = (0..calls(20, 200)).map(|_| actor.pass.remote(None)).collect();
                actor.pass.tell(None);
                let helper = actor.clone();
                let getter = std::thread::spawn(move || {
                    let sent: Vec<_> = (0..calls(10, 50)).map(|_| helper.pass.remote(None)).collect();
                    sent.into_iter().map(ray::get).all(|got| got.map_or_else(|error| error.is_actor_died(), |one| one == 1))
                });
                if on_cluster() && round > 0 {
                    // The actor needs much longer to start than the calls need to be sent.
                    made.wait_for(1);
                } else if made.count() > 0 {
                    std::thread::yield_now();
                }
                ray::kill(&actor).unwrap();
                for call in sent {
                    assert!(ray::get(call).map_or_else(|error| error.is_actor_died(), |one| one == 1));
                }
                assert!(getter.join().unwrap());
                if on_cluster() {
                    dropped_after_kill(dropped, 1);
                } else {
                    eventually("the state is dropped", || made.count() == dropped.count());
                }
            });
        }
    });
}

/// After a restart queued calls run on the new instance, also those that a getter runs on its own thread.
#[test]
fn a_restart_while_a_getter_runs_the_calls() {
    alone(|| {
        // On a cluster the queued calls are in the process that ends, so they need retries: a test of `differs_calls` has none.
        let retries = calls(-1, 0);
        for turn in 0..calls(2, 20) {
            for_each_sort!(actor of (made, dropped) with retries retries {
                for _ in 0..calls(3, 100) {
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
                    let sent: Vec<_> = (0..calls(5, 30)).map(|_| handle.change.remote()).collect();
                    sent.into_iter().rev().map(ray::get).collect::<Vec<_>>()
                });
                stop.running.wait_for(1);
                ray::kill_and_restart(&actor).unwrap();
                if on_cluster() {
                    // The process of the first instance ends some time after the call of `kill_and_restart`.
                    made.wait_for(2);
                }
                let after = actor.change.remote();
                stop.gate.open();
                assert_eq!(ray::get(after).unwrap(), 2);
                for got in getter.join().unwrap() {
                    // The calls were queued behind the blocked one, so they run after the restart.
                    assert_eq!(got.unwrap(), 2);
                }
                assert_eq!(made.count(), 2);
                dropped_after_kill(dropped, 1);
            });
        }
    });
}

/// The outcome of a call. On a cluster a call without retries fails while the actor starts again, so it is sent again.
fn outcome<T: Clone + Send + Sync + 'static>(call: impl Fn() -> ObjectRef<T>) -> ray::Result<T> {
    let mut outcome = ray::get(call());
    if on_cluster() {
        eventually("the actor has started", || {
            let is_there = !outcome.as_ref().is_err_and(ray::Error::is_actor_unavailable);
            if !is_there {
                outcome = ray::get(call());
            }
            is_there
        });
    }
    outcome
}

/// `kill_and_restart` has no effect while the creation waits for its arguments. Later it uses up one restart, also before
/// the constructor has run.
#[test]
fn a_restart_before_the_constructor_has_run() {
    alone_on(2, || {
        let gate = Gate::new();
        let (made, dropped) = (Tally::new(), Tally::new());
        let waits = Serial::remote(late(gate, made), dropped);
        ray::kill_and_restart(&waits).unwrap();
        ray::kill_and_restart(&waits).unwrap();
        assert_eq!(waits.state(), ActorState::PendingCreation);
        gate.open();
        assert_eq!(ray::get(waits.pass.remote(None)).unwrap(), 1);
        assert!(ray::get(waits.crash.remote()).unwrap_err().is_actor_unavailable(), "the restart is not used up");
        // On a cluster a call fails while the actor starts again.
        soon("the actor has restarted", || ray::get(waits.pass.remote(None)).is_ok_and(|number| number == 2));

        let (made, dropped) = (Tally::new(), Tally::new());
        let holds = Serial::options().num_cpus(2.0).remote(Tally::new(), Tally::new());
        ray::get(holds.ready()).unwrap();
        let pending = Serial::options().num_cpus(1.0).remote(made, dropped);
        ray::kill_and_restart(&pending).unwrap();
        soon("the actor restarts", || pending.state() == ActorState::Restarting);
        assert_eq!(made.count(), 0);
        ray::kill(&holds).unwrap();
        assert_eq!(outcome(|| pending.pass.remote(None)).unwrap(), 1);
        assert!(outcome(|| pending.crash.remote()).unwrap_err().is_actor_died(), "its restart is used up");

        for _ in 0..calls(1, 100) {
            for_each_sort!(actor of (made, dropped) {
                ray::kill_and_restart(&actor).unwrap();
                let number = outcome(|| actor.pass.remote(None)).unwrap();
                if !on_cluster() {
                    assert_eq!(number, made.count());
                }
                assert!(outcome(|| actor.crash.remote()).unwrap_err().is_actor_died(), "its restart is used up");
                assert!(made.count() <= 2);
                if !on_cluster() {
                    eventually("the state is dropped", || dropped.count() == made.count());
                }
            });
            let twice = Serial::remote(Tally::new(), Tally::new());
            ray::kill_and_restart(&twice).unwrap();
            ray::kill_and_restart(&twice).unwrap();
            assert!(outcome(|| twice.pass.remote(None)).unwrap_err().is_actor_died());
        }
    });
}

/// Whether a call has run on the second instance, in its second attempt. Ray also counts attempts to reach an actor that
/// restarts, and none of async methods.
fn is_again((instance, attempt): (u64, u32)) -> bool {
    instance == 2 && (attempt == 1 || on_cluster())
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
                let sent: Vec<_> = (0..$count).map(|at| actor.attempt.remote(inside, $count, $crashes && at == 1)).collect();
                inside.wait_for($count);
                if !$crashes {
                    ray::kill_and_restart(&actor).unwrap();
                }
                for call in sent {
                    assert!(is_again(ray::get(call).unwrap()));
                }
                assert_eq!(made.count(), 2);
                dropped_after_kill(dropped, 1);
            }};
        }
        for _ in 0..calls(1, 10) {
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
        assert!(is_again(ray::get(again).unwrap()));
        assert!(is_again(ray::get(crashes).unwrap()));
    });
}

/// `exit_actor` fails all calls of the actor with `ActorDied`: the one that calls it, concurrent ones and queued ones.
#[test]
fn exit_actor_fails_all_calls() {
    alone(|| {
        for told in [false, true] {
            for_each_sort!(actor of (made, dropped) {
                let stop = Stop::new();
                let mut sent = Vec::new();
                if told {
                    actor.leave.tell(Some(stop));
                } else {
                    sent.push(actor.leave.remote(Some(stop)));
                }
                stop.running.wait_for(1);
                sent.extend((0..10).map(|_| actor.change.remote()));
                stop.gate.open();
                for call in sent {
                    let error = ray::get(call).unwrap_err();
                    let why = if on_cluster() { "INTENDED_USER_EXIT" } else { "has ended itself" };
                    assert!(error.is_actor_died() && error.to_string().contains(why), "{error}");
                }
                assert!(ray::get(actor.pass.remote(None)).unwrap_err().is_actor_died());
                dropped.wait_for(1);
                soon("the actor is dead", || actor.state() == ActorState::Dead);
                assert_eq!(made.count(), 1, "the actor does not restart");
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
        ray::kill(&killed).unwrap();
        eventually("the arguments are dropped", || dropped.count() == 2);
        let called = Holder::options().num_cpus(1.0).remote(Serial::remote(made, dropped));
        let call = called.number.remote();
        drop(called);
        ray::kill(&holds).unwrap();
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
        for _ in 0..calls(1, 20) {
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
            if !on_cluster() {
                eventually("all states are dropped", || made.count() >= 5 && dropped.count() == made.count());
            }
            assert!(ray::get(serial.pass.remote(None)).unwrap_err().is_runtime_gone());
            drop((serial, side, woven, fresh, named, never_called));
            if on_cluster() {
                // Ray ends the processes of the actors.
                crate::support::init_with(ray::Config::new().num_cpus(2)).unwrap();
                eventually("the actors have ended", || ray::list_named_actors().is_empty());
                eventually("the CPU is free", || ray::available_resources().unwrap()["CPU"] == 2.0);
                ray::shutdown().unwrap();
            } else {
                assert_eq!(dropped.count(), made.count());
            }
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
        for _ in 0..calls(2, 100) {
            let former = Serial::options().name("one").remote(Tally::new(), Tally::new());
            ray::kill(&former).unwrap();
            soon("the name is free", || ray::get_actor::<Serial>("one").is_err());
            let next = Serial::options().name("one").remote(Tally::new(), Tally::new());
            ray::kill(&former).unwrap();
            drop(former);
            assert!(ray::get_actor::<Serial>("one").unwrap().id() == next.id());
            ray::kill(&next).unwrap();
            soon("the name is free", || ray::get_actor::<Serial>("one").is_err_and(|error| error.is_actor_not_found()));
            // Other drivers of a cluster have named actors as well.
            soon("it is not listed", || !ray::list_named_actors().iter().any(|(_, name)| name == "one"));
        }
    });
}
