//! The monitor thread's call for help, where no worker thread is left. [`calls`](crate::engine::calls) has what is called, and
//! `blocking::last_resort` has what the waiting threads do then.

use crate::engine::calls::Offer;
use crate::engine::engine::Engine;
use crate::engine::queue::notify;
use crate::engine::threads::Job;

/// Calls every thread that waits. Without an offer each looks at its own needs alone.
pub(crate) fn call_for_help(engine: &Engine, offer: Option<Offer>) {
    if offer.is_some() {
        if let Some(Offer::Task(task, _)) = engine.calls.offer(offer) {
            engine.injector.push(Job::new(task));
        }
        // A shutdown may have emptied the queues before.
        notify(engine);
    }
    engine.calls.count_call();
    engine.threads.walk(0, |shared, _| {
        if shared.is_away() {
            shared.thread.unpark();
        }
        false
    });
}
