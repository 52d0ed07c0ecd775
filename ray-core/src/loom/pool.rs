//! The protocol of a concurrent actor: no body runs beside an exclusive one, no call waits for a body that has left or for a
//! call that was cancelled, and the instance is replaced or dropped when no body uses it.

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use ::loom::thread;

use super::actor::Actor;
use super::check;
use crate::actor::run_state::{Admit, Crash, Finish, Left, Life};

const LIMIT: u32 = 2;

/// A concurrent actor. The mailbox is a list of calls, each with the flags whether it is exclusive and whether it is cancelled.
struct Pool {
    actor: Arc<Actor>,
    /// The mailbox, the next call last. Belongs to the runner.
    calls: UnsafeCell<Vec<(bool, Arc<AtomicBool>)>>,
    /// Exclusive bodies write it, the other bodies read it.
    shared: UnsafeCell<u32>,
    entered: AtomicUsize,
}

impl Pool {
    fn new(calls: &[(bool, Arc<AtomicBool>)]) -> Arc<Self> {
        let calls = calls.iter().rev().cloned().collect();
        let actor = Actor::live(0);
        Arc::new(Self { actor, calls: UnsafeCell::new(calls), shared: UnsafeCell::new(0), entered: AtomicUsize::new(0) })
    }

    /// Admits calls, as many as it can. Returns them; the caller runs them.
    fn admit(&self) -> Vec<bool> {
        let mut admitted = Vec::new();
        let begun = self.actor.state.lock().begin(true);
        if !begun {
            return admitted;
        }
        loop {
            let next = self.calls.with(|calls| unsafe { (*calls).last().cloned() });
            let Some((exclusive, cancelled)) = next else { break };
            let admit = {
                let guard = self.actor.state.lock();
                // Checked under the lock, as in `Admission::enter`.
                (!cancelled.load(Ordering::Acquire)).then(|| guard.admit(exclusive, LIMIT))
            };
            if matches!(admit, Some(Admit::Wait | Admit::Closed)) {
                break;
            }
            self.calls.with_mut(|calls| unsafe { (*calls).pop() });
            if admit == Some(Admit::Enter) {
                admitted.push(exclusive);
            }
        }
        let finish = {
            let guard = self.actor.state.lock();
            let empty = self.calls.with(|calls| unsafe { (*calls).is_empty() });
            guard.finish(empty, false)
        };
        match finish {
            Finish::Nothing => {}
            Finish::Enqueue => self.actor.enqueue(),
            Finish::End | Finish::Finalize => self.actor.finalize(),
        }
        admitted
    }

    fn body(&self, exclusive: bool) {
        if exclusive {
            self.shared.with_mut(|shared| unsafe { *shared += 1 });
        } else {
            self.shared.with(|shared| unsafe { *shared });
        }
        self.actor.instance.with(|instance| unsafe { assert!(*instance > 0) });
        self.entered.fetch_add(1, Ordering::Relaxed);
        let left = self.actor.state.lock().leave();
        match left {
            Left::Nothing => {}
            Left::Enqueue => self.actor.enqueue(),
            Left::Finalize => self.actor.finalize(),
        }
    }

    /// A worker thread: takes the actor from the queue, and runs the calls that it admits.
    fn work(&self) {
        while self.actor.queued.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            for exclusive in self.admit() {
                self.body(exclusive);
            }
        }
    }

    /// Cancels a call, as `backlog::argument_failed` after a cancellation.
    fn cancel(&self, call: &AtomicBool) {
        call.store(true, Ordering::Release);
        let again = self.actor.state.lock().look_again();
        if again {
            self.actor.enqueue();
        }
    }
}

fn call() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Two calls that are not exclusive and one that is, run by two threads: all run, and the exclusive one runs alone.
#[test]
fn bodies_that_leave_let_others_in() {
    check(|| {
        let pool = Pool::new(&[(false, call()), (false, call()), (true, call())]);
        let inside = pool.admit();
        assert_eq!(inside, [false, false]);
        let other = pool.clone();
        let thread = thread::spawn(move || {
            other.body(false);
            other.work();
        });
        pool.body(false);
        pool.work();
        thread.join().unwrap();
        pool.work();
        assert_eq!(pool.entered.load(Ordering::Relaxed), 3);
    });
}

/// An exclusive call that waits is cancelled while the runner looks at it: the call behind it is admitted, though no body
/// leaves.
#[test]
fn a_cancelled_call_lets_others_in() {
    check(|| {
        let cancelled = call();
        let pool = Pool::new(&[(false, call()), (true, cancelled.clone()), (false, call())]);
        let other = pool.clone();
        let thread = thread::spawn(move || {
            other.cancel(&cancelled);
            other.work();
        });
        // The first call stays inside.
        let mut inside = pool.admit();
        assert!(!inside.remove(0));
        for exclusive in inside {
            pool.body(exclusive);
        }
        pool.work();
        thread.join().unwrap();
        pool.work();
        assert_eq!(pool.entered.load(Ordering::Relaxed), 1);
    });
}

/// A kill while bodies leave: the last of them, or the killer, finalizes the actor.
#[test]
fn a_killer_beside_bodies() {
    check(|| {
        let pool = Pool::new(&[(false, call()), (false, call())]);
        assert_eq!(pool.admit().len(), 2);
        let other = pool.clone();
        let thread = thread::spawn(move || {
            other.body(false);
            other.body(false);
        });
        pool.actor.kill();
        thread.join().unwrap();
        assert_eq!(pool.actor.finalized.load(Ordering::Relaxed), 1);
    });
}

/// Two bodies crash: the instance is replaced once, when both have left.
#[test]
fn a_crash_beside_a_body() {
    check(|| {
        let pool = Pool::new(&[(false, call()), (false, call())]);
        assert_eq!(pool.admit().len(), 2);
        let other = pool.clone();
        let replace = |pool: &Pool| {
            while pool.actor.queued.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                let begun = pool.actor.state.lock().begin(true);
                if begun {
                    if pool.actor.state.life() == Life::Replacing {
                        pool.actor.replace();
                    }
                    pool.actor.finish();
                }
            }
        };
        let thread = thread::spawn(move || {
            let crash = other.actor.state.lock().crash(|| other.actor.spend());
            other.body(false);
            replace(&other);
            crash
        });
        let crash = pool.actor.state.lock().crash(|| pool.actor.spend());
        pool.body(false);
        replace(&pool);
        let both = [crash, thread.join().unwrap()];
        replace(&pool);
        assert!(both.contains(&Crash::Restarts) && both.contains(&Crash::Replaced), "{both:?}");
        assert_eq!(pool.actor.state.life(), Life::Live);
        pool.actor.instance.with(|instance| unsafe { assert_eq!(*instance, 2) });
    });
}
