//! Handles as values, `max_pending_calls`, and the options of actors.

use std::collections::HashSet;

use ray::{ActorHandle, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::stage::{Token, alone, late};
use crate::support::{Gate, Tally, calls};

#[remote]
struct Desk {
    log: Vec<i64>,
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Desk {
    pub fn new(drops: Tally) -> Self {
        Desk { log: Vec::new(), token: Token(drops) }
    }
    pub fn note(&mut self, n: i64) -> usize {
        self.log.push(n);
        self.log.len()
    }
    pub fn log(&self) -> Vec<i64> {
        self.log.clone()
    }
    pub fn wait_at(&self, running: Tally, gate: Gate) {
        running.add();
        gate.wait();
    }
}

#[remote]
fn note_in_a_task(desk: ActorHandle<Desk>, n: i64) -> usize {
    ray::get(desk.note.remote(n)).unwrap()
}

#[derive(Clone, Serialize, Deserialize)]
struct Office {
    desks: Vec<ActorHandle<Desk>>,
}

#[remote]
fn note_everywhere(office: &Office) -> usize {
    office.desks.iter().map(|desk| ray::get(desk.note.remote(1)).unwrap()).sum()
}

#[remote]
struct Clerk {
    desk: ActorHandle<Desk>,
}

#[remote]
impl Clerk {
    pub fn new(desk: ActorHandle<Desk>) -> Self {
        Clerk { desk }
    }
    pub fn pass(&self, n: i64) -> usize {
        ray::get(self.desk.note.remote(n)).unwrap()
    }
}

#[remote]
fn makes(drops: Tally) -> ActorHandle<Desk> {
    Desk::remote(drops)
}

/// Equality of handles, and handles in arguments, values, results and other actors.
#[test]
fn handles_in_arguments_values_and_results() {
    alone(|| {
        let drops = Tally::new();
        let (desk, other) = (Desk::remote(drops), Desk::remote(drops));
        let again = desk.clone();
        assert!(desk == again && desk != other);
        assert_eq!(HashSet::from([desk.clone(), again.clone(), other.clone()]).len(), 2);
        assert!(format!("{desk:?}").contains("Desk"), "{desk:?}");
        assert_eq!(ray::get(note_in_a_task.remote(&desk, 1)).unwrap(), 1);
        let office = ray::put(Office { desks: vec![desk.clone(), other.clone()] });
        assert_eq!(ray::get(note_everywhere.remote(&office)).unwrap(), 2 + 1);
        let clerk = Clerk::remote(&desk);
        assert_eq!(ray::get(clerk.pass.remote(9)).unwrap(), 3);
        let made: ObjectRef<ActorHandle<Desk>> = makes.remote(drops);
        let made = ray::get(made).unwrap();
        assert_eq!(ray::get(made.note.remote(5)).unwrap(), 1);
        assert_eq!(ray::get(again.log.remote()).unwrap(), [1, 1, 9]);
    });
}

/// A handle in an actor's state, a task's argument or an object keeps its actor alive; the actor ends after the last one.
#[test]
fn a_stored_handle_keeps_the_actor_alive() {
    alone(|| {
        let drops = Tally::new();
        let desk = Desk::remote(drops);
        let clerk = Clerk::remote(desk);
        assert_eq!(ray::get(clerk.pass.remote(1)).unwrap(), 1);
        assert_eq!(drops.count(), 0, "the state of the clerk holds a handle");
        drop(clerk);
        drops.wait_for(1);

        let (drops, gate) = (Tally::new(), Gate::new());
        let noted = note_in_a_task.remote(Desk::remote(drops), late(gate, 1));
        assert_eq!(drops.count(), 0, "the argument of a task holds a handle");
        gate.open();
        assert_eq!(ray::get(noted).unwrap(), 1);
        drops.wait_for(1);

        let drops = Tally::new();
        let office = ray::put(Office { desks: vec![Desk::remote(drops)] });
        assert_eq!(ray::get(note_everywhere.remote(&office)).unwrap(), 1);
        assert_eq!(drops.count(), 0, "an object holds a handle");
        drop(office);
        drops.wait_for(1);
        assert_eq!(drops.count(), 1);
    });
}

/// A call over `max_pending_calls` fails at once, by `remote` and by `try_remote`; submitting never blocks. Calls that have
/// started do not count; on a cluster they do, and the caller hears of the refusal later.
#[test]
fn calls_over_the_limit_are_refused() {
    alone(|| {
        let desk = Desk::options().max_pending_calls(calls(3, 2)).remote(Tally::new());
        let (running, gate) = (Tally::new(), Gate::new());
        let holds = desk.wait_at.remote(running, gate);
        running.wait_for(1);
        let waiting = [desk.note.remote(1), desk.note.remote(2)];
        let refused = desk.note.remote(3);
        assert!(cluster::wanted() || refused.is_ready());
        assert_eq!(ray::get(refused).unwrap_err().kind(), ErrorKind::PendingCallsLimitExceeded);
        let tried = desk.note.try_remote(3);
        let tried = if cluster::wanted() { ray::get(tried.unwrap()).map(drop) } else { tried.map(drop) };
        assert!(tried.unwrap_err().is_pending_calls_limit_exceeded());
        desk.note.tell(3);
        gate.open();
        ray::get(holds).unwrap();
        assert_eq!(ray::get(waiting).unwrap(), [1, 2]);
        assert_eq!(ray::get(desk.note.try_remote(4).unwrap()).unwrap(), 3);
        assert_eq!(ray::get(desk.log.remote()).unwrap(), [1, 2, 4]);
    });
}

/// A call that was cancelled, or whose argument failed, does not count any more.
#[test]
fn calls_that_never_start_do_not_count() {
    alone(|| {
        // A cluster hears of a cancel later, but a limit of 6 would also refuse calls if those of this test counted for ever.
        let desk = Desk::options().max_pending_calls(calls(6, 2)).remote(Tally::new());
        for _ in 0..3 {
            let gate = Gate::new();
            let cancelled = desk.note.remote(late(gate, 1));
            let broken: ObjectRef<i64> = crate::stage::panic_i64.remote("broken".to_owned());
            let failed = desk.note.remote(&broken);
            ray::cancel(&cancelled).unwrap();
            assert!(ray::get(cancelled).unwrap_err().is_cancelled());
            let error = ray::get(failed).unwrap_err();
            assert!(error.is_panic(), "{error:?}");
            gate.open();
        }
        let (running, gate) = (Tally::new(), Gate::new());
        let holds = desk.wait_at.remote(running, gate);
        running.wait_for(1);
        for _ in 0..3 {
            let queued = desk.note.remote(1);
            ray::cancel(&queued).unwrap();
            assert!(ray::get(queued).unwrap_err().is_cancelled());
        }
        let waiting = [desk.note.remote(1), desk.note.remote(2)];
        gate.open();
        ray::get(holds).unwrap();
        assert_eq!(ray::get(waiting).unwrap(), [1, 2]);
    });
}

/// Invalid options are errors of the first call, or of `try_remote` at once.
#[test]
fn options_out_of_range() {
    alone(|| {
        for wrong in [
            Desk::options().max_restarts(-2),
            Desk::options().max_pending_calls(0),
            Desk::options().max_task_retries(-2),
            Desk::options().num_cpus(-1.0),
            Desk::options().num_cpus(0.000_01),
            Desk::options().resource("CPU", 1.0),
            Desk::options().get_if_exists(true),
            Desk::options().name(""),
        ] {
            let what = format!("{wrong:?}");
            let desk = wrong.remote(Tally::new());
            let error = ray::get(desk.note.remote(1)).unwrap_err();
            assert!(error.is_invalid_argument(), "{what}: {error}");
        }
        assert!(Desk::options().max_restarts(-2).try_remote(Tally::new()).unwrap_err().is_invalid_argument());
        if !cluster::wanted() {
            assert!(Desk::options().num_cpus(1e6).try_remote(Tally::new()).unwrap_err().is_infeasible());
        }
    });
}

/// An enum can be an actor class like a struct.
#[remote]
enum Lamp {
    On(u32),
    Off,
}

#[remote]
impl Lamp {
    pub fn new() -> Self {
        Lamp::Off
    }
    pub fn press(&mut self) -> u32 {
        let times = if let Lamp::On(times) = self { *times } else { 0 };
        *self = Lamp::On(times + 1);
        times
    }
}

#[test]
fn an_enum_as_an_actor() {
    alone(|| {
        let lamp = Lamp::remote();
        assert_eq!(ray::get([lamp.press.remote(), lamp.press.remote()]).unwrap(), [0, 1]);
    });
}
