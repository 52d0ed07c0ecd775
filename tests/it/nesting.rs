//! Gets nested in gets, ten thousand levels deep, and errors for deeper ones.

use ray::{Config, remote};

use crate::stage::{alone_on, alone_with, apart, eventually};
use crate::support::{Gate, calls};

/// Each level is a process of a cluster.
fn deep() -> u64 {
    calls(2, 10_000)
}

#[remote]
fn depth(n: u64) -> u64 {
    if n == 0 { 0 } else { ray::get(depth.remote(n - 1)).unwrap() + 1 }
}

/// Every level gets its child only after another thread has started the child.
#[remote]
fn depth_elsewhere(n: u64, started: Gate) -> ray::Result<u64> {
    started.open();
    if n == 0 {
        return Ok(0);
    }
    let child_started = Gate::new();
    let child = depth_elsewhere.remote(n - 1, child_started);
    child_started.wait();
    Ok(ray::get(child)? + 1)
}

/// Getters run children that no other thread has started.
#[test]
fn gets_nest_ten_thousand_deep() {
    alone_on(2, || {
        assert_eq!(ray::get(depth.remote(deep())).unwrap(), deep());
        eventually("all CPUs are free again", || ray::available_resources().unwrap()["CPU"] == 2.0);
        let less = calls(1, deep() / 4);
        assert_eq!(ray::get([depth.remote(less), depth.remote(less)]).unwrap(), [less; 2]);
    });
}

/// Another thread has started every child before its parent's get, so each level has its own thread.
#[test]
fn gets_nest_ten_thousand_deep_on_other_threads() {
    alone_on(2, || {
        assert_eq!(ray::get(depth_elsewhere.remote(deep(), Gate::new())).unwrap(), deep());
        eventually("all CPUs are free again", || ray::available_resources().unwrap()["CPU"] == 2.0);
    });
}

/// Nesting that needs more threads than `max_threads` is an error, not a hang; the engine works afterwards.
#[test]
fn nesting_beyond_max_threads_is_an_error() {
    apart(|| {
        crate::support::init_with(Config::new().num_cpus(2).max_threads(12)).unwrap();
        for _ in 0..3 {
            assert_eq!(ray::get(depth_by_threads.remote(8)).unwrap(), 8);
        }
        let error = ray::get(depth_by_threads.remote(100)).unwrap_err();
        assert!(error.is_threads() && error.to_string().contains("max_threads"), "{error}");
        // Children without a waiting parent still run, and fail.
        eventually("the engine runs further tasks", || ray::get(depth_by_threads.remote(8)).is_ok_and(|reached| reached == 8));
        eventually("all CPUs are free again", || ray::available_resources().unwrap()["CPU"] == 2.0);
    });
}

/// Asks for two CPUs, so a getter does not run its child itself: every level blocks a thread.
#[remote(num_cpus = 2)]
fn depth_by_threads(n: u64) -> ray::Result<u64> {
    if n == 0 { Ok(0) } else { Ok(ray::get(depth_by_threads.remote(n - 1))? + 1) }
}

/// Nesting that exhausts the stack of the only thread is an error as well. The test sets a small stack: ThreadSanitizer walks the
/// whole stack at every allocation, so deep in a large stack the getter's last checks would take longer than the half second after
/// which the monitor thread starts a worker beyond `max_threads`.
#[test]
fn nesting_beyond_one_stack_is_an_error() {
    alone_with(&[("RUST_MIN_STACK", "524288")], || {
        crate::support::init_with(Config::new().num_cpus(1).max_threads(1)).unwrap();
        let error = ray::get(depth_or_error.remote(deep())).unwrap_err();
        assert!(error.is_threads(), "{error}");
        assert_eq!(ray::get(depth_or_error.remote(10)).unwrap(), 10);
    });
}

#[remote]
fn depth_or_error(n: u64) -> ray::Result<u64> {
    if n == 0 { Ok(0) } else { Ok(ray::get(depth_or_error.remote(n - 1))? + 1) }
}

#[remote]
fn without_end(n: u64) -> ray::Result<u64> {
    ray::get(without_end.remote(n + 1))
}

/// Endless nesting of gets is an error before it uses up the memory; the engine works afterwards.
#[test]
fn endless_nesting_is_an_error() {
    alone_on(2, || {
        let error = ray::get(without_end.remote(0)).unwrap_err();
        assert!(error.is_threads() && error.to_string().contains("deep"), "{error}");
        assert_eq!(ray::get(depth.remote(100)).unwrap(), 100);
        eventually("all CPUs are free again", || ray::available_resources().unwrap()["CPU"] == 2.0);
    });
}

/// Its bodies are not known to be short, so a getter of several runs them itself only when no other thread can.
#[remote]
fn tree(n: u64) -> ray::Result<u64> {
    if n == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1)); // body: a leaf must not be short
        return Ok(1);
    }
    let branches: Vec<_> = (0..2).map(|_| tree.remote(n - 1)).collect();
    Ok(ray::get(branches)?.iter().sum())
}

/// Fork and join with fewer threads than levels completes, because getters run the tasks that they wait for.
#[test]
fn a_tree_on_two_threads() {
    apart(|| {
        crate::support::init_with(Config::new().num_cpus(2).max_threads(2)).unwrap();
        let levels = calls(2, 6);
        assert_eq!(ray::get(tree.remote(levels)).unwrap(), 1 << levels);
    });
}
