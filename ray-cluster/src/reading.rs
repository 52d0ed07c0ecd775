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
    /// Frees the receiver; `needed`: a waiting thread takes it at once.
    pub(crate) fn free(&self, receiver: Receiver, needed: bool) {
        let mut state = self.state.lock();
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
