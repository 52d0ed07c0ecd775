//! Sets the action of Ctrl-C in a child process. It may have inherited an ignored Ctrl-C, from `nohup` or as a background job of a
//! shell.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Lets Ctrl-C end this process.
pub(crate) fn by_default() {
    set(SigHandler::SigDfl);
}

/// Lets this process ignore Ctrl-C.
pub(crate) fn ignore() {
    set(SigHandler::SigIgn);
}

fn set(handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler is `SIG_DFL` or `SIG_IGN`, so the signal runs no code of this program.
    unsafe { sigaction(Signal::SIGINT, &action) }.unwrap();
}

/// Whether this process ignores Ctrl-C. The query does not change the action.
pub(crate) fn is_ignored() -> bool {
    let mut now = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: with a null pointer for the new action, `sigaction` only writes the current action to `now`, which is large enough. It
    // is read only after the call has returned 0, when it is written.
    let action = unsafe {
        assert_eq!(nix::libc::sigaction(nix::libc::SIGINT, std::ptr::null(), now.as_mut_ptr()), 0);
        now.assume_init()
    };
    action.sa_sigaction == nix::libc::SIG_IGN
}
