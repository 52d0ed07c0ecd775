//! The way of a report from a rank's loop to the run recorder.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ray::collective::Group;

use super::report_board::ReportBoard;
use super::run_recorder::RunRecorder;

/// The connection from the loop of a rank to the run recorder.
pub(crate) enum ReportChannel {
    /// The rank is one of a group: its reports go through the board to the driver thread.
    Group(Arc<ReportBoard>),
    /// The loop runs in place, on the thread that called `fit`: it calls the recorder directly.
    InPlace(Rc<RefCell<RunRecorder>>),
}

impl ReportChannel {
    /// Checks that the group has not ended.
    ///
    /// # Errors
    /// The reason why the group has ended.
    pub(crate) fn check_open(&self) -> ray::Result<()> {
        match self {
            ReportChannel::Group(board) => board.check_open(),
            ReportChannel::InPlace(_) => Ok(()),
        }
    }

    /// In place, poisons the group of one rank if the run should stop. The calling thread runs the loop, so no other thread can do it.
    pub(crate) fn poison_if_stopped(&self, group: &Group) {
        if let ReportChannel::InPlace(recorder) = self
            && let Err(stopped) = recorder.borrow().check_stop()
        {
            group.poisoner().poison(stopped);
        }
    }
}
