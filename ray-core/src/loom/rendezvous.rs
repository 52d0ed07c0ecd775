//! The rendezvous of a group: the members' memory is touched only while all of them are inside of an operation, the memory of a
//! member that gives up is untouched, and every sleeping member is woken.

use std::panic::Location;

use ::loom::cell::UnsafeCell;
use ::loom::sync::{Arc, Notify};
use ::loom::thread;

use super::check;
use crate::base::error::{Error, ErrorKind};
use crate::collective::rendezvous::{Entered, Exchange, Progress, Rendezvous};
use crate::collective::request::{Call, Operation};

type Alarm = Arc<Notify>;

/// How a member waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Asleep,
    Looking,
    /// It looks once, then gives up.
    Impatient,
}

/// A group of two members, each with memory of two blocks, which loom checks.
struct Group {
    rendezvous: Rendezvous<Alarm>,
    memory: [[UnsafeCell<u32>; 2]; 2],
}

// SAFETY: loom reports two threads that touch a cell at the same time.
unsafe impl Sync for Group {}

impl Group {
    fn new() -> Arc<Self> {
        let memory = || [UnsafeCell::new(1), UnsafeCell::new(1)];
        Arc::new(Self { rendezvous: Rendezvous::new(2, true), memory: [memory(), memory()] })
    }

    /// The member's own code touches its memory.
    fn touch(&self, rank: usize) -> u32 {
        // SAFETY: loom reports a thread that touches the cell at the same time.
        self.memory[rank].iter().map(|cell| cell.with_mut(|value| unsafe { *value })).sum()
    }

    /// Writes the sum of both members' blocks into both.
    fn work(&self, block: usize) {
        // SAFETY: loom reports a thread that touches the cell at the same time.
        let sum = self.memory.iter().map(|cells| cells[block].with_mut(|value| unsafe { *value })).sum();
        for cells in &self.memory {
            // SAFETY: loom reports a thread that touches the cell at the same time.
            cells[block].with_mut(|value| unsafe { *value = sum });
        }
    }

    fn wait_until(&self, rank: usize, waits: Waits, alarm: &Alarm, done: impl Fn() -> bool) {
        while !done() {
            if waits == Waits::Looking {
                thread::yield_now();
                continue;
            }
            self.rendezvous.sleep(rank, alarm.clone());
            if done() {
                break;
            }
            // Loom fails the model if this is never notified.
            alarm.wait();
        }
        self.rendezvous.wake_up(rank);
    }

    /// One operation; `false`: the group was broken before it began.
    fn operate(&self, rank: usize, operation: Operation) -> bool {
        self.operate_as(rank, operation, Waits::Asleep)
    }

    fn operate_as(&self, rank: usize, operation: Operation, waits: Waits) -> bool {
        let call = Call { operation, element: "u32", len: 2, site: Location::caller() };
        let blocks = if operation == Operation::Barrier { 0 } else { 2 };
        self.touch(rank);
        let alarm = Alarm::new(Notify::new());
        let memory = (std::ptr::null(), std::ptr::null_mut());
        let exchange = match self.rendezvous.enter(rank, call, memory, blocks, |_| None) {
            Err((_, sleepers)) => {
                wake(sleepers);
                self.touch(rank);
                return false;
            }
            Ok(Entered::Matched) => {
                // Copies the sender's memory to the receiver's.
                let (from, to) = if matches!(operation, Operation::Send(_)) { (rank, 1 - rank) } else { (1 - rank, rank) };
                for block in 0..2 {
                    // SAFETY: loom reports a thread that writes to the cell at the same time.
                    let value = self.memory[from][block].with(|value| unsafe { *value });
                    // SAFETY: loom reports a thread that touches the cell at the same time.
                    self.memory[to][block].with_mut(|cell| unsafe { *cell = value });
                }
                wake(self.rendezvous.copied(1 - rank).into_iter().collect());
                self.touch(rank);
                return true;
            }
            Ok(Entered::Waiting(exchange)) => {
                let progress = || self.rendezvous.progress(rank, exchange);
                if waits != Waits::Impatient {
                    self.wait_until(rank, waits, &alarm, || progress() != Progress::Waiting);
                }
                if matches!(progress(), Progress::Broken | Progress::Waiting)
                    && let Err((_, sleepers)) = self.rendezvous.give_up(rank, exchange, |_| fault())
                {
                    wake(sleepers);
                    self.touch(rank);
                    return false;
                }
                exchange
            }
            Ok(Entered::Opened(exchange, sleepers)) => {
                wake(sleepers);
                exchange
            }
        };
        self.finish(rank, exchange, blocks, waits, &alarm);
        self.touch(rank);
        true
    }

    fn finish(&self, rank: usize, exchange: Exchange, blocks: u64, waits: Waits, alarm: &Alarm) {
        if let Exchange::Round(round) = exchange {
            let mut done = 0;
            for share in [rank, 1 - rank] {
                while self.rendezvous.claim(share, blocks / 2).is_some() {
                    self.work(share);
                    done += 1;
                }
            }
            if self.rendezvous.done(done, round) {
                wake(self.rendezvous.take_sleepers());
            }
        }
        let waits = if waits == Waits::Impatient { Waits::Asleep } else { waits };
        self.wait_until(rank, waits, alarm, || self.rendezvous.progress(rank, exchange) == Progress::Complete);
    }
}

fn wake(sleepers: Vec<Alarm>) {
    for sleeper in sleepers {
        sleeper.notify();
    }
}

fn fault() -> Error {
    Error::new(ErrorKind::Collective, "broken")
}

#[test]
fn a_round() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || {
                assert!(group.operate(1, Operation::AllGather));
                assert_eq!(group.touch(1), 4);
            })
        };
        assert!(group.operate(0, Operation::AllGather));
        assert_eq!(group.touch(0), 4);
        other.join().unwrap();
    });
}

/// The second round uses the counters of the first again, while a member may still be in the first.
#[test]
fn two_rounds() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || {
                assert!(group.operate(1, Operation::AllGather));
                assert!(group.operate(1, Operation::AllGather));
            })
        };
        assert!(group.operate(0, Operation::AllGather));
        assert!(group.operate(0, Operation::AllGather));
        assert_eq!(group.touch(0), 8);
        other.join().unwrap();
    });
}

/// Members that do not sleep take no lock, so only the counters order what they see.
#[test]
fn a_round_of_spinning_members() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || assert!(group.operate_as(1, Operation::AllGather, Waits::Looking)))
        };
        assert!(group.operate_as(0, Operation::AllGather, Waits::Looking));
        assert_eq!(group.touch(0), 4);
        other.join().unwrap();
    });
}

/// One member times out: both get the result, or neither does.
#[test]
fn a_time_out() {
    for operation in [Operation::AllGather, Operation::Receive(1)] {
        check(move || {
            let group = Group::new();
            let other = {
                let group = group.clone();
                let operation = if operation == Operation::AllGather { operation } else { Operation::Send(0) };
                thread::spawn(move || group.operate(1, operation))
            };
            let mine = group.operate_as(0, operation, Waits::Impatient);
            assert_eq!(mine, other.join().unwrap());
        });
    }
}

#[test]
fn a_pair() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || assert!(group.operate(1, Operation::Send(0))))
        };
        assert!(group.operate(0, Operation::Receive(1)));
        other.join().unwrap();
    });
}

/// One member leaves after its operation, while the other may still be inside: that operation succeeds, the next one fails.
#[test]
fn a_member_leaves() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || {
                assert!(group.operate(1, Operation::AllGather), "both members enter it");
                wake(group.rendezvous.leave(1, false, |_| fault()));
            })
        };
        assert!(group.operate(0, Operation::AllGather), "both members enter it");
        assert!(!group.operate(0, Operation::AllGather), "the other member has left, or will");
        other.join().unwrap();
    });
}

/// The group is broken from outside: both members get the result, or neither does.
#[test]
fn broken_from_outside() {
    check(|| {
        let group = Group::new();
        let (other, breaker) = {
            let (second, third) = (group.clone(), group.clone());
            (
                thread::spawn(move || second.operate(1, Operation::AllGather)),
                thread::spawn(move || wake(third.rendezvous.break_with(|_| fault()).1)),
            )
        };
        let mine = group.operate(0, Operation::AllGather);
        assert_eq!(mine, other.join().unwrap());
        assert_eq!(group.touch(0), if mine { 4 } else { 2 });
        breaker.join().unwrap();
    });
}
