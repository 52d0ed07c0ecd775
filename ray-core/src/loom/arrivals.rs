//! The arrivals of a wait set: an owner that sleeps is woken by the arrival that it waits for.

use std::sync::Arc;

use ::loom::thread;

use super::check;
use crate::sched::arrivals::Arrivals;

/// Two results arrive, and the owner waits for `need` of them: if it sleeps, an arrival wakes it.
fn waits_for(need: usize) {
    check(move || {
        let arrivals = Arc::new(Arrivals::new());
        let (alarm, alarms) = (
            ::loom::sync::Arc::new(::loom::sync::Notify::new()),
            ::loom::sync::Arc::new(::loom::sync::atomic::AtomicUsize::new(0)),
        );
        let firers: Vec<_> = (0..2)
            .map(|_| {
                let (arrivals, alarm, alarms) = (arrivals.clone(), alarm.clone(), alarms.clone());
                thread::spawn(move || {
                    let arrival = arrivals.arrive();
                    if arrival.wakes {
                        alarms.fetch_add(1, ::loom::sync::atomic::Ordering::SeqCst);
                        alarm.notify();
                    }
                    arrival.place
                })
            })
            .collect();
        if arrivals.arm(need) {
            // Loom fails the model if no thread notifies this.
            while arrivals.count() < need {
                alarm.wait();
            }
        }
        assert!(arrivals.count() >= need);
        arrivals.disarm();
        let mut places: Vec<_> = firers.into_iter().map(|firer| firer.join().unwrap()).collect();
        places.sort_unstable();
        assert_eq!((places, arrivals.count()), (vec![0, 1], 2));
    });
}

#[test]
fn the_first_arrival_wakes() {
    waits_for(1);
}

#[test]
fn the_last_arrival_wakes() {
    waits_for(2);
}
