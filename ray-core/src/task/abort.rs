//! Failing a task, at whatever point of its way it is.

use std::ptr::NonNull;

use crate::base::error::Error;
use crate::object::entry::Header;
use crate::object::state::Phase;
use crate::task::edges::release_edges;

impl Header {
    /// Fails a task that has not started, dropping its arguments; a running one is failed at once and its runner's value
    /// will be dropped. `false`: it was settled already.
    pub(crate) fn abort(&self, error: Error) -> bool {
        loop {
            let now = self.phase();
            if now.is_settled() || self.abort_now(error.clone()) {
                return !now.is_settled();
            }
            // It went from one phase to another between the looks: waiting to queued, or back to the queue for a retry.
        }
    }

    fn abort_now(&self, error: Error) -> bool {
        let entry = NonNull::from(self);
        let task = self.task();
        let unstarted = self.state.step(Phase::Waiting, Phase::Running) || self.state.step(Phase::Queued, Phase::Running);
        if unstarted && let Some(head) = task {
            (head.vtable().kind.leave_queue)(head);
            // SAFETY: moved to Running by us, so the edges and the arguments are ours.
            unsafe {
                release_edges(head);
                (head.vtable().drop_args)(entry);
            }
        }
        let failed = self.fail(|phase| phase == Phase::Running, error);
        if failed
            && !unstarted
            && let Some(head) = task
        {
            (head.vtable().kind.stop_waits)(entry);
        }
        failed
    }
}
