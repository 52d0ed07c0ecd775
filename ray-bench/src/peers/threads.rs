//! Hand-written contenders: one thread for each core behind a crossbeam channel, and an object store of `Arc`, `DashMap` or
//! copies.

use std::sync::Arc;

use dashmap::DashMap;

use crate::{
    measure::{Contender, cores, ns_per},
    workload::putget,
};

/// The caller submits `n` no-op tasks and then takes all results.
pub(crate) fn tasks(n: usize) -> Contender {
    let (submit, work) = crossbeam_channel::unbounded::<(u64, oneshot::Sender<u64>)>();
    for _ in 0..cores() {
        let work = work.clone();
        std::thread::spawn(move || {
            for (argument, reply) in work {
                reply.send(argument).expect("the caller waits");
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

/// Counts down from a number; each call is a thread that its caller joins.
pub(crate) fn recursion(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    // A call needs little stack. With the default of two megabytes, ten thousand live threads would reserve 20 GB.
    let next = std::thread::Builder::new().stack_size(64 << 10).spawn(move || recursion(n - 1));
    next.expect("start a thread").join().expect("result") + 1
}

/// The caller stores an object, takes it back, and drops the reference.
pub(crate) fn objects(shared: usize, copied: usize) -> [Contender; 3] {
    [
        Contender::new("Arc", move || {
            putget::ns_per_object(shared, |object| {
                let stored = std::hint::black_box(Arc::new(object));
                Arc::into_inner(stored).expect("this is the only reference")
            })
        }),
        Contender::new("DashMap", move || {
            let store = DashMap::new();
            let mut id = 0u64;
            putget::ns_per_object(shared, |object| {
                id += 1;
                store.insert(id, object);
                store.remove(&id).expect("the object is in the store").1
            })
        }),
        Contender::new("memcpy", move || putget::ns_per_object(copied, |object| std::hint::black_box(&object).clone())),
    ]
}
