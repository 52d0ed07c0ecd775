//! A process that was forked while the engine ran has none of the engine's threads: waits in it are errors.
#![cfg(unix)]

use std::time::Duration;

use ray::ErrorKind;

use crate::support::{Gate, engine, in_child};

/// Runs `body` in a fork of this process; returns whether `body` returned `true`. An alarm ends a fork that hangs.
fn in_a_fork(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the fork calls `body`, which ends by itself or by the alarm, and then `_exit`. A lock that another thread
    // holds during the fork stays locked in the child, so the other threads of the test are idle at this point.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0, "the system refused the fork");
        if pid == 0 {
            libc::alarm(20);
            let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
            libc::_exit(i32::from(!good));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

#[ray::remote]
fn wait_at(started: Gate, gate: Gate) {
    started.open();
    gate.wait();
}

fn is_fork_error(result: &ray::Result<()>) -> bool {
    let told = result.as_ref().is_err_and(|error| {
        error.kind() == ErrorKind::RuntimeGone && error.to_string().contains("was made by `fork` from process")
    });
    if !told {
        eprintln!("{result:?}");
    }
    told
}

/// A wait that would block forever is an error at once; ready objects can be got.
#[test]
fn waits_in_a_forked_process_are_errors() {
    in_child("forks::waits_in_a_forked_process_are_errors", || {
        engine();
        let (started, gate) = (Gate::new(), Gate::new());
        let pending = wait_at.remote(started, gate);
        started.wait();
        let ready = ray::put(7);
        ray::get(&ready).unwrap();
        assert!(in_a_fork(|| ray::get(&ready).is_ok_and(|value| value == 7)), "a ready object");
        assert!(in_a_fork(|| is_fork_error(&ray::get(&pending))), "get");
        assert!(in_a_fork(|| is_fork_error(&ray::get_timeout(&pending, Duration::from_secs(60)))), "get_timeout");
        assert!(in_a_fork(|| is_fork_error(&ray::get([pending.clone(), pending.clone()]).map(drop))), "get of several");
        assert!(in_a_fork(|| is_fork_error(&ray::wait([pending.any()], 1).map(drop))), "wait");
        assert!(in_a_fork(|| is_fork_error(&ray::get(crate::stage::nothing.remote()))), "a task of the fork's own");
        assert!(in_a_fork(|| is_fork_error(&ray::init().map(drop))), "init");
        gate.open();
        ray::get(pending).unwrap();
    });
}

/// The error is the same if the engine had no work or only one task before the fork: the fork starts no worker thread.
#[test]
fn a_fork_starts_no_thread_of_the_engine() {
    in_child("forks::a_fork_starts_no_thread_of_the_engine", || {
        engine();
        let told = || is_fork_error(&ray::get(crate::stage::nothing.remote()));
        for _ in 0..10 {
            assert!(in_a_fork(told), "no work before");
        }
        ray::get(crate::stage::nothing.remote()).unwrap();
        for _ in 0..10 {
            assert!(in_a_fork(told), "one task before");
        }
    });
}
