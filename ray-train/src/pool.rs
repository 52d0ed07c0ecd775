//! The rayon pool of a worker, with as many threads as the worker has CPUs; the thread of the worker is one of them. A loop in place
//! keeps the pool of its thread: the thread belongs to the user, and a thread cannot leave a pool.

use std::cell::RefCell;
use std::sync::Once;

use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    /// The pool of this thread. A thread stays in its pool until it ends: rayon has no function to leave a pool.
    static POOL: RefCell<Option<Pool>> = const { RefCell::new(None) };
}

struct Pool {
    threads: usize,
    /// The handle of the pool. When it is dropped, the other threads of the pool end, and this thread does all work.
    handle: Option<ThreadPool>,
}

/// Runs `body` on this thread, in a rayon pool of `threads` threads that includes this one. Code in `body` that uses rayon, such as
/// burn's matrix products, uses no more threads.
///
/// A thread stays in its first pool. A later call with the same number of threads uses this pool. If a later call asks for fewer
/// threads, only this thread is used from then on; if it asks for more, the pool keeps its size. Both print a warning, once in the
/// process.
pub(crate) fn run_in_pool<R>(threads: usize, body: impl FnOnce() -> R) -> R {
    let threads = threads.max(1);
    // A thread that is in a pool of the user keeps this pool.
    POOL.with_borrow_mut(|pool| match pool {
        None if rayon::current_thread_index().is_some() => {}
        None => *pool = build(threads),
        Some(pool) if pool.threads == threads => {}
        Some(pool) => {
            if threads < pool.threads {
                pool.handle = None;
            }
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                eprintln!(
                    "ray-train: the thread of a worker has a rayon pool of {} threads from an earlier run, and the worker now has \
                     CPUs for {threads}; it uses {}. Use the same CPUs per worker in all runs of a process.",
                    pool.threads,
                    if pool.handle.is_some() { pool.threads } else { 1 }
                );
            });
        }
    });
    body()
}

/// Makes this thread a member of a new pool. None if the system refuses the threads; the body then uses rayon's global pool.
fn build(threads: usize) -> Option<Pool> {
    let name = |nth| format!("ray-train-{nth}");
    let pool = ThreadPoolBuilder::new().num_threads(threads).use_current_thread().thread_name(name).build();
    match pool {
        Ok(handle) => Some(Pool { threads, handle: Some(handle) }),
        Err(error) => {
            eprintln!(
                "ray-train: the system refused a rayon pool of {threads} threads for a worker, which uses the global pool instead: {error}"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Runs a test on a new thread, which has no pool yet.
    fn on_new_thread(body: impl FnOnce() + Send) {
        thread::scope(|scope| scope.spawn(body).join().unwrap());
    }

    #[test]
    fn the_body_runs_on_the_calling_thread_in_a_pool_of_that_size() {
        on_new_thread(|| {
            let here = thread::current().id();
            for _ in 0..2 {
                let seen = run_in_pool(3, || (thread::current().id(), rayon::current_num_threads(), rayon::join(|| 1, || 2)));
                assert_eq!(seen, (here, 3, (1, 2)));
            }
        });
    }

    #[test]
    fn with_one_thread_the_calling_thread_does_all_work() {
        use rayon::prelude::*;
        on_new_thread(|| {
            let here = thread::current().id();
            let elsewhere = || (0..1000).into_par_iter().map(|_| thread::current().id()).filter(|id| *id != here).count();
            assert_eq!(run_in_pool(1, elsewhere), 0);
        });
    }

    #[test]
    fn a_later_smaller_size_is_not_exceeded() {
        use rayon::prelude::*;
        on_new_thread(|| {
            run_in_pool(4, || ());
            let here = thread::current().id();
            // The other threads end soon after the call, and finish the work that they have taken until then.
            let elsewhere = || (0..1000).into_par_iter().map(|_| thread::current().id()).filter(|id| *id != here).count();
            run_in_pool(1, || while elsewhere() > 0 {});
            assert_eq!(run_in_pool(1, elsewhere), 0);
        });
    }

    #[test]
    fn the_pool_survives_a_panic() {
        on_new_thread(|| {
            let caught = std::panic::catch_unwind(|| run_in_pool(2, || panic!("torn")));
            assert!(caught.is_err());
            assert_eq!(run_in_pool(2, rayon::current_num_threads), 2);
        });
    }
}
