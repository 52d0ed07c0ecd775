//! The contender of this project in the case `ticker`.

use std::{iter, thread::sleep, time::Duration};

use ray::remote;
use tokio::time::Instant;

use super::{Worker, noop};
use crate::workload::ticker::{AWAITS, ENOUGH, LONG, QUEUED, SHORT, STEPS, Situation, TURNED, Ticks};

/// Sleeps for this number of milliseconds.
#[remote]
fn take(milliseconds: u64) {
    pause(milliseconds);
}

fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        sleep(Duration::from_millis(milliseconds));
    }
}

/// Awaits `object`, which must not fail.
macro_rules! awaited {
    ($object:expr) => {
        $object.await.expect("the call succeeds")
    };
}

/// Does the work of `situation`.
pub(crate) async fn work(situation: Situation, ticks: Ticks) {
    match situation {
        Situation::First => awaited!(take.remote(LONG)),
        Situation::OtherClosure => {
            for _ in 0..SHORT {
                awaited!(ray::task(|| pause(0)).remote());
            }
            awaited!(ray::task(|| pause(LONG)).remote());
        }
        Situation::SameClosure => {
            for milliseconds in iter::repeat_n(0, SHORT).chain([LONG]) {
                awaited!(ray::task(move || pause(milliseconds)).remote());
            }
        }
        Situation::TurnsLong => {
            for milliseconds in iter::repeat_n(0, SHORT).chain([LONG; TURNED]) {
                awaited!(take.remote(milliseconds));
            }
        }
        Situation::Noops => {
            let end = Instant::now() + ENOUGH;
            for _ in 0..AWAITS {
                awaited!(noop.remote());
                if Instant::now() > end {
                    break;
                }
            }
        }
        Situation::Queue => {
            let worker = Worker::remote();
            for _ in 0..SHORT {
                awaited!(worker.work.remote(STEPS));
            }
            let mut calls: Vec<_> = (0..QUEUED).map(|_| worker.work.remote(STEPS)).collect();
            ticks.count_from_now();
            awaited!(calls.pop().expect("there are calls"));
            // Their drop would block this thread for milliseconds that are not part of an await.
            std::mem::forget(calls);
        }
    }
}
