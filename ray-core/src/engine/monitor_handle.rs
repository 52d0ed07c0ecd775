//! The engine's handle of its monitor thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

use crate::sched::monitor_state::MonitorState;

/// The state and the thread of the monitor thread.
#[derive(Debug)]
pub(crate) struct MonitorHandle {
    pub(super) state: MonitorState,
    pub(super) thread: Mutex<Option<Thread>>,
    /// Whether the thread was started and has not ended.
    pub(super) there: AtomicBool,
}

impl MonitorHandle {
    pub(crate) fn new() -> Self {
        Self { state: MonitorState::new(), thread: Mutex::new(None), there: AtomicBool::new(false) }
    }

    /// Whether the caller, which has queued something, must wake the monitor thread so that it sees that.
    #[inline]
    pub(crate) fn must_be_woken(&self) -> bool {
        self.state.must_be_woken()
    }

    /// Whether the thread was started and has not ended.
    pub(crate) fn is_there(&self) -> bool {
        self.there.load(Ordering::SeqCst)
    }

    /// Closes the queues: a thread that queues work from now on drains it itself.
    pub(crate) fn close(&self) {
        self.state.close();
    }

    /// Unparks the thread, in any state.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }
}
