//! Ctrl-C during a run: the first one stops the run, the second one ends the process, and after the run the former action of the
//! signal is restored. A process that ignores Ctrl-C (started by `nohup`, or as a background job of a script) continues to ignore it.
//! This is for Unix; on other systems Ctrl-C ends the process, as it does outside of a run.
//!
//! Rules of the unsafe code:
//! * handler: the signal handler only stores to an atomic, which is async-signal-safe, so it may run at any moment;
//! * restore: the action that is restored is the one that `sigaction` returned when this module installed its own handler. Both calls
//!   are made under the lock of [`HANDLER`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

#[cfg(unix)]
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

#[cfg(not(unix))]
type SigAction = ();

use super::caller::Caller;

/// Whether the signal has come since the first of the current runs began.
static SIGNALLED: AtomicBool = AtomicBool::new(false);

static HANDLER: Mutex<HandlerState> = Mutex::new(HandlerState { runs: 0, former: None });

struct HandlerState {
    /// The number of runs in progress.
    runs: usize,
    /// The action before the first of them; none if the handler is not installed.
    former: Option<SigAction>,
}

#[cfg(unix)]
extern "C" fn handle_sigint(_: nix::libc::c_int) {
    SIGNALLED.store(true, Ordering::SeqCst);
}

/// Keeps the signal handler installed while it lives, and tells whether the run should stop: after Ctrl-C, or when the caller of
/// `fit` is cancelled.
#[derive(Debug)]
pub(crate) struct InterruptGuard {
    caller: Caller,
}

impl InterruptGuard {
    pub(crate) fn install(caller: Caller) -> InterruptGuard {
        let mut handler = HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
        handler.runs += 1;
        if handler.runs == 1 {
            SIGNALLED.store(false, Ordering::SeqCst);
            handler.former = install_handler();
        }
        InterruptGuard { caller }
    }

    /// Whether the run should stop: Ctrl-C was pressed, or the caller was cancelled.
    pub(crate) fn should_stop(&self) -> bool {
        self.is_signalled() || self.caller.is_cancelled()
    }

    /// Whether Ctrl-C was pressed.
    #[allow(clippy::unused_self, reason = "the flag is meaningful only while a guard exists")]
    pub(crate) fn is_signalled(&self) -> bool {
        SIGNALLED.load(Ordering::SeqCst)
    }

    /// The caller of the run.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        let mut handler = HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
        handler.runs -= 1;
        if handler.runs == 0
            && let Some(former) = handler.former.take()
        {
            restore_handler(&former);
        }
    }
}

/// Whether the process ignores Ctrl-C. The query does not change the action, so an ignored signal is ignored during the query too.
#[cfg(unix)]
fn is_ignored() -> bool {
    let mut current = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: with a null pointer for the new action, `sigaction` only writes the current action to the given place, which is large
    // enough for it. `assume_init` runs only if the call returned 0, and the place is written then.
    unsafe {
        nix::libc::sigaction(nix::libc::SIGINT, std::ptr::null(), current.as_mut_ptr()) == 0
            && current.assume_init().sa_sigaction == nix::libc::SIG_IGN
    }
}

/// Installs the handler and returns the former action, unless the process ignores Ctrl-C.
#[cfg(unix)]
fn install_handler() -> Option<SigAction> {
    if is_ignored() {
        return None;
    }
    // `SA_RESETHAND`: the system restores its default action when the signal comes, so that the second one ends the process.
    let action = SigAction::new(SigHandler::Handler(handle_sigint), SaFlags::SA_RESETHAND | SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: by the rule "handler": `handle_sigint` may run at any moment.
    unsafe { sigaction(Signal::SIGINT, &action) }.ok()
}

#[cfg(unix)]
fn restore_handler(former: &SigAction) {
    // SAFETY: by the rule "restore": the system itself gave this action, which was valid when it was replaced.
    let _ = unsafe { sigaction(Signal::SIGINT, former) };
}

#[cfg(not(unix))]
fn install_handler() -> Option<SigAction> {
    None
}

#[cfg(not(unix))]
fn restore_handler((): &SigAction) {}
