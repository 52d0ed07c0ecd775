//! The rest of the monitor thread: work that is queued while the thread goes to rest is seen by it, or wakes it.

use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::sync::{Arc, Notify};
use ::loom::thread;

use super::check;
use crate::sched::monitor_state::{MonitorState, WakeDuty};

struct Engine {
    state: MonitorState,
    queued: AtomicUsize,
    /// The token that unparks the monitor thread.
    token: Notify,
}

impl Engine {
    fn submit(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        if self.state.must_be_woken() {
            match self.state.wake() {
                WakeDuty::Wake => self.token.notify(),
                // The thread runs already, or could not be started.
                WakeDuty::First | WakeDuty::Start => {}
                WakeDuty::Nothing => {}
                WakeDuty::Drain => self.drain(),
            }
        }
    }

    fn drain(&self) {
        self.queued.swap(0, Ordering::Relaxed);
    }

    /// A shutdown.
    fn close(&self) {
        self.state.close();
        self.drain();
    }

    /// The monitor thread, until it has seen `all`.
    fn monitor(&self, all: usize) {
        let mut seen = 0;
        while seen < all {
            seen += self.queued.swap(0, Ordering::Relaxed);
            if seen == all {
                return;
            }
            self.state.announce();
            if self.queued.load(Ordering::Relaxed) > 0 {
                self.state.go_on();
                continue;
            }
            while self.state.is_resting() {
                self.token.wait();
            }
        }
    }
}

fn submitters(count: usize) {
    check(move || {
        let engine = Arc::new(Engine { state: MonitorState::new(), queued: AtomicUsize::new(0), token: Notify::new() });
        assert_eq!((engine.state.wake(), engine.state.wake()), (WakeDuty::First, WakeDuty::Start));
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let engine = engine.clone();
                thread::spawn(move || engine.submit())
            })
            .collect();
        // If the monitor thread misses the work, the model deadlocks.
        engine.monitor(count);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn one_submitter() {
    submitters(1);
}

#[test]
fn two_submitters() {
    submitters(2);
}

/// A shutdown beside submitters, and beside a monitor thread that changes its state: no work stays in the queue, and work that is
/// queued after the shutdown is drained by its submitter.
fn shutdowns(submitters: usize, monitor: fn(&MonitorState)) {
    check(move || {
        let engine = Arc::new(Engine { state: MonitorState::new(), queued: AtomicUsize::new(0), token: Notify::new() });
        assert_eq!((engine.state.wake(), engine.state.wake()), (WakeDuty::First, WakeDuty::Start));
        let mut threads: Vec<_> = (0..submitters)
            .map(|_| {
                let engine = engine.clone();
                thread::spawn(move || engine.submit())
            })
            .collect();
        let beside = engine.clone();
        threads.push(thread::spawn(move || monitor(&beside.state)));
        engine.close();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(engine.queued.load(Ordering::Relaxed), 0);
        engine.submit();
        assert_eq!(engine.queued.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_shutdown_beside_a_submitter() {
    shutdowns(1, |state| {
        state.announce();
        state.go_on();
    });
}

#[test]
fn a_shutdown_beside_two_submitters() {
    shutdowns(2, |_| {});
}

#[test]
fn a_shutdown_beside_a_monitor_that_could_not_start() {
    shutdowns(1, MonitorState::give_up);
}

/// The system refuses the thread. Of two submitters, the one that gives up sees the work of the other, or the other tries to start
/// the thread again.
#[test]
fn a_refused_thread() {
    check(|| {
        let shared = Arc::new((MonitorState::new(), AtomicUsize::new(0)));
        assert_eq!(shared.0.wake(), WakeDuty::First);
        let submit = |(state, queued): &(MonitorState, AtomicUsize)| {
            queued.fetch_add(1, Ordering::Relaxed);
            if !state.must_be_woken() {
                return 0;
            }
            match state.wake() {
                WakeDuty::Start => {
                    state.give_up();
                    // `kick` then starts a worker if it sees work.
                    queued.load(Ordering::Relaxed)
                }
                WakeDuty::First | WakeDuty::Wake | WakeDuty::Drain => {
                    unreachable!("the first work was submitted before, there is no thread, and no shutdown")
                }
                WakeDuty::Nothing => 0,
            }
        };
        let other = {
            let shared = shared.clone();
            thread::spawn(move || submit(&shared))
        };
        let mine = submit(&shared);
        assert_eq!(mine.max(other.join().unwrap()), 2, "one submitter sees the work of both");
    });
}

/// Of two threads that submit the first work, one starts a worker and the other the monitor thread.
#[test]
fn the_first_work() {
    check(|| {
        let state = Arc::new(MonitorState::new());
        let other = {
            let state = state.clone();
            thread::spawn(move || state.wake())
        };
        let mut both = [state.wake(), other.join().unwrap()];
        both.sort_by_key(|duty| *duty == WakeDuty::Start);
        assert_eq!(both, [WakeDuty::First, WakeDuty::Start]);
    });
}
