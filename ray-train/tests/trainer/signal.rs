//! The disposition of Ctrl-C in a test's own process, whatever it was started with: a shell has the jobs in its background, and
//! `nohup` a program, ignore it.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// From here on, Ctrl-C ends this process.
pub(crate) fn by_default() {
    set(SigHandler::SigDfl);
}

/// From here on, this process ignores Ctrl-C.
pub(crate) fn ignore() {
    set(SigHandler::SigIgn);
}

fn set(handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither disposition runs any code.
    unsafe { sigaction(Signal::SIGINT, &action) }.unwrap();
}

/// Whether Ctrl-C is ignored, which this asks and does not change.
pub(crate) fn is_ignored() -> bool {
    let mut now = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: without a new action, `sigaction` only writes the present one, if it succeeds.
    let action = unsafe {
        assert_eq!(nix::libc::sigaction(nix::libc::SIGINT, std::ptr::null(), now.as_mut_ptr()), 0);
        now.assume_init()
    };
    action.sa_sigaction == nix::libc::SIG_IGN
}
