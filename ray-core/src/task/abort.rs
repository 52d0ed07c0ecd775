//! `abort`, which fails a task in any phase.

use std::ptr::NonNull;

use crate::base::error::Error;
use crate::object::entry::Header;
use crate::object::state::Phase;
use crate::task::edges::release_edges;

impl Header {
    /// Fails a task. If it has not started, its arguments are dropped; if it runs, it fails at once, and the value of its body will
    /// be dropped. `false`: it was settled already.
    pub(crate) fn abort(&self, error: Error) -> bool {
        loop {
            let now = self.phase();
            if now.is_settled() || self.abort_now(error.clone()) {
                return !now.is_settled();
            }
            // The phase changed between two reads, from `Waiting` to `Queued` or back to `Queued` for a retry: try again.
        }
    }

    fn abort_now(&self, error: Error) -> bool {
        let entry = NonNull::from(self);
        let task = self.task();
        let unstarted = self.state.step(Phase::Waiting, Phase::Running) || self.state.step(Phase::Queued, Phase::Running);
        if unstarted && let Some(head) = task {
            (head.vtable().kind.leave_queue)(head);
            // SAFETY: this thread has moved the task to `Running` and will not run it, so it owns the edges and the arguments.
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
