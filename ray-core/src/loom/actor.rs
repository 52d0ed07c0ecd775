//! A serial actor's life: no message is lost, there is one runner at a time, what is queued at a death is failed by the
//! killer, and no call begins on an instance that is to be replaced. Concurrent actors are in `pool`.

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::actor::current::{Current, Seen};
use crate::actor::run_state::{AfterMade, Crash, Finish, Life, Made, Restart, RunState, Start};
use crate::base::sync::heavy_barrier;

/// In the place of a call that has ended; while it runs, the number of its instance is there.
const OVER: u64 = 8;

/// As much of an actor as the protocol touches: the mailbox counts messages, the instance has a number.
pub(super) struct Actor {
    pub(super) state: RunState,
    current: Current<u64>,
    back: UnsafeCell<u32>,
    /// Belongs to the runner, or to the lock: loom fails if two touch it.
    front: UnsafeCell<u32>,
    /// Which instance there is; written by the runner alone.
    pub(super) instance: UnsafeCell<u32>,
    ran: AtomicUsize,
    failed: AtomicUsize,
    /// Entries of the run queue that nobody has taken.
    pub(super) queued: AtomicUsize,
    pub(super) finalized: AtomicUsize,
    restarts_left: AtomicUsize,
}

impl Actor {
    /// Alive, with an instance and some messages that nobody has been told of.
    pub(super) fn live(messages: u32) -> Arc<Self> {
        let actor = Self::queued(messages);
        assert_eq!(actor.state.lock().start(), Start::Begin);
        assert_eq!(actor.state.lock().made(Made::Instance, || false), AfterMade::Live);
        actor.instance.with_mut(|instance| unsafe { *instance = 1 });
        actor
    }

    /// Its constructor has not run.
    fn queued(messages: u32) -> Arc<Self> {
        Arc::new(Self {
            state: RunState::new(),
            current: Current::new(),
            back: UnsafeCell::new(0),
            front: UnsafeCell::new(messages),
            instance: UnsafeCell::new(0),
            ran: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            finalized: AtomicUsize::new(0),
            restarts_left: AtomicUsize::new(1),
        })
    }

    pub(super) fn enqueue(&self) {
        assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0, "in the run queue once");
    }

    pub(super) fn spend(&self) -> bool {
        let left = self.restarts_left.load(Ordering::Relaxed);
        self.restarts_left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// `false`: refused, since it is dead.
    fn send(&self) -> bool {
        let push = {
            let guard = self.state.lock();
            if guard.is_dead() {
                return false;
            }
            self.back.with_mut(|back| unsafe { *back += 1 });
            guard.schedule()
        };
        if push {
            self.enqueue();
        }
        true
    }

    /// A worker that finds the actor in the queue, if it does.
    fn worker(&self, step: fn(&Self) -> bool) {
        while self.queued.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let begun = self.state.lock().begin(true);
            if begun {
                while step(self) {}
                self.finish();
            }
        }
    }

    /// A getter that takes the run right past the queue, for one message.
    fn getter(&self, step: fn(&Self) -> bool) {
        let begun = self.state.lock().begin(false);
        if begun {
            step(self);
            self.finish();
        }
    }

    /// Takes a message out; the caller is in the mailbox.
    fn pop(&self) -> bool {
        self.front.with_mut(|front| unsafe {
            if *front == 0 {
                let _guard = self.state.lock();
                self.back.with_mut(|back| std::mem::swap(&mut *front, &mut *back));
            }
            let any = *front > 0;
            *front -= u32::from(any);
            any
        })
    }

    /// The first look of a runner's turn; `Some`: there is something else to do than to run a call.
    fn look(&self) -> Option<bool> {
        self.current.enter_mailbox();
        match self.state.life() {
            Life::Dead | Life::Final => {
                self.current.leave_mailbox();
                Some(false)
            }
            Life::Replacing => {
                self.current.leave_mailbox();
                Some(self.replace())
            }
            _ => None,
        }
    }

    /// A serial actor's turn with a call that has an entry, whose address is that of a number of ours.
    fn call(&self) -> bool {
        if let Some(more) = self.look() {
            return more;
        }
        if !self.pop() {
            self.current.leave_mailbox();
            return false;
        }
        let mut entry = u64::from(self.instance.with(|instance| unsafe { *instance }));
        self.current.begin_call(&raw mut entry);
        self.body();
        self.current.end_call();
        // No other thread looks at it any more.
        entry = OVER;
        assert_eq!(entry, OVER);
        true
    }

    /// A serial actor's turn with a told call.
    fn told(&self) -> bool {
        if let Some(more) = self.look() {
            return more;
        }
        let any = self.pop();
        self.current.leave_mailbox();
        if any {
            self.body();
        }
        any
    }

    /// As [`told`](Self::told), by a getter or a worker that replaces nothing itself.
    fn body(&self) {
        self.instance.with(|instance| unsafe { assert!(*instance > 0, "there is one") });
        self.ran.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn replace(&self) -> bool {
        let start = self.state.lock().start();
        if start != Start::Begin {
            return false;
        }
        self.instance.with_mut(|instance| unsafe { *instance += 1 });
        let made = self.state.lock().made(Made::Instance, || self.spend());
        matches!(made, AfterMade::Live | AfterMade::Again)
    }

    pub(super) fn finish(&self) {
        let finish = {
            let guard = self.state.lock();
            if guard.is_dead() {
                self.take_front();
            }
            let empty = self.front.with(|front| unsafe { *front == 0 }) && self.back.with(|back| unsafe { *back == 0 });
            guard.finish(empty, false)
        };
        match finish {
            Finish::Nothing => {}
            Finish::Enqueue => self.enqueue(),
            Finish::End | Finish::Finalize => self.finalize(),
        }
    }

    pub(super) fn finalize(&self) {
        self.instance.with_mut(|instance| unsafe { *instance = 0 });
        self.finalized.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails what is in `front`, for one that may.
    fn take_front(&self) {
        let taken = self.front.with_mut(|front| unsafe { std::mem::take(&mut *front) });
        self.failed.fetch_add(taken as usize, Ordering::Relaxed);
    }

    /// `kill`, as `life::end_sparing` does it; afterwards nothing is queued.
    pub(super) fn kill(&self) {
        let found = {
            let guard = self.state.lock();
            let found = guard.die();
            if !found.running {
                self.take_front();
            }
            let taken = self.back.with_mut(|back| unsafe { std::mem::take(&mut *back) });
            self.failed.fetch_add(taken as usize, Ordering::Relaxed);
            found
        };
        if found.first && found.running {
            self.reach_runner();
            let _guard = self.state.lock();
            self.take_front();
            self.front.with(|front| unsafe { assert_eq!(*front, 0) });
        }
        if found.finalize {
            self.finalize();
        }
    }

    /// As `life::reach_runner`: the call that runs cannot end while it is looked at.
    fn reach_runner(&self) {
        let call = match self.current.look() {
            Seen::Call(call) => Some(call),
            Seen::InMailbox | Seen::Away => {
                assert!(heavy_barrier());
                self.current.look_outside()
            }
        };
        if let Some(call) = call {
            // SAFETY: borrowed, so it is there.
            let instance = unsafe { *call.call };
            assert_ne!(instance, OVER);
            if self.state.lock().life() == Life::Replacing {
                assert_eq!(instance, 1, "a call of the new instance is not cut off");
            }
        }
    }

    fn restart(&self) -> Restart {
        let (restart, running) = {
            let guard = self.state.lock();
            (guard.restart(false, || self.spend()), guard.has_runner())
        };
        if let Restart::Replace { enqueue } = restart {
            if running {
                self.reach_runner();
            }
            if enqueue {
                self.enqueue();
            }
        }
        restart
    }

    fn counts(&self) -> (usize, usize) {
        (self.ran.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    fn check(&self, step: fn(&Self) -> bool, sent: usize) {
        self.worker(step);
        assert!(self.state.lock().begin(false), "nobody runs");
        assert_eq!(self.counts(), (sent, 0), "no message is lost");
    }
}

#[test]
fn senders_and_workers() {
    check(|| {
        let actor = Actor::live(0);
        let other = actor.clone();
        let thread = thread::spawn(move || {
            other.send();
            other.worker(Actor::call);
        });
        actor.send();
        actor.worker(Actor::call);
        thread.join().unwrap();
        actor.check(Actor::call, 2);
    });
}

#[test]
fn a_getter_beside_a_worker() {
    check(|| {
        let actor = Actor::live(0);
        actor.send();
        let other = actor.clone();
        let thread = thread::spawn(move || other.getter(Actor::told));
        actor.send();
        actor.worker(Actor::told);
        thread.join().unwrap();
        actor.check(Actor::told, 2);
    });
}

/// A kill while a getter, which has taken the run right, runs: what it has not begun is failed when the kill returns, and
/// one of the two has the last duties.
fn a_killer_beside(step: fn(&Actor) -> bool) {
    check(move || {
        let actor = Actor::live(3);
        let other = actor.clone();
        let runner = thread::spawn(move || {
            let begun = other.state.lock().begin(false);
            if begun {
                while step(&other) {}
                other.finish();
            }
        });
        actor.kill();
        let (_, failed) = actor.counts();
        runner.join().unwrap();
        let (ran, at_last) = actor.counts();
        assert_eq!(ran + failed, 3, "all that did not run was failed by the killer");
        assert_eq!(failed, at_last);
        assert_eq!(actor.finalized.load(Ordering::Relaxed), 1);
        assert!(!actor.send() && !actor.state.lock().begin(false), "dead for ever");
    });
}

#[test]
fn a_killer_beside_a_worker() {
    a_killer_beside(Actor::call);
}

#[test]
fn a_killer_beside_told_calls() {
    a_killer_beside(Actor::told);
}

#[test]
fn two_killers_and_a_sender() {
    check(|| {
        let actor = Actor::live(0);
        let other = actor.clone();
        let killer = thread::spawn(move || other.kill());
        let sent = usize::from(actor.send());
        actor.kill();
        killer.join().unwrap();
        actor.worker(Actor::told);
        let (ran, failed) = actor.counts();
        assert_eq!((ran, failed, actor.finalized.load(Ordering::Relaxed)), (0, sent, 1));
    });
}

/// No call begins on the old instance after `kill_and_restart` has returned, whoever runs the calls.
#[test]
fn a_restart_beside_a_getter() {
    check(|| {
        let actor = Actor::live(2);
        let restarted = Arc::new(AtomicBool::new(false));
        let (other, seen) = (actor.clone(), restarted.clone());
        let getter = thread::spawn(move || {
            let begun = other.state.lock().begin(false);
            if begun {
                for _ in 0..2 {
                    if other.state.life().stops_calls() {
                        break;
                    }
                    let before = seen.load(Ordering::Relaxed);
                    if !Actor::told(&other) {
                        break;
                    }
                    let now = other.instance.with(|instance| unsafe { *instance });
                    assert!(!before || now == 2, "it had returned, and this is the old instance");
                }
                other.finish();
            }
        });
        assert!(matches!(actor.restart(), Restart::Replace { .. }));
        restarted.store(true, Ordering::Relaxed);
        getter.join().unwrap();
        actor.worker(Actor::told);
        assert!(actor.state.lock().begin(false), "nobody runs");
        // Messages that no sender has told of may be left; those that ran are counted once.
        actor.instance.with(|instance| unsafe { assert_eq!(*instance, 2) });
        assert_eq!(actor.state.life(), Life::Live);
    });
}

/// `kill_and_restart` cuts off the call that runs on the old instance, and none that the new one runs already.
#[test]
fn a_restart_beside_calls() {
    check(|| {
        let actor = Actor::live(2);
        let other = actor.clone();
        let runner = thread::spawn(move || {
            let begun = other.state.lock().begin(false);
            if begun {
                while Actor::call(&other) {}
                other.finish();
            }
        });
        assert!(matches!(actor.restart(), Restart::Replace { .. }));
        runner.join().unwrap();
        actor.worker(Actor::call);
        assert_eq!(actor.state.life(), Life::Live);
    });
}

/// One restart is used up, whether the constructor has begun or not.
#[test]
fn a_restart_beside_the_constructor() {
    check(|| {
        let actor = Actor::queued(0);
        let other = actor.clone();
        let runner = thread::spawn(move || {
            let begun = other.state.lock().begin(false);
            if begun {
                if other.state.life() == Life::Queued {
                    other.replace();
                }
                while Actor::told(&other) {}
                other.finish();
            }
        });
        let restart = actor.restart();
        assert!(matches!(restart, Restart::Counted | Restart::Replace { .. }));
        runner.join().unwrap();
        actor.worker(Actor::told);
        assert_eq!(actor.state.life(), Life::Live);
        assert_eq!(actor.restarts_left.load(Ordering::Relaxed), 0);
        assert_eq!(actor.state.lock().crash(|| actor.spend()), Crash::Dies);
    });
}
