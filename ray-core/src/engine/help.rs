//! The monitor thread's call for help, made when no worker can be had. [`calls`](crate::engine::calls) has the state of the calls,
//! `blocking::last_resort` the reaction of the waiting threads.

use crate::engine::calls::Offer;
use crate::engine::engine::Engine;
use crate::engine::threads::Job;

/// Wakes every waiting thread. Without an offer each thread only looks whether it can run something that it waits for itself.
///
/// With an offer the caller calls `queue::notify` afterwards: a shutdown may have drained the queues before the offer was made, and
/// then that drains them again.
pub(crate) fn call_for_help(engine: &Engine, offer: Option<Offer>) {
    if offer.is_some()
        && let Some(Offer::Task(task, _)) = engine.calls.offer(offer)
    {
        engine.injector.push(Job::new(task));
    }
    engine.calls.count_call();
    engine.threads.walk(0, |shared, _| {
        if shared.is_away() {
            shared.thread.unpark();
        }
        false
    });
}
