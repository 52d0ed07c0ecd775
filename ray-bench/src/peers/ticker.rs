//! tokio's threads for blocking work in the case `ticker`. The actor is a loop on one of these threads, behind a channel.

use std::{iter, thread::sleep, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::Instant,
};

use crate::workload::{
    arithmetic::Work,
    ticker::{AWAITS, ENOUGH, LONG, QUEUED, SHORT, STEPS, Situation, TURNED, Ticks},
};

/// Runs a body of this many milliseconds on a thread for blocking work.
async fn take(milliseconds: u64) {
    let body = move || {
        if milliseconds > 0 {
            sleep(Duration::from_millis(milliseconds));
        }
    };
    spawn_blocking(body).await.expect("result");
}

/// Does the work of `situation`.
pub(crate) async fn work(situation: Situation, ticks: Ticks) {
    match situation {
        Situation::First => take(LONG).await,
        // `spawn_blocking` treats both alike: it learns nothing from the closures that it has run.
        Situation::OtherClosure | Situation::SameClosure => {
            for milliseconds in iter::repeat_n(0, SHORT).chain([LONG]) {
                take(milliseconds).await;
            }
        }
        Situation::TurnsLong => {
            for milliseconds in iter::repeat_n(0, SHORT).chain([LONG; TURNED]) {
                take(milliseconds).await;
            }
        }
        Situation::Noops => {
            let end = Instant::now() + ENOUGH;
            for _ in 0..AWAITS {
                take(0).await;
                if Instant::now() > end {
                    break;
                }
            }
        }
        Situation::Queue => {
            let (calls, mut mailbox) = mpsc::unbounded_channel::<oneshot::Sender<u64>>();
            spawn_blocking(move || {
                let mut value = 0;
                while let Some(reply) = mailbox.blocking_recv() {
                    value = Work::of_steps(STEPS).run(value);
                    reply.send(value).expect("the caller keeps the receiver");
                }
            });
            let call = || {
                let (reply, result) = oneshot::channel();
                calls.send(reply).expect("the actor lives");
                result
            };
            for _ in 0..SHORT {
                call().await.expect("the actor replies");
            }
            let mut pending: Vec<_> = (0..QUEUED).map(|_| call()).collect();
            ticks.count_from_now();
            pending.pop().expect("there are calls").await.expect("the actor replies");
            // Their drop would block this thread for milliseconds that are not part of an await.
            std::mem::forget(pending);
        }
    }
}
