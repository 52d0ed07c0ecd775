//! The room of a full stream: a producer that waits for it is told.

use std::sync::Arc;

use ::loom::thread;

use super::check;
use crate::base::sync::Mutex;
use crate::object::room::Room;

/// A producer waits for room in a full stream of so many items, and the consumer takes all of them. The steps under the lock are those
/// of `Items::room` and `Items::tell_producer`.
fn waits_while(items: u64) {
    check(move || {
        let room = Arc::new(Room::new());
        let waits = Arc::new(Mutex::new(false));
        let alarm = ::loom::sync::Arc::new(::loom::sync::Notify::new());
        let consumer = {
            let (room, waits, alarm) = (room.clone(), waits.clone(), alarm.clone());
            thread::spawn(move || {
                for _ in 0..items {
                    if room.take() {
                        let mut waits = waits.lock();
                        room.forget();
                        if std::mem::take(&mut *waits) {
                            alarm.notify();
                        }
                    }
                }
            })
        };
        let must_wait = {
            let mut waits = waits.lock();
            *waits = room.want() == 0;
            if !*waits {
                room.forget();
            }
            *waits
        };
        // Loom fails the model if no thread notifies this.
        while must_wait && room.taken() == 0 {
            alarm.wait();
        }
        consumer.join().unwrap();
        assert_eq!(room.taken(), items);
    });
}

#[test]
fn the_only_take_tells_the_producer() {
    waits_while(1);
}

#[test]
fn one_of_several_takes_tells_the_producer() {
    waits_while(2);
}
