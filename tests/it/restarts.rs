//! Restarts of actors, and retries of their calls.

use ray::{ActorState, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::stage::{Token, alone, eventually, late, served};
use crate::support::{Gate, Tally, calls};

/// Counts over all instances of an actor.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Lives {
    made: Tally,
    dropped: Tally,
    attempts: Tally,
}

impl Lives {
    fn new() -> Self {
        Lives { made: Tally::new(), dropped: Tally::new(), attempts: Tally::new() }
    }
}

#[remote(max_restarts = 1)]
struct Frail {
    lives: Lives,
    count: u64,
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Frail {
    pub fn new(lives: Lives, broken_from: u64) -> Result<Self, String> {
        if lives.made.add() >= broken_from {
            return Err("no further instance".to_owned());
        }
        Ok(Frail { lives, count: 0, token: Token(lives.dropped) })
    }
    pub fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
    pub fn crash(&mut self) -> u64 {
        panic!("crashes");
    }
    /// Panics until it was called `good` times.
    pub fn crash_until(&mut self, good: u64) -> (u64, u32, bool) {
        let attempt = self.lives.attempts.add();
        assert!(attempt >= good, "attempt {attempt}");
        (attempt, ray::context().attempt(), ray::context().was_current_actor_reconstructed())
    }
    /// Returns an error until it was called `good` times.
    #[method(retry_exceptions = true, max_task_retries = 5)]
    pub fn fail_until(&mut self, good: u64) -> Result<(u64, u64), String> {
        self.count += 1;
        let attempt = self.lives.attempts.add();
        if attempt < good { Err(format!("attempt {attempt}")) } else { Ok((attempt, self.count)) }
    }
    pub fn wait_at(&mut self, running: Tally, gate: Gate) -> bool {
        running.add();
        gate.wait();
        ray::context().is_cancelled()
    }
    pub fn restarted(&self) -> bool {
        ray::context().was_current_actor_reconstructed()
    }
}

const ALWAYS: u64 = u64::MAX;

/// The result of a call that waited when its actor crashed: it runs with the new state, or Ray fails it.
#[track_caller]
fn ran_or_was_lost(queued: ObjectRef<u64>) {
    match ray::get(queued) {
        Ok(count) => assert_eq!(count, 1, "queued calls run with the new state"),
        Err(error) => assert!(cluster::wanted() && error.is_actor_unavailable(), "{error}"),
    }
}

/// After a crash the constructor runs again with its arguments. The state is lost and the call in flight fails. When no
/// restart is left, the actor dies.
#[test]
fn a_restart_loses_the_state() {
    alone(|| {
        let lives = Lives::new();
        let frail = Frail::remote(lives, ALWAYS);
        assert_eq!(ray::get([frail.count.remote(), frail.count.remote()]).unwrap(), [1, 2]);
        assert!(!ray::get(frail.restarted.remote()).unwrap());
        let crashed = frail.crash.remote();
        let queued = frail.count.remote();
        let error = ray::get(crashed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ActorUnavailable);
        assert!(format!("{error:?}").contains("crashes"), "{error:?}");
        ran_or_was_lost(queued);
        assert!(served(|| frail.restarted.remote()));
        assert_eq!((lives.made.count(), lives.dropped.count()), (2, 1));
        assert_eq!(frail.state(), ActorState::Alive);
        assert!(ray::get(frail.crash.remote()).unwrap_err().is_actor_died());
        assert!(ray::get(frail.count.remote()).unwrap_err().is_actor_died());
        lives.dropped.wait_for(2);
        if cluster::wanted() {
            eventually("the head knows the death", || frail.state() == ActorState::Dead);
        }
        assert_eq!((lives.made.count(), frail.state()), (2, ActorState::Dead));
    });
}

/// `max_restarts(-1)` is unlimited; the options of a creation override those of the attribute.
#[test]
fn unlimited_restarts() {
    alone(|| {
        let lives = Lives::new();
        let frail = Frail::options().max_restarts(-1).remote(lives, ALWAYS);
        let rounds = calls(4, 20);
        for _ in 0..rounds {
            assert_eq!(served(|| frail.count.remote()), 1);
            assert!(ray::get(frail.crash.remote()).unwrap_err().is_actor_unavailable());
        }
        assert_eq!((lives.made.count() as i64 - rounds).clamp(0, 1), lives.made.count() as i64 - rounds);
        let never = Frail::options().max_restarts(0).remote(lives, ALWAYS);
        assert!(ray::get(never.crash.remote()).unwrap_err().is_actor_died());
    });
}

/// The error of an actor that may restart no more names the number of its restarts and the option.
#[test]
fn the_error_of_used_up_restarts() {
    alone(|| {
        for (allowed, times) in [(1, "once"), (2, "2 times")] {
            let frail = Frail::options().max_restarts(allowed).remote(Lives::new(), ALWAYS);
            for _ in 0..allowed {
                assert!(ray::get(frail.crash.remote()).unwrap_err().is_actor_unavailable());
                assert_eq!(served(|| frail.count.remote()), 1);
            }
            let error = ray::get(frail.crash.remote()).unwrap_err();
            let says = format!("has restarted {times} before, and `max_restarts = {allowed}` allows no more: create a new one");
            assert!(error.is_actor_died() && error.to_string().contains(&says), "{error}");
            let later = ray::get(frail.count.remote()).unwrap_err();
            assert!(later.is_actor_died() && later.to_string().contains(&says), "{later}");
        }
        let never = Frail::options().max_restarts(0).remote(Lives::new(), ALWAYS);
        let error = ray::get(never.crash.remote()).unwrap_err().to_string();
        assert!(error.contains("create a new one, or set max_restarts"), "{error}");
    });
}

/// A restart whose constructor returns an error ends the actor.
#[test]
fn a_restart_whose_constructor_fails() {
    alone(|| {
        let lives = Lives::new();
        let frail = Frail::options().max_restarts(-1).remote(lives, 2);
        assert_eq!(ray::get(frail.count.remote()).unwrap(), 1);
        let crashed = frail.crash.remote();
        let queued = frail.count.remote();
        assert!(ray::get(crashed).is_err());
        let mut error = ray::get(queued).unwrap_err();
        if cluster::wanted() {
            eventually("the actor is dead", || {
                error = ray::get(frail.count.remote()).unwrap_err();
                error.is_actor_died()
            });
        }
        assert!(error.is_actor_died() && format!("{error:?}").contains("no further instance"), "{error:?}");
        lives.dropped.wait_for(1);
    });
}

/// With `max_task_retries` the call in flight is retried after the restart, with its original arguments.
#[test]
fn a_call_is_retried_after_a_restart() {
    alone(|| {
        let lives = Lives::new();
        let frail = Frail::options().max_restarts(-1).max_task_retries(2).remote(lives, ALWAYS);
        assert!(ray::get(frail.crash_until.options().max_task_retries(0).remote(2)).unwrap_err().is_actor_unavailable());
        let lives = Lives::new();
        let frail = Frail::options().max_restarts(-1).max_task_retries(2).remote(lives, ALWAYS);
        let (tried, behind) = (frail.crash_until.options().max_task_retries(2).remote(3), frail.count.remote());
        assert_eq!(ray::get(tried).unwrap(), (3, 2, true));
        // Ray sends the calls behind to each instance: they may run before the retries.
        let behind = ray::get(behind).unwrap();
        assert!(behind == 1, "the next call runs after the retries: {behind}");
        assert_eq!(lives.made.count(), 3);

        let lives = Lives::new();
        let frail = Frail::options().max_restarts(-1).remote(lives, ALWAYS);
        let tried = frail.crash_until.options().max_task_retries(1).remote(5);
        assert!(ray::get(tried).unwrap_err().is_actor_unavailable());
        // While an actor restarts whose creation has no `max_task_retries`, Ray fails the attempts of its calls.
        let attempts = lives.attempts.count();
        assert!(attempts == 2 || cluster::wanted() && attempts == 1, "{attempts} attempts");
    });
}

/// With `retry_exceptions` an `Err` of a method is retried on the same state.
#[test]
fn an_error_is_retried_on_the_same_state() {
    alone(|| {
        let lives = Lives::new();
        let frail = Frail::remote(lives, ALWAYS);
        let (tried, behind) = (frail.fail_until.remote(3), frail.count.remote());
        let (tried, behind) = ray::get((tried, behind)).unwrap();
        if cluster::wanted() {
            // Ray does not keep later calls for the attempts of an earlier one, which all have the same state in any case.
            assert!(tried == (3, 3) && behind == 4 || tried == (3, 4) && behind < 4, "{tried:?} {behind}");
        } else {
            assert_eq!((tried, behind), ((3, 3), 4), "later calls wait for the attempts");
        }
        assert_eq!((lives.made.count(), lives.dropped.count()), (1, 0));
        let lives = Lives::new();
        let frail = Frail::remote(lives, ALWAYS);
        let not = frail.fail_until.options().retry_exceptions(|error: &ray::Error| !error.to_string().contains("attempt 2"));
        let error = ray::get(not.remote(9)).unwrap_err();
        if cluster::wanted() {
            // A worker knows only the predicate of the attribute.
            assert!(error.is_invalid_argument(), "{error}");
        } else {
            assert!(error.is_task() && error.to_string().contains("attempt 2"), "{error}");
            assert_eq!(lives.attempts.count(), 2);
        }
    });
}

/// `kill_and_restart` fails the running call at once; the queued calls run on the new state.
#[test]
fn kill_and_restart() {
    alone(|| {
        let lives = Lives::new();
        let frail = Frail::remote(lives, ALWAYS);
        assert_eq!(ray::get(frail.count.remote()).unwrap(), 1);
        let (running, gate) = (Tally::new(), Gate::new());
        let runs = frail.wait_at.remote(running, gate);
        running.wait_for(1);
        let queued = frail.count.remote();
        ray::kill_and_restart(&frail).unwrap();
        let error = ray::get(runs).unwrap_err();
        assert!(error.is_actor_unavailable(), "{error}");
        if cluster::wanted() {
            // The state is lost with the process of the actor, and so is the running body.
            ran_or_was_lost(queued);
            assert!(served(|| frail.restarted.remote()));
            assert_eq!((lives.made.count(), lives.dropped.count()), (2, 0));
            gate.open();
        } else {
            assert!(error.to_string().contains("kill_and_restart"), "{error}");
            assert_eq!(lives.dropped.count(), 0, "the running body still uses the state");
            assert!(!queued.is_ready());
            gate.open();
            assert_eq!(ray::get(queued).unwrap(), 1);
            assert_eq!((lives.made.count(), lives.dropped.count()), (2, 1));
        }

        ray::kill_and_restart(&frail).unwrap();
        if cluster::wanted() {
            eventually("the actor is dead", || ray::get(frail.count.remote()).is_err_and(|error| error.is_actor_died()));
        } else {
            assert!(ray::get(frail.count.remote()).unwrap_err().is_actor_died(), "no restart was left");
            lives.dropped.wait_for(2);
        }

        let idle = Frail::remote(lives, ALWAYS);
        assert_eq!(ray::get(idle.count.remote()).unwrap(), 1);
        ray::kill_and_restart(&idle).unwrap();
        eventually("the actor has restarted", || ray::get(idle.restarted.remote()).is_ok_and(|restarted| restarted));
        assert_eq!(served(|| idle.count.remote()), 1);
    });
}

/// `terminate`, `kill` and the drop of the last handle end an actor without a restart.
#[test]
fn an_intended_end_is_no_restart() {
    alone(|| {
        let lives = Lives::new();
        let frail = Frail::remote(lives, ALWAYS);
        ray::get(frail.terminate()).unwrap();
        lives.dropped.wait_for(1);
        let frail = Frail::remote(lives, ALWAYS);
        ray::get(frail.ready()).unwrap();
        ray::kill(&frail).unwrap();
        // On a cluster a killed actor does not drop its state.
        lives.dropped.wait_for(calls(1, 2));
        eventually("the actor is dead", || ray::get(frail.count.remote()).is_err_and(|error| error.is_actor_died()));
        let frail = Frail::remote(lives, ALWAYS);
        ray::get(frail.ready()).unwrap();
        drop(frail);
        lives.dropped.wait_for(calls(2, 3));
        assert_eq!(lives.made.count(), 3);
    });
}

/// Constructor arguments that were references are kept for restarts.
#[test]
fn constructor_arguments_are_kept_for_restarts() {
    alone(|| {
        let lives = Lives::new();
        let gate = Gate::new();
        let from: ObjectRef<u64> = late(gate, ALWAYS);
        let frail = Frail::remote(lives, &from);
        drop(from);
        gate.open();
        assert!(ray::get(frail.crash.remote()).unwrap_err().is_actor_unavailable());
        assert_eq!(served(|| frail.count.remote()), 1);
        drop(frail);
        lives.dropped.wait_for(2);
    });
}

#[remote(max_restarts = -1, max_concurrency = 4)]
struct FrailPool {
    made: u64,
}

#[remote]
impl FrailPool {
    pub fn new(made: Tally) -> Self {
        FrailPool { made: made.add() }
    }
    pub fn wait_at(&self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.wait();
        self.made
    }
    pub fn crash(&self, running: Tally) {
        running.wait_for(1);
        panic!("crashes");
    }
    pub fn instance(&self) -> u64 {
        self.made
    }
}

#[remote(max_restarts = -1)]
struct FrailRoom {
    made: u64,
}

#[remote]
impl FrailRoom {
    pub fn new(made: Tally) -> Self {
        FrailRoom { made: made.add() }
    }
    pub async fn wait_at(&self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.opened().await;
        self.made
    }
    pub async fn crash(&self, running: Tally) {
        running.reached(1).await;
        panic!("crashes");
    }
    pub async fn instance(&self) -> u64 {
        self.made
    }
}

/// A concurrent actor restarts when the last body that uses the old state has ended.
#[test]
fn concurrent_actors_restart() {
    alone(|| {
        let (running, gate) = (Tally::new(), Gate::new());
        let pool = FrailPool::remote(Tally::new());
        let (beside, crashed) = (pool.wait_at.remote(running, gate), pool.crash.remote(running));
        assert!(ray::get(crashed).unwrap_err().is_actor_unavailable());
        assert!(ray::get(beside).unwrap_err().is_actor_unavailable());
        let next = pool.instance.remote();
        assert!(cluster::wanted() || !next.is_ready(), "a body still uses the old state");
        gate.open();
        assert_eq!(if cluster::wanted() { served(|| pool.instance.remote()) } else { ray::get(next).unwrap() }, 2);

        let (running, gate) = (Tally::new(), Gate::new());
        let room = FrailRoom::remote(Tally::new());
        let (beside, crashed) = (room.wait_at.remote(running, gate), room.crash.remote(running));
        assert!(ray::get(crashed).unwrap_err().is_actor_unavailable());
        assert!(ray::get(beside).unwrap_err().is_actor_unavailable());
        assert_eq!(served(|| room.instance.remote()), 2, "async bodies are dropped at their await");
        ray::kill_and_restart(&room).unwrap();
        eventually("the actor has restarted", || ray::get(room.instance.remote()).is_ok_and(|instance| instance == 3));
    });
}
