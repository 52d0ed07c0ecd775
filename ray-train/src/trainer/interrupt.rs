//! Ctrl-C while a run is under way: the first one stops the run, the second one ends the process, and the action that was set
//! before the run is put back after it. A process that ignores Ctrl-C (one that was started by `nohup`, or in the background of a
//! script) goes on ignoring it. On Unix; elsewhere the first one ends the process, as without this module.
//!
//! Rules of the unsafe code: the handler stores to one atomic and does nothing else, which a signal handler may do at any
//! moment; the action that is put back is the one that the system gave when ours was set, under the same lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

#[cfg(unix)]
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

#[cfg(not(unix))]
type SigAction = ();

use super::caller::Caller;

static RAISED: AtomicBool = AtomicBool::new(false);

/// The runs that are under way, and what was set before the first of them.
static RUNS: Mutex<Runs> = Mutex::new(Runs { watching: 0, former: None });

struct Runs {
    watching: usize,
    former: Option<SigAction>,
}

#[cfg(unix)]
extern "C" fn note(_: nix::libc::c_int) {
    RAISED.store(true, Ordering::SeqCst);
}

/// Ctrl-C is ours for as long as this lives. It also watches the caller, whose cancel ends the run too.
#[derive(Debug)]
pub(crate) struct Watch {
    caller: Caller,
}

impl Watch {
    pub(crate) fn begin(caller: Caller) -> Watch {
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        runs.watching += 1;
        if runs.watching == 1 {
            RAISED.store(false, Ordering::SeqCst);
            runs.former = take();
        }
        Watch { caller }
    }

    /// Whether the run is to end: Ctrl-C was pressed, or the caller was cancelled.
    pub(crate) fn is_raised(&self) -> bool {
        self.is_pressed() || self.caller.is_cancelled()
    }

    /// Whether Ctrl-C was pressed.
    #[allow(clippy::unused_self, reason = "only a run that watches may ask")]
    pub(crate) fn is_pressed(&self) -> bool {
        RAISED.load(Ordering::SeqCst)
    }

    /// The caller of the run.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        runs.watching -= 1;
        if runs.watching == 0
            && let Some(former) = runs.former.take()
        {
            put_back(&former);
        }
    }
}

/// Whether the process ignores Ctrl-C. This asks, and changes nothing: a signal that comes meanwhile is ignored too.
#[cfg(unix)]
fn is_ignored() -> bool {
    let mut present = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: without a new action, `sigaction` only writes the present one. It is read only if the call succeeded.
    unsafe {
        nix::libc::sigaction(nix::libc::SIGINT, std::ptr::null(), present.as_mut_ptr()) == 0
            && present.assume_init().sa_sigaction == nix::libc::SIG_IGN
    }
}

/// Sets our action and returns the former one, unless the process ignores Ctrl-C.
#[cfg(unix)]
fn take() -> Option<SigAction> {
    if is_ignored() {
        return None;
    }
    // `SA_RESETHAND`: the system puts its default back when the signal comes, so that the second one ends the process.
    let ours = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESETHAND | SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: by the rules at the head.
    unsafe { sigaction(Signal::SIGINT, &ours) }.ok()
}

#[cfg(unix)]
fn put_back(former: &SigAction) {
    // SAFETY: by the rules at the head.
    let _ = unsafe { sigaction(Signal::SIGINT, former) };
}

#[cfg(not(unix))]
fn take() -> Option<SigAction> {
    None
}

#[cfg(not(unix))]
fn put_back((): &SigAction) {}
