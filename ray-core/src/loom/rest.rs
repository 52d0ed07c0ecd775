//! The pulse's rest: work that is queued while the pulse lies down is seen by it, or rouses it.

use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::sync::{Arc, Notify};
use ::loom::thread;

use super::check;
use crate::worker::rest::{Rest, Rouse};

struct Engine {
    rest: Rest,
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
                Rouse::Start => unreachable!("it was started"),
                Rouse::Nothing => {}
            }
        }
    }

    /// The pulse, until it has seen `all`.
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
        let engine = Arc::new(Engine { rest: Rest::new(), queued: AtomicUsize::new(0), token: Notify::new() });
        assert_eq!(engine.rest.rouse(), Rouse::Start);
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let engine = engine.clone();
                thread::spawn(move || engine.submit())
            })
            .collect();
        // A pulse that sleeps through the work is a deadlock of the model.
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
