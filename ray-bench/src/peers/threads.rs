//! By hand: one thread a core behind a crossbeam channel, and what the standard library has for objects.

use std::sync::Arc;

use dashmap::DashMap;

use crate::{
    cases::putget,
    measure::{Contender, cores, ns_per},
};

/// `n` no-op tasks submitted, then all results taken.
pub(crate) fn tasks(n: usize) -> Contender {
    let (submit, work) = crossbeam_channel::unbounded::<(u64, oneshot::Sender<u64>)>();
    for _ in 0..cores() {
        let work = work.clone();
        std::thread::spawn(move || {
            for (argument, reply) in work {
                reply.send(argument).expect("somebody waits");
            }
        });
    }
    Contender::new("threads + crossbeam + oneshot", move || {
        ns_per(n, || {
            let pending: Vec<_> = (0..n as u64)
                .map(|i| {
                    let (sender, receiver) = oneshot::channel();
                    submit.send((i, sender)).expect("the threads live");
                    receiver
                })
                .collect();
            let sum: u64 = pending.into_iter().map(|result| result.recv().expect("result")).sum();
            assert_eq!(sum, (0..n as u64).sum::<u64>());
        })
    })
}

/// Counts down from a number by threads that join each other.
pub(crate) fn recursion(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    // What a call needs, and not the two megabytes that a thread is given: ten thousand of them are alive at once.
    let next = std::thread::Builder::new().stack_size(64 << 10).spawn(move || recursion(n - 1));
    next.expect("start a thread").join().expect("result") + 1
}

/// An object stored, read and let go.
pub(crate) fn objects(shared: usize, copied: usize) -> [Contender; 3] {
    [
        Contender::new("Arc", move || {
            putget::ns_per_object(shared, |object| {
                let stored = std::hint::black_box(Arc::new(object));
                Arc::into_inner(stored).expect("nobody else has it")
            })
        }),
        Contender::new("DashMap", move || {
            let store = DashMap::new();
            let mut id = 0u64;
            putget::ns_per_object(shared, |object| {
                id += 1;
                store.insert(id, object);
                store.remove(&id).expect("it is there").1
            })
        }),
        Contender::new("memcpy", move || putget::ns_per_object(copied, |object| std::hint::black_box(&object).clone())),
    ]
}
