//! The threads of a worker: its own, and as many more as it has CPUs. A loop that runs in place keeps the pool of its thread, which is
//! the user's own and would never get out of another one.

use std::cell::RefCell;
use std::sync::Once;

use rayon::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    /// The pool that this thread belongs to. It belongs to it for as long as it lives: rayon knows no way out.
    static POOL: RefCell<Option<Pool>> = const { RefCell::new(None) };
}

struct Pool {
    threads: usize,
    /// Without it the pool's other threads end, and this one does their work.
    others: Option<ThreadPool>,
}

/// Runs `body` on this thread, with a rayon pool of so many threads of which this one is one: what `body` calls, burn's matrix
/// products for one, uses no more than those.
///
/// A thread stays in the pool that it got first. One that comes again with as many threads finds its pool; with another
/// number, the one thread does the work of all (or of as many as there are, where it now may have more), which is said once.
pub(crate) fn on_this_thread<R>(threads: usize, body: impl FnOnce() -> R) -> R {
    let threads = threads.max(1);
    // A thread of somebody's own pool keeps it: the caller has chosen.
    POOL.with_borrow_mut(|pool| match pool {
        None if rayon::current_thread_index().is_some() => {}
        None => *pool = build(threads),
        Some(pool) if pool.threads == threads => {}
        Some(pool) => {
            if threads < pool.threads {
                pool.others = None;
            }
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                eprintln!(
                    "ray-train: a worker's thread has a pool of {} threads from an earlier run and may have {threads} now; it \
                     uses {}. Give all runs of a process the same resources per worker.",
                    pool.threads,
                    if pool.others.is_some() { pool.threads } else { 1 }
                );
            });
        }
    });
    body()
}

/// None where the system refuses threads; the body then runs in rayon's common pool.
fn build(threads: usize) -> Option<Pool> {
    let name = |nth| format!("ray-train-{nth}");
    let others = ThreadPoolBuilder::new().num_threads(threads).use_current_thread().thread_name(name).build();
    match others {
        Ok(others) => Some(Pool { threads, others: Some(others) }),
        Err(error) => {
            eprintln!("ray-train: no pool of {threads} threads for a worker, it shares one with others: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// On a thread that no other test has used.
    fn afresh(body: impl FnOnce() + Send) {
        thread::scope(|scope| scope.spawn(body).join().unwrap());
    }

    #[test]
    fn the_body_runs_here_with_as_many_threads_as_asked_for() {
        afresh(|| {
            let here = thread::current().id();
            for _ in 0..2 {
                let seen = on_this_thread(3, || (thread::current().id(), rayon::current_num_threads(), rayon::join(|| 1, || 2)));
                assert_eq!(seen, (here, 3, (1, 2)));
            }
        });
    }

    #[test]
    fn with_one_thread_all_work_is_done_here() {
        use rayon::prelude::*;
        afresh(|| {
            let here = thread::current().id();
            let there = || (0..1000).into_par_iter().map(|_| thread::current().id()).filter(|id| *id != here).count();
            assert_eq!(on_this_thread(1, there), 0);
        });
    }

    #[test]
    fn fewer_threads_than_before_are_not_exceeded() {
        use rayon::prelude::*;
        afresh(|| {
            on_this_thread(4, || ());
            let here = thread::current().id();
            // The others end when they next look, which they do at once; what they take until then they finish.
            let there = || (0..1000).into_par_iter().map(|_| thread::current().id()).filter(|id| *id != here).count();
            on_this_thread(1, || while there() > 0 {});
            assert_eq!(on_this_thread(1, there), 0);
        });
    }

    #[test]
    fn a_panic_leaves_the_pool_in_order() {
        afresh(|| {
            let caught = std::panic::catch_unwind(|| on_this_thread(2, || panic!("torn")));
            assert!(caught.is_err());
            assert_eq!(on_this_thread(2, rayon::current_num_threads), 2);
        });
    }
}
