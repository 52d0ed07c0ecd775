//! Which thread of a worker's program reads the socket.
//!
//! A thread that reads a call runs its body itself: a hand-over to another thread would wake that thread for each call. While the
//! body runs, the receiver is *free*, and no thread reads.
//!
//! # Rules
//!
//! 1. One thread at a time has the receiver, the *reader*. It puts the receiver here before it runs a body. After the body it takes
//!    the receiver again; if another thread has it by then, this thread waits here.
//! 2. A waiting thread takes a free receiver when it is needed: an answer is expected. It also takes a receiver that has been free
//!    for [`PAUSE`], because the worker may cancel the body. Then it is the reader, and runs the next call itself.
//! 3. A waiting thread sleeps until the receiver is free, and then for [`PAUSE`] at a time. So a stream of short calls rarely wakes
//!    it, and an idle process wakes no thread.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::channel::Receiver;

/// How long the receiver may be free.
const PAUSE: Duration = Duration::from_millis(10);

/// The receiver while no thread reads, and the threads that wait for it.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The receiver while it is free.
    free: Option<Receiver>,
    /// An answer is expected.
    needed: bool,
    /// How often the receiver has become free.
    turn: u64,
    /// Threads that sleep until the receiver becomes free.
    sleepers: usize,
}

impl Reading {
    /// Frees the receiver. If it is `needed`, a waiting thread takes it at once. That is asked under the lock: an earlier request is
    /// seen then, and a later one calls [`need`](Self::need).
    pub(crate) fn free(&self, receiver: Receiver, needed: impl FnOnce() -> bool) {
        let mut state = self.state.lock();
        let needed = needed();
        state.free = Some(receiver);
        state.needed = needed;
        state.turn += 1;
        if needed || state.sleepers > 0 {
            self.changed.notify_one();
        }
    }

    /// Takes the receiver, if no thread has it.
    pub(crate) fn take(&self) -> Option<Receiver> {
        self.state.lock().free.take()
    }

    /// An answer is expected, so a thread must read.
    pub(crate) fn need(&self) {
        let mut state = self.state.lock();
        if state.free.is_some() && !state.needed {
            state.needed = true;
            self.changed.notify_one();
        }
    }

    /// Waits until this thread is to read.
    pub(crate) fn wait(&self) -> Receiver {
        let mut state = self.state.lock();
        loop {
            if state.free.is_none() {
                state.sleepers += 1;
                self.changed.wait(&mut state);
                state.sleepers -= 1;
                continue;
            }
            let turn = state.turn;
            let is_due = state.needed || self.changed.wait_for(&mut state, PAUSE).timed_out() && state.turn == turn;
            if is_due && let Some(receiver) = state.free.take() {
                return receiver;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn receiver() -> Receiver {
        Receiver::new(UnixStream::pair().expect("a pair of sockets").0)
    }

    #[test]
    fn a_waiting_thread_takes_a_receiver_that_is_needed() {
        let reading = Arc::new(Reading::default());
        let waiting = Arc::clone(&reading);
        let thread = thread::spawn(move || waiting.wait());
        reading.free(receiver(), || true);
        thread.join().expect("the thread has the receiver");
        assert!(reading.take().is_none());
    }

    #[test]
    fn a_waiting_thread_takes_a_receiver_that_stays_free() {
        let reading = Arc::new(Reading::default());
        reading.free(receiver(), || false);
        let waiting = Arc::clone(&reading);
        thread::spawn(move || waiting.wait()).join().expect("the thread has the receiver");
    }

    /// Each of two threads frees the receiver, as after a call that it has read, and takes it again or waits for it.
    #[test]
    fn one_thread_at_a_time_has_the_receiver() {
        let reading = Arc::new(Reading::default());
        reading.free(receiver(), || false);
        let turns = |needed: bool| {
            let reading = Arc::clone(&reading);
            thread::spawn(move || {
                for _ in 0..200 {
                    let receiver = reading.take().unwrap_or_else(|| reading.wait());
                    reading.free(receiver, || needed);
                    reading.need();
                }
            })
        };
        for thread in [turns(true), turns(false)] {
            thread.join().expect("no thread waits forever");
        }
        assert!(reading.take().is_some() && reading.take().is_none());
    }
}
