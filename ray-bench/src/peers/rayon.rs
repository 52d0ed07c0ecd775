//! rayon: the global pool, with `spawn` and a channel for the result, its parallel iterator, and its `join`. This module
//! also has the `join` of chili.

use rayon::prelude::*;

use crate::{
    measure::{Contender, ns_per},
    workload::{arithmetic::Work, fib25, map, par20},
};

/// The caller submits a no-op task, gets its result, and repeats.
pub(crate) fn rt(n: usize) -> [Contender; 2] {
    [
        Contender::new("rayon + oneshot", move || {
            ns_per(n, || {
                for i in 0..n {
                    let (sender, receiver) = oneshot::channel();
                    rayon::spawn(move || sender.send(i).expect("the caller waits"));
                    assert_eq!(receiver.recv(), Ok(i));
                }
            })
        }),
        Contender::new("rayon + crossbeam", move || {
            ns_per(n, || {
                for i in 0..n {
                    let (sender, receiver) = crossbeam_channel::bounded(1);
                    rayon::spawn(move || sender.send(i).expect("the caller waits"));
                    assert_eq!(receiver.recv(), Ok(i));
                }
            })
        }),
    ]
}

/// Spawns `task` and returns the receiver of its result.
fn spawn<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    rayon::spawn(move || {
        // The receiver is dropped early only if the bench has already failed.
        let _ = sender.send(task());
    });
    receiver
}

/// The caller submits `n` no-op tasks and then takes all results.
pub(crate) fn tasks(n: usize) -> Contender {
    Contender::new("rayon + oneshot", move || {
        ns_per(n, || {
            let pending: Vec<_> = (0..n as u64).map(|i| spawn(move || i)).collect();
            let sum: u64 = pending.into_iter().map(|result| result.recv().expect("result")).sum();
            assert_eq!(sum, (0..n as u64).sum::<u64>());
        })
    })
}

/// The recursive Fibonacci number by scoped joins, which give no reference to a result.
pub(crate) fn fib() -> [Contender; 2] {
    fn by_rayon(n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let (left, right) = rayon::join(|| by_rayon(n - 1), || by_rayon(n - 2));
        left + right
    }
    fn by_chili(scope: &mut chili::Scope<'_>, n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let (left, right) = scope.join(|s| by_chili(s, n - 1), |s| by_chili(s, n - 2));
        left + right
    }
    [
        Contender::new("rayon (scoped join)", || fib25::microseconds(|| by_rayon(fib25::N))),
        Contender::new("chili (scoped join)", || fib25::microseconds(|| by_chili(&mut chili::Scope::global(), fib25::N))),
    ]
}

/// Equal tasks of arithmetic.
pub(crate) fn par(work: Work) -> [Contender; 2] {
    [
        Contender::new("rayon par_iter", move || {
            par20::ratio(work, move |tasks| (0..tasks).into_par_iter().map(|seed| work.run(seed)).reduce(|| 0, u64::wrapping_add))
        }),
        Contender::new("rayon + oneshot", move || {
            par20::ratio(work, move |tasks| {
                let pending: Vec<_> = (0..tasks).map(|seed| spawn(move || work.run(seed))).collect();
                pending.into_iter().map(|result| result.recv().expect("result")).fold(0, u64::wrapping_add)
            })
        }),
    ]
}

/// The parallel iterator.
pub(crate) fn map(work: Work) -> Contender {
    let expected: Vec<_> = (0..map::CALLS).map(|seed| work.run(seed)).collect();
    Contender::new("rayon par_iter", move || {
        map::time(&expected, || (0..map::CALLS).into_par_iter().map(|seed| work.run(seed)).collect())
    })
}

/// Starts the library and gets a first result.
pub(crate) fn first_result() {
    assert_eq!(spawn(|| 1).recv(), Ok(1));
}
