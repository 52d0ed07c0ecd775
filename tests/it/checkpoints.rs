//! Actors with `checkpoint_every`, whose restarts begin with the last checkpoint of the state.

use std::sync::Arc;

use ray::{ActorHandle, ActorState, ErrorKind, remote};
use serde::{Deserialize, Serialize};

use crate::stage::{Token, alone, dropped_after_kill};
use crate::support::{Gate, Tally};

/// Counts over all instances, and the numbers of the checkpoints that fail.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Marks {
    made: Tally,
    saved: Tally,
    restored: Tally,
    dropped: Tally,
    /// This checkpoint panics.
    panics: u64,
    /// The restores up to this number panic.
    restore_panics: u64,
    /// This restore returns an error.
    restore_fails: u64,
}

impl Marks {
    fn new() -> Self {
        let (made, saved, restored, dropped) = (Tally::new(), Tally::new(), Tally::new(), Tally::new());
        Marks { made, saved, restored, dropped, panics: 0, restore_panics: 0, restore_fails: 0 }
    }

    fn counts(self) -> (u64, u64, u64) {
        (self.made.count(), self.saved.count(), self.restored.count())
    }
}

#[remote(checkpoint_every = 3, max_restarts = 3)]
struct Ledger {
    total: u64,
    marks: Marks,
}

/// What is kept of a ledger.
#[derive(Clone)]
struct Page {
    total: u64,
    marks: Marks,
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Arc<Token>,
}

#[remote]
impl Ledger {
    pub fn new(marks: Marks) -> Self {
        marks.made.add();
        Ledger { total: 0, marks }
    }
    pub fn add(&mut self, amount: u64) -> u64 {
        self.total += amount;
        self.total
    }
    pub async fn add_later(&mut self, amount: u64, gate: Gate) -> u64 {
        gate.opened().await;
        self.total += amount;
        self.total
    }
    pub fn refuse(&mut self) -> Result<(), String> {
        Err("refused".to_owned())
    }
    pub fn total(&self) -> u64 {
        self.total
    }
    pub fn crash(&mut self) {
        panic!("crashes");
    }
    /// Panics in the first attempt.
    #[method(max_task_retries = 1)]
    pub fn add_at_the_second_attempt(&mut self, amount: u64, attempts: Tally) -> u64 {
        assert!(attempts.add() > 1, "the first attempt crashes");
        self.total += amount;
        self.total
    }
    fn checkpoint(&self) -> Page {
        assert!(self.marks.saved.add() != self.marks.panics, "no checkpoint today");
        Page { total: self.total, marks: self.marks, token: Arc::new(Token(self.marks.dropped)) }
    }
    fn restore(page: Page) -> Result<Self, String> {
        let number = page.marks.restored.add();
        assert!(number > page.marks.restore_panics, "restore {number} panics");
        if number == page.marks.restore_fails {
            Err(format!("restore {number} fails"))
        } else {
            Ok(Ledger { total: page.total, marks: page.marks })
        }
    }
}

fn add(ledger: &ActorHandle<Ledger>, count: u64) {
    ray::get((0..count).map(|_| ledger.add.remote(1)).collect::<Vec<_>>()).unwrap();
}

fn crash(ledger: &ActorHandle<Ledger>) -> ray::Error {
    ray::get(ledger.crash.remote()).unwrap_err()
}

/// A restart calls `restore` with the checkpoint after the last third call; calls are counted anew from there.
#[test]
fn a_restart_begins_with_the_last_checkpoint() {
    alone(|| {
        let marks = Marks::new();
        let ledger = Ledger::remote(marks);
        add(&ledger, 5);
        let error = crash(&ledger);
        assert!(error.is_actor_unavailable() && error.to_string().contains("last checkpoint"), "{error}");
        assert_eq!(ray::get(ledger.total.remote()).unwrap(), 3);
        assert_eq!(marks.counts(), (1, 1, 1));
        add(&ledger, 2);
        crash(&ledger);
        assert_eq!(ray::get(ledger.total.remote()).unwrap(), 3, "the two calls were not saved");
        add(&ledger, 3);
        ray::kill_and_restart(&ledger).unwrap();
        assert_eq!(ray::get(ledger.total.remote()).unwrap(), 6);
        assert_eq!(marks.counts(), (1, 2, 3));
        assert!(crash(&ledger).is_actor_died(), "the restarts are used up");
    });
}

/// Before the first checkpoint the constructor runs again.
#[test]
fn a_restart_without_a_checkpoint() {
    alone(|| {
        let marks = Marks::new();
        let ledger = Ledger::remote(marks);
        add(&ledger, 2);
        let error = crash(&ledger);
        assert!(error.to_string().contains("without its state"), "{error}");
        assert_eq!(ray::get(ledger.total.remote()).unwrap(), 0);
        assert_eq!(marks.counts(), (2, 0, 0));
    });
}

/// Only successful `&mut self` calls count, async ones and closures of `with` among them; the checkpoint is there before the
/// result.
#[test]
fn calls_that_count() {
    alone(|| {
        let (marks, gate) = (Marks::new(), Gate::new());
        let ledger = Ledger::remote(marks);
        for _ in 0..9 {
            ray::get(ledger.total.remote()).unwrap();
            assert!(ray::get(ledger.refuse.remote()).is_err());
        }
        assert_eq!(ray::get(ledger.add.remote(1)).unwrap(), 1);
        ray::get(ledger.with(|ledger| ledger.total += 1)).unwrap();
        assert_eq!(marks.counts(), (1, 0, 0));
        let later = ledger.add_later.remote(1, gate);
        gate.open();
        assert_eq!(ray::get(later).unwrap(), 3);
        assert_eq!(marks.counts(), (1, 1, 0));
        crash(&ledger);
        assert_eq!(ray::get(ledger.total.remote()).unwrap(), 3);
    });
}

/// A call that a crash has interrupted is made again on the restored state.
#[test]
fn a_retry_on_the_restored_state() {
    alone(|| {
        let (marks, attempts) = (Marks::new(), Tally::new());
        let ledger = Ledger::remote(marks);
        add(&ledger, 4);
        assert_eq!(ray::get(ledger.add_at_the_second_attempt.remote(10, attempts)).unwrap(), 13);
        assert_eq!((attempts.count(), marks.counts()), (2, (1, 1, 1)));
    });
}

/// A `checkpoint` that panics is a crash of the actor: the call fails, and the actor restarts from the checkpoint before.
#[test]
fn a_checkpoint_that_panics() {
    alone(|| {
        let marks = Marks { panics: 2, ..Marks::new() };
        let ledger = Ledger::remote(marks);
        add(&ledger, 5);
        let error = ray::get(ledger.add.remote(1)).unwrap_err();
        assert!(error.is_actor_unavailable(), "{error}");
        let chain = format!("{error:?}");
        assert!(chain.contains("`Ledger::checkpoint` has panicked") && chain.contains("no checkpoint today"), "{chain}");
        assert_eq!(ray::get(ledger.total.remote()).unwrap(), 3);

        let ledger = Ledger::options().max_restarts(0).remote(Marks { panics: 1, ..Marks::new() });
        add(&ledger, 2);
        let error = ray::get(ledger.add.remote(1)).unwrap_err();
        assert!(error.is_actor_died() && format!("{error:?}").contains("no checkpoint today"), "{error:?}");
        assert_eq!(ledger.state(), ActorState::Dead);
    });
}

/// A panic in `restore` uses up a restart, an `Err` ends the actor.
#[test]
fn a_restore_that_fails() {
    alone(|| {
        let marks = Marks { restore_panics: 2, ..Marks::new() };
        let ledger = Ledger::remote(marks);
        add(&ledger, 3);
        crash(&ledger);
        assert_eq!(ray::get(ledger.total.remote()).unwrap(), 3);
        assert_eq!(marks.counts(), (1, 1, 3), "three restarts, each with the same checkpoint");
        assert!(crash(&ledger).is_actor_died());

        let marks = Marks { restore_fails: 1, ..Marks::new() };
        let ledger = Ledger::remote(marks);
        add(&ledger, 3);
        crash(&ledger);
        let error = ray::get(ledger.total.remote()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ActorDied);
        assert!(format!("{error:?}").contains("restore 1 fails"), "{error:?}");
        assert_eq!(marks.counts(), (1, 1, 1));
    });
}

/// Only the last checkpoint is kept, and none of a dead actor, also if there are handles.
#[test]
fn checkpoints_are_dropped() {
    alone(|| {
        let marks = Marks::new();
        let ledger = Ledger::remote(marks);
        add(&ledger, 9);
        assert_eq!((marks.saved.count(), marks.dropped.count()), (3, 2));
        ray::kill(&ledger).unwrap();
        dropped_after_kill(marks.dropped, 3);
        assert_eq!(ledger.state(), ActorState::Dead);
    });
}

#[remote(checkpoint_every = 1, max_restarts = 1, max_concurrency = 4)]
struct Shared {
    total: u64,
}

#[remote]
impl Shared {
    pub fn new() -> Self {
        Shared { total: 0 }
    }
    pub fn add(&mut self) -> u64 {
        self.total += 1;
        self.total
    }
    pub fn total(&self) -> u64 {
        self.total
    }
    pub fn crash(&self) {
        panic!("crashes");
    }
    fn checkpoint(&self) -> u64 {
        self.total
    }
    fn restore(total: u64) -> Self {
        Shared { total }
    }
}

/// A concurrent actor, with a checkpoint after each call and a `restore` without errors.
#[test]
fn checkpoints_of_a_concurrent_actor() {
    alone(|| {
        let shared = Shared::remote();
        let all: Vec<_> = (0..200).flat_map(|_| [shared.add.remote(), shared.total.remote()]).collect();
        ray::get(all).unwrap();
        assert!(ray::get(shared.crash.remote()).unwrap_err().is_actor_unavailable());
        assert_eq!(ray::get(shared.total.remote()).unwrap(), 200);
    });
}

/// A creation in another process is refused.
#[test]
fn checkpoints_are_refused_elsewhere() {
    alone(|| {
        if !crate::cluster::wanted() && !crate::processes::wanted() {
            return;
        }
        for error in [Shared::try_remote().unwrap_err(), ray::get(Shared::remote().total.remote()).unwrap_err()] {
            assert!(error.is_invalid_argument() && error.to_string().contains("checkpoint_every"), "{error}");
        }
    });
}
