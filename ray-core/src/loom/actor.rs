//! The protocol of a serial actor: no message is lost, there is one runner at a time, a killer fails all queued calls, and no
//! call begins on an instance that is to be replaced. The models of concurrent actors are in `pool`.

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::actor::current::{Current, Seen};
use crate::actor::run_state::{AfterMade, Crash, Finish, Life, Made, Restart, RunState, Start};
use crate::base::sync::heavy_barrier;

/// The value of a call that has ended. While the call runs, its value is the number of its instance.
const OVER: u64 = 8;

/// The parts of an actor that the protocol uses. The mailbox is a number of messages, the instance a number.
pub(super) struct Actor {
    pub(super) state: RunState,
    current: Current<u64>,
    back: UnsafeCell<u32>,
    /// Belongs to the runner, or to the lock of the state. Loom fails if two threads use it at once.
    front: UnsafeCell<u32>,
    /// The number of the instance; 0: there is none. Only the runner writes it.
    pub(super) instance: UnsafeCell<u32>,
    ran: AtomicUsize,
    failed: AtomicUsize,
    /// The number of entries in the run queue.
    pub(super) queued: AtomicUsize,
    pub(super) finalized: AtomicUsize,
    restarts_left: AtomicUsize,
}

impl Actor {
    /// A live actor with an instance, and with messages for which no sender has scheduled it.
    pub(super) fn live(messages: u32) -> Arc<Self> {
        let actor = Self::queued(messages);
        assert_eq!(actor.state.lock().start(), Start::Begin);
        assert_eq!(actor.state.lock().made(Made::Instance, || false), AfterMade::Live);
        actor.instance.with_mut(|instance| unsafe { *instance = 1 });
        actor
    }

    /// An actor whose constructor has not run.
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
        assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0, "it is in the run queue once");
    }

    pub(super) fn spend(&self) -> bool {
        let left = self.restarts_left.load(Ordering::Relaxed);
        self.restarts_left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// `false`: the actor is dead, and refuses the message.
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

    /// A worker thread: runs the actor as often as it is in the queue.
    fn worker(&self, step: fn(&Self) -> bool) {
        while self.queued.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let begun = self.state.lock().begin(true);
            if begun {
                while step(self) {}
                self.finish();
            }
        }
    }

    /// A thread that waits for a call: takes the execution lock without the queue, for one message.
    fn getter(&self, step: fn(&Self) -> bool) {
        let begun = self.state.lock().begin(false);
        if begun {
            step(self);
            self.finish();
        }
    }

    /// Takes a message out. The caller is in the mailbox.
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

    /// The start of a runner's step. `Some`: the step is over, and this is its result.
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

    /// A step with a call that has an entry. In place of the entry there is a number of this thread.
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
        // No other thread reads it any more.
        entry = OVER;
        assert_eq!(entry, OVER);
        true
    }

    /// A step with a told call.
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

    /// The body of a call.
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

    /// Fails the messages in `front`. The caller may use it.
    fn take_front(&self) {
        let taken = self.front.with_mut(|front| unsafe { std::mem::take(&mut *front) });
        self.failed.fetch_add(taken as usize, Ordering::Relaxed);
    }

    /// `kill`, as `lifecycle::end_sparing` does it. Afterwards no message is queued.
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

    /// As `interrupt::reach_runner`: the running call cannot end while it is borrowed.
    fn reach_runner(&self) {
        let call = match self.current.look() {
            Seen::Call(call) => Some(call),
            Seen::InMailbox | Seen::Away => {
                assert!(heavy_barrier());
                self.current.look_outside()
            }
        };
        if let Some(call) = call {
            // SAFETY: the call is borrowed, so it exists.
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
        assert!(self.state.lock().begin(false), "there is no runner");
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

/// A kill while another thread holds the execution lock. When the kill returns, all messages that have not begun are failed.
/// One of the two threads finalizes the actor.
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
        assert_eq!(ran + failed, 3, "the killer has failed all that did not run");
        assert_eq!(failed, at_last);
        assert_eq!(actor.finalized.load(Ordering::Relaxed), 1);
        assert!(!actor.send() && !actor.state.lock().begin(false), "it stays dead");
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

/// No call begins on the old instance after `kill_and_restart` has returned, also if a thread that waits runs the calls.
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
                    assert!(!before || now == 2, "the restart has returned, and this is the old instance");
                }
                other.finish();
            }
        });
        assert!(matches!(actor.restart(), Restart::Replace { .. }));
        restarted.store(true, Ordering::Relaxed);
        getter.join().unwrap();
        actor.worker(Actor::told);
        assert!(actor.state.lock().begin(false), "there is no runner");
        // Messages may be left, since no sender has scheduled the actor for them.
        actor.instance.with(|instance| unsafe { assert_eq!(*instance, 2) });
        assert_eq!(actor.state.life(), Life::Live);
    });
}

/// `kill_and_restart` interrupts the call that runs on the old instance, and no call on the new one.
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
