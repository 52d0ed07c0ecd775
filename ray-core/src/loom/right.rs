//! The run right of an actor: no message is lost, and there is one runner at a time.

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::actor::right::{DEAD, Right};

struct Actor {
    right: Right,
    back: UnsafeCell<u32>,
    /// Belongs to the runner, as the instance does: loom fails if two touch it.
    front: UnsafeCell<u32>,
    ran: UnsafeCell<u32>,
    /// Entries of the run queue that nobody has taken.
    queued: AtomicUsize,
}

impl Actor {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            right: Right::new(),
            back: UnsafeCell::new(0),
            front: UnsafeCell::new(0),
            ran: UnsafeCell::new(0),
            queued: AtomicUsize::new(0),
        })
    }

    fn send(&self) {
        let push = {
            let guard = self.right.lock();
            self.back.with_mut(|back| unsafe { *back += 1 });
            guard.schedule()
        };
        if push {
            assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0, "in the run queue once");
        }
    }

    /// A worker that finds the actor in the queue, if it does.
    fn worker(&self) {
        while self.queued.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            if self.right.lock().begin(true) {
                self.run(u32::MAX);
            }
        }
    }

    /// A getter that takes the run right past the queue, for one message.
    fn getter(&self) {
        if self.right.lock().begin(false) {
            self.run(1);
        }
    }

    fn run(&self, most: u32) {
        for _ in 0..most {
            let one = self.front.with_mut(|front| unsafe {
                if *front == 0 {
                    let _guard = self.right.lock();
                    self.back.with_mut(|back| std::mem::swap(&mut *front, &mut *back));
                }
                let any = *front > 0;
                *front -= u32::from(any);
                any
            });
            if !one {
                break;
            }
            self.ran.with_mut(|ran| unsafe { *ran += 1 });
        }
        let push = {
            let guard = self.right.lock();
            let empty = self.front.with(|front| unsafe { *front == 0 }) && self.back.with(|back| unsafe { *back == 0 });
            guard.finish(!empty)
        };
        if push {
            assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0, "in the run queue once");
        }
    }

    fn check(&self, sent: u32) {
        self.worker();
        assert!(self.right.lock().begin(false), "nobody runs");
        assert_eq!(self.ran.with(|ran| unsafe { *ran }), sent, "no message is lost");
    }
}

#[test]
fn senders_and_workers() {
    check(|| {
        let actor = Actor::new();
        let other = actor.clone();
        let thread = thread::spawn(move || {
            other.send();
            other.worker();
        });
        actor.send();
        actor.worker();
        thread.join().unwrap();
        actor.check(2);
    });
}

#[test]
fn a_getter_beside_a_worker() {
    check(|| {
        let actor = Actor::new();
        actor.send();
        let other = actor.clone();
        let thread = thread::spawn(move || other.getter());
        actor.send();
        actor.worker();
        thread.join().unwrap();
        actor.check(2);
    });
}

/// One of the killer and the runner buries, whichever comes last.
#[test]
fn a_killer_beside_a_worker() {
    check(|| {
        let actor = Actor::new();
        let buried = Arc::new(AtomicUsize::new(0));
        actor.send();
        let (killed, grave) = (actor.clone(), buried.clone());
        let killer = thread::spawn(move || {
            let running = {
                let guard = killed.right.lock();
                guard.set(DEAD);
                guard.is(crate::actor::right::RUNNING)
            };
            if !running {
                killed.ran.with_mut(|_| grave.fetch_add(1, Ordering::Relaxed));
            }
        });
        if actor.right.lock().begin(true) {
            actor.ran.with_mut(|ran| unsafe { *ran += 1 });
            let dead = {
                let guard = actor.right.lock();
                let dead = guard.is(DEAD);
                if !dead {
                    assert!(!guard.finish(false));
                }
                dead
            };
            if dead {
                actor.ran.with_mut(|_| buried.fetch_add(1, Ordering::Relaxed));
            }
        }
        killer.join().unwrap();
        assert_eq!(buried.load(Ordering::Relaxed), 1);
        assert!(!actor.right.lock().schedule() && !actor.right.lock().begin(false), "dead for ever");
    });
}
