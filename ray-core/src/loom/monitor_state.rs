//! The monitor thread's rest: work that is queued while the thread lies down is seen by it, or rouses it.

use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::sync::{Arc, Notify};
use ::loom::thread;

use super::check;
use crate::sched::monitor_state::{MonitorState, Rouse};

struct Engine {
    rest: MonitorState,
    queued: AtomicUsize,
    /// The thread's parking.
    token: Notify,
}

impl Engine {
    fn submit(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        if self.rest.is_roused_by_work() {
            match self.rest.rouse() {
                Rouse::Wake => self.token.notify(),
                // The thread is there, or could not be had.
                Rouse::First | Rouse::Start => {}
                Rouse::Nothing => {}
                Rouse::Drain => self.drain(),
            }
        }
    }

    fn drain(&self) {
        self.queued.swap(0, Ordering::Relaxed);
    }

    /// A shutdown.
    fn close(&self) {
        self.rest.close();
        self.drain();
    }

    /// The monitor thread, until it has seen `all`.
    fn beat(&self, all: usize) {
        let mut seen = 0;
        while seen < all {
            seen += self.queued.swap(0, Ordering::Relaxed);
            if seen == all {
                return;
            }
            self.rest.announce();
            if self.queued.load(Ordering::Relaxed) > 0 {
                self.rest.go_on();
                continue;
            }
            while self.rest.is_resting() {
                self.token.wait();
            }
        }
    }
}

fn submitters(count: usize) {
    check(move || {
        let engine = Arc::new(Engine { rest: MonitorState::new(), queued: AtomicUsize::new(0), token: Notify::new() });
        assert_eq!((engine.rest.rouse(), engine.rest.rouse()), (Rouse::First, Rouse::Start));
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let engine = engine.clone();
                thread::spawn(move || engine.submit())
            })
            .collect();
        // A monitor thread that sleeps through the work is a deadlock of the model.
        engine.beat(count);
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

/// A shutdown beside submitters, and beside a monitor that lies down or gets up: nothing stays in the queue, and what is
/// queued after both is drained by its submitter.
fn shutdowns(submitters: usize, monitor: fn(&MonitorState)) {
    check(move || {
        let engine = Arc::new(Engine { rest: MonitorState::new(), queued: AtomicUsize::new(0), token: Notify::new() });
        assert_eq!((engine.rest.rouse(), engine.rest.rouse()), (Rouse::First, Rouse::Start));
        let mut threads: Vec<_> = (0..submitters)
            .map(|_| {
                let engine = engine.clone();
                thread::spawn(move || engine.submit())
            })
            .collect();
        let beside = engine.clone();
        threads.push(thread::spawn(move || monitor(&beside.rest)));
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
    shutdowns(1, |rest| {
        rest.announce();
        rest.go_on();
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

/// The system refuses the thread: a submitter that found it starting is seen by the one that gives up, or it tries to
/// start the thread again.
#[test]
fn a_refused_thread() {
    check(|| {
        let rest = Arc::new((MonitorState::new(), AtomicUsize::new(0)));
        assert_eq!(rest.0.rouse(), Rouse::First);
        let submit = |(rest, queued): &(MonitorState, AtomicUsize)| {
            queued.fetch_add(1, Ordering::Relaxed);
            if !rest.is_roused_by_work() {
                return 0;
            }
            match rest.rouse() {
                Rouse::Start => {
                    rest.give_up();
                    // What `kick` does with it: it starts a worker if it sees any.
                    queued.load(Ordering::Relaxed)
                }
                Rouse::First | Rouse::Wake | Rouse::Drain => {
                    unreachable!("the first work is over, there is no thread, and no shutdown")
                }
                Rouse::Nothing => 0,
            }
        };
        let other = {
            let rest = rest.clone();
            thread::spawn(move || submit(&rest))
        };
        let mine = submit(&rest);
        assert_eq!(mine.max(other.join().unwrap()), 2, "somebody sees both");
    });
}

/// Of two threads that submit the first work, one starts a worker and the other the monitor thread.
#[test]
fn the_first_work() {
    check(|| {
        let rest = Arc::new(MonitorState::new());
        let other = {
            let rest = rest.clone();
            thread::spawn(move || rest.rouse())
        };
        let mut both = [rest.rouse(), other.join().unwrap()];
        both.sort_by_key(|rouse| *rouse == Rouse::Start);
        assert_eq!(both, [Rouse::First, Rouse::Start]);
    });
}
