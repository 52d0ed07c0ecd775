//! What an engine keeps of its monitor thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

use crate::sched::monitor_state::MonitorState;

/// The monitor thread's state, and its thread.
#[derive(Debug)]
pub(crate) struct MonitorHandle {
    pub(super) state: MonitorState,
    pub(super) thread: Mutex<Option<Thread>>,
    /// The thread was started and has not ended.
    pub(super) there: AtomicBool,
}

impl MonitorHandle {
    pub(crate) fn new() -> Self {
        Self { state: MonitorState::new(), thread: Mutex::new(None), there: AtomicBool::new(false) }
    }

    /// After something was queued: it must be roused for that to be seen.
    #[inline]
    pub(crate) fn is_roused_by_work(&self) -> bool {
        self.state.is_roused_by_work()
    }

    /// Its thread has not ended.
    pub(crate) fn is_there(&self) -> bool {
        self.there.load(Ordering::SeqCst)
    }

    /// No work is taken any more: whoever queues some drains it.
    pub(crate) fn close(&self) {
        self.state.close();
    }

    /// Wakes the thread, whatever it does.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }
}
