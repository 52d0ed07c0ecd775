//! Faults of a cluster: each gives an error that says what to do, or Ray's own promise is kept; nothing hangs, and nothing is left.
//!
//! Each test runs a driver, which is this binary with the single test, in namespaces of its own (`space`). The workers of the driver
//! start this binary with the single test [`entry_of_workers`]. The tests need a Python with Ray in `RAY_PYTHON`, and `unshare`,
//! `nsenter` and `ip` as root; without these they are skipped, which is a failure with `REQUIRE_CLUSTER=1`.
#![cfg(target_os = "linux")]
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "tests; `pub` is how an actor's methods are exported"
)]

mod connect;
mod driver;
mod ends;
mod nodes;
mod programs;
mod space;
mod values;
mod workers;

/// The entry of the workers; in another process it does nothing.
#[test]
fn entry_of_workers() {
    if driver::is_worker() {
        let _ = ray::init();
    }
}

/// An entry of workers that uses ray before `ray::init()`.
#[test]
fn entry_that_uses_ray_too_early() {
    if driver::is_worker() {
        drop(ray::put(1));
        let _ = ray::init();
    }
}
