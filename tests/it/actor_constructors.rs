//! Constructors that fail and calls that are retried: the restarts and retries that they use up, and their errors.

use ray::{ActorState, ErrorKind, remote};
use serde::{Deserialize, Serialize};

use crate::actor_sorts::Stop;
use crate::stage::{alone, late, on_cluster, refusal, served, soon};
use crate::support::{Gate, Tally, calls};

#[remote(max_restarts = 2)]
struct Starting {
    number: u64,
}

#[remote]
impl Starting {
    /// Panics in its first `panics` instances, and returns an error in instance `fails`.
    pub fn new(made: Tally, panics: u64, fails: u64, stop: Option<Stop>) -> Result<Self, std::num::ParseIntError> {
        let number = made.add();
        if let Some(stop) = stop {
            stop.meet();
        }
        assert!(number > panics, "instance {number} does not start");
        if number == fails {
            "x".parse::<u64>()?;
        }
        Ok(Starting { number })
    }
    pub fn number(&self) -> u64 {
        self.number
    }
}

const NEVER: u64 = u64::MAX;

/// `kill_and_restart` while the constructor runs: the instance that it makes is replaced.
#[test]
fn a_restart_while_the_constructor_runs() {
    alone(|| {
        let (made, stop) = (Tally::new(), Stop::new());
        let starting = Starting::remote(made, 0, NEVER, Some(stop));
        let call = starting.number.remote();
        stop.running.wait_for(1);
        ray::kill_and_restart(&starting).unwrap();
        soon("the actor restarts", || starting.state() == ActorState::Restarting);
        stop.gate.open();
        assert_eq!(ray::get(call).unwrap(), 2);
        assert_eq!(made.count(), 2);
    });
}

/// A panic in the constructor is a crash and uses restarts; an `Err` ends the actor.
#[test]
fn a_constructor_that_panics_uses_up_restarts() {
    alone(|| {
        let made = Tally::new();
        let starting = Starting::remote(made, 2, NEVER, None);
        assert_eq!(ray::get(starting.number.remote()).unwrap(), 3);
        assert_eq!(ray::get(starting.ready()).map(|()| made.count()).unwrap(), 3);

        let made = Tally::new();
        let never = Starting::remote(made, NEVER, NEVER, None);
        let error = ray::get(never.number.remote()).unwrap_err();
        assert!(error.is_actor_died() && format!("{error:?}").contains("instance 3 does not start"), "{error:?}");
        assert_eq!(made.count(), 3);

        for (panics, fails) in [(0, 1), (1, 2)] {
            let made = Tally::new();
            let fails = Starting::remote(made, panics, fails, None);
            let error = ray::get(fails.number.remote()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ActorDied);
            assert!(error.downcast_ref::<std::num::ParseIntError>().is_some() || crate::support::strict(), "{error:?}");
            assert_eq!(made.count(), panics + 1);
        }

        let stop = Stop::new();
        let forever = Starting::options().max_restarts(-1).remote(Tally::new(), NEVER, NEVER, Some(stop));
        let call = forever.number.remote();
        stop.gate.open();
        stop.running.wait_for(calls(3, 10));
        ray::kill(&forever).unwrap();
        assert!(ray::get(call).unwrap_err().is_actor_died(), "a kill ends the restarts");
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NoSuchTable(pub(crate) u32);

impl std::fmt::Display for NoSuchTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no table {}", self.0)
    }
}

#[remote]
fn table(number: u32) -> Result<u32, NoSuchTable> {
    Err(NoSuchTable(number))
}

#[remote]
struct Waiter;

#[remote]
impl Waiter {
    pub fn new(number: u32) -> Result<Self, NoSuchTable> {
        if number > 0 { Err(NoSuchTable(number)) } else { Ok(Waiter) }
    }
    pub fn serve(&self) -> u32 {
        1
    }
}

/// The errors of all calls contain the error of the constructor, or of its argument, with its own type.
#[test]
fn the_error_of_a_constructor_keeps_its_type() {
    alone(|| {
        let failed = table.remote(8);
        let _ = ray::get(&failed);
        let late_argument = Gate::new();
        for (waiter, number) in [
            (Waiter::remote(7), 7),
            (Waiter::remote(table.remote(8)), 8),
            (Waiter::remote(&failed), 8),
            (Waiter::options().name("of a late argument").remote(late(late_argument, 9)), 9),
        ] {
            late_argument.open();
            for error in [
                ray::get(waiter.serve.remote()).unwrap_err(),
                ray::get(waiter.ready()).unwrap_err(),
                refusal(waiter.serve.try_remote()),
            ] {
                assert_eq!(error.kind(), ErrorKind::ActorDied);
                if on_cluster() && number == 8 {
                    // Of the error of a constructor's argument Ray keeps the text.
                    assert!(error.to_string().contains("there is no table 8"), "{error}");
                    continue;
                }
                assert_eq!(error.downcast_ref(), Some(&NoSuchTable(number)), "{error:?}");
                assert!(error.downcast_ref::<String>().is_none());
            }
        }
    });
}

#[remote(max_restarts = -1)]
struct Lasting {
    number: u64,
}

#[remote]
impl Lasting {
    pub fn new(made: Tally) -> Self {
        Lasting { number: made.add() }
    }
    /// Never ends in the first instance.
    pub async fn stay(&self, inside: Tally) -> u64 {
        inside.add();
        if self.number == 1 {
            std::future::pending::<()>().await;
        }
        self.number
    }
    pub async fn crash(&self, inside: Tally) -> u64 {
        inside.reached(3).await;
        assert!(self.number > 1, "crashes");
        self.number
    }
}

/// After a crash, async bodies that would never end are dropped at their await and retried, if `max_task_retries` of the
/// creation allows it.
#[test]
fn async_calls_in_flight_are_retried_after_a_restart() {
    alone(|| {
        let inside = Tally::new();
        let lasting = Lasting::options().max_task_retries(-1).remote(Tally::new());
        let calls: Vec<_> = (0..3).map(|_| lasting.stay.remote(inside)).collect();
        assert_eq!(ray::get(lasting.crash.remote(inside)).unwrap(), 2);
        assert_eq!(ray::get(calls).unwrap(), [2; 3]);

        let inside = Tally::new();
        let lasting = Lasting::options().max_task_retries(0).remote(Tally::new());
        let calls: Vec<_> = (0..3).map(|_| lasting.stay.remote(inside)).collect();
        assert!(ray::get(lasting.crash.remote(inside)).unwrap_err().is_actor_unavailable());
        for call in calls {
            assert!(ray::get(call).unwrap_err().is_actor_unavailable());
        }
    });
}

#[remote]
struct Plain {
    number: u64,
}

#[remote]
impl Plain {
    pub fn new(made: Tally) -> Self {
        Plain { number: made.add() }
    }
    pub fn crash_in_the_first_instance(&self, word: String) -> (u64, String) {
        assert!(self.number > 1, "crashes");
        (self.number, word)
    }
}

/// `max_task_retries` given at the creation applies to the calls if the class does not set it.
#[test]
fn max_task_retries_of_a_creation() {
    alone(|| {
        let plain = Plain::options().max_restarts(1).max_task_retries(-1).remote(Tally::new());
        assert_eq!(ray::get(plain.crash_in_the_first_instance.remote("word".to_owned())).unwrap(), (2, "word".to_owned()));
        let plain = Plain::options().max_restarts(1).remote(Tally::new());
        assert!(ray::get(plain.crash_in_the_first_instance.remote("word".to_owned())).unwrap_err().is_actor_unavailable());
    });
}

#[derive(Default)]
#[remote(max_restarts = 1)]
struct Register {
    total: u64,
    names: Vec<String>,
}

#[remote(default)]
impl Register {
    pub fn enter(&mut self, name: &str) -> u64 {
        self.total += 1;
        self.names.push(name.to_owned());
        self.total
    }
    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }
    pub fn crash(&mut self) {
        panic!("crashes");
    }
}

/// With `#[remote(default)]` a block needs no `new`.
#[test]
fn a_default_constructor() {
    alone(|| {
        let register = Register::remote();
        assert_eq!(ray::get([register.enter.remote("a"), register.enter.remote("b")]).unwrap(), [1, 2]);
        assert_eq!(ray::get(register.names.remote()).unwrap(), ["a", "b"]);
        assert!(ray::get(register.crash.remote()).unwrap_err().is_actor_unavailable());
        assert_eq!(served(|| register.enter.remote("c")), 1, "the constructor runs again");
        let named = Register::options().name("register").try_remote().unwrap();
        assert_eq!(ray::get(named.enter.remote("d")).unwrap(), 1);
        ray::kill(&ray::get_actor::<Register>("register").unwrap()).unwrap();
    });
}
