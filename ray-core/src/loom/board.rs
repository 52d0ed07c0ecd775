//! Where the members of a group meet: an operation's memory is touched only while all of them are inside, a member that goes
//! without it goes with its memory untouched, and nobody who sleeps is forgotten.

use std::panic::Location;

use ::loom::cell::UnsafeCell;
use ::loom::sync::{Arc, Notify};
use ::loom::thread;

use super::check;
use crate::base::error::{Error, ErrorKind};
use crate::collective::ask::{Call, What};
use crate::collective::board::{Board, Entered, Stand, Turn};

type Alarm = Arc<Notify>;

/// How a member waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Asleep,
    Looking,
    /// It looks once, then wants to go.
    Impatient,
}

/// A group of two, each with memory of two blocks, which loom watches.
struct Group {
    board: Board<Alarm>,
    memory: [[UnsafeCell<u32>; 2]; 2],
}

// SAFETY: loom says where two threads touch a cell at once.
unsafe impl Sync for Group {}

impl Group {
    fn new() -> Arc<Self> {
        let memory = || [UnsafeCell::new(1), UnsafeCell::new(1)];
        Arc::new(Self { board: Board::new(2, true), memory: [memory(), memory()] })
    }

    /// The member's own program touches its memory.
    fn touch(&self, rank: usize) -> u32 {
        // SAFETY: as above.
        self.memory[rank].iter().map(|cell| cell.with_mut(|value| unsafe { *value })).sum()
    }

    /// The block of both members becomes its sum.
    fn work(&self, block: usize) {
        // SAFETY: as above.
        let sum = self.memory.iter().map(|cells| cells[block].with_mut(|value| unsafe { *value })).sum();
        for cells in &self.memory {
            // SAFETY: as above.
            cells[block].with_mut(|value| unsafe { *value = sum });
        }
    }

    fn wait_until(&self, rank: usize, waits: Waits, alarm: &Alarm, done: impl Fn() -> bool) {
        while !done() {
            if waits == Waits::Looking {
                thread::yield_now();
                continue;
            }
            self.board.sleep(rank, alarm.clone());
            if done() {
                break;
            }
            // Loom fails the model if this is never notified.
            alarm.wait();
        }
        self.board.wake_up(rank);
    }

    /// One operation; `false`: the group was broken before it began.
    fn operate(&self, rank: usize, what: What) -> bool {
        self.operate_as(rank, what, Waits::Asleep)
    }

    fn operate_as(&self, rank: usize, what: What, waits: Waits) -> bool {
        let call = Call { what, element: "u32", len: 2, site: Location::caller() };
        let blocks = if what == What::Barrier { 0 } else { 2 };
        self.touch(rank);
        let alarm = Alarm::new(Notify::new());
        let memory = (std::ptr::null(), std::ptr::null_mut());
        let turn = match self.board.enter(rank, call, memory, blocks, |_| None) {
            Err((_, sleepers)) => {
                wake(sleepers);
                self.touch(rank);
                return false;
            }
            Ok(Entered::Pairs) => {
                // The sender's memory goes to the other one.
                let (from, to) = if matches!(what, What::Send(_)) { (rank, 1 - rank) } else { (1 - rank, rank) };
                for block in 0..2 {
                    // SAFETY: as above.
                    let value = self.memory[from][block].with(|value| unsafe { *value });
                    // SAFETY: as above.
                    self.memory[to][block].with_mut(|cell| unsafe { *cell = value });
                }
                wake(self.board.copied(1 - rank).into_iter().collect());
                self.touch(rank);
                return true;
            }
            Ok(Entered::Waits(turn)) => {
                let stand = || self.board.stand(rank, turn);
                if waits != Waits::Impatient {
                    self.wait_until(rank, waits, &alarm, || stand() != Stand::Waiting);
                }
                if matches!(stand(), Stand::Broken | Stand::Waiting)
                    && let Err((_, sleepers)) = self.board.give_up(rank, turn, |_| fault())
                {
                    wake(sleepers);
                    self.touch(rank);
                    return false;
                }
                turn
            }
            Ok(Entered::Opens(turn, sleepers)) => {
                wake(sleepers);
                turn
            }
        };
        self.see_through(rank, turn, blocks, waits, &alarm);
        self.touch(rank);
        true
    }

    fn see_through(&self, rank: usize, turn: Turn, blocks: u64, waits: Waits, alarm: &Alarm) {
        if let Turn::Round(round) = turn {
            let mut done = 0;
            for share in [rank, 1 - rank] {
                while self.board.claim(share, blocks / 2).is_some() {
                    self.work(share);
                    done += 1;
                }
            }
            if self.board.done(done, round) {
                wake(self.board.sleepers());
            }
        }
        let waits = if waits == Waits::Impatient { Waits::Asleep } else { waits };
        self.wait_until(rank, waits, alarm, || self.board.stand(rank, turn) == Stand::Complete);
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
                assert!(group.operate(1, What::AllGather));
                assert_eq!(group.touch(1), 4);
            })
        };
        assert!(group.operate(0, What::AllGather));
        assert_eq!(group.touch(0), 4);
        other.join().unwrap();
    });
}

/// The counters of the first are used again by the second, whoever is late.
#[test]
fn two_rounds() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || {
                assert!(group.operate(1, What::AllGather));
                assert!(group.operate(1, What::AllGather));
            })
        };
        assert!(group.operate(0, What::AllGather));
        assert!(group.operate(0, What::AllGather));
        assert_eq!(group.touch(0), 8);
        other.join().unwrap();
    });
}

/// Without the lock that sleepers take, only the counters order what members see.
#[test]
fn a_round_of_members_that_look() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || assert!(group.operate_as(1, What::AllGather, Waits::Looking)))
        };
        assert!(group.operate_as(0, What::AllGather, Waits::Looking));
        assert_eq!(group.touch(0), 4);
        other.join().unwrap();
    });
}

/// One gives up when its time is over: both go with the result, or both without.
#[test]
fn a_time_out() {
    for what in [What::AllGather, What::Receive(1)] {
        check(move || {
            let group = Group::new();
            let other = {
                let group = group.clone();
                let what = if what == What::AllGather { what } else { What::Send(0) };
                thread::spawn(move || group.operate(1, what))
            };
            let mine = group.operate_as(0, what, Waits::Impatient);
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
            thread::spawn(move || assert!(group.operate(1, What::Send(0))))
        };
        assert!(group.operate(0, What::Receive(1)));
        other.join().unwrap();
    });
}

/// One leaves after its operation, while the other may still be in its own; or before it, when the other is in vain.
#[test]
fn a_member_leaves() {
    check(|| {
        let group = Group::new();
        let other = {
            let group = group.clone();
            thread::spawn(move || {
                assert!(group.operate(1, What::AllGather), "all have come to it");
                wake(group.board.leave(1, false, |_| fault()));
            })
        };
        assert!(group.operate(0, What::AllGather), "all have come to it");
        assert!(!group.operate(0, What::AllGather), "the other has left, or will");
        other.join().unwrap();
    });
}

/// The group breaks from outside: both go with the result, or both without.
#[test]
fn broken_from_outside() {
    check(|| {
        let group = Group::new();
        let (other, breaker) = {
            let (second, third) = (group.clone(), group.clone());
            (
                thread::spawn(move || second.operate(1, What::AllGather)),
                thread::spawn(move || wake(third.board.break_with(|_| fault()).1)),
            )
        };
        let mine = group.operate(0, What::AllGather);
        assert_eq!(mine, other.join().unwrap());
        assert_eq!(group.touch(0), if mine { 4 } else { 2 });
        breaker.join().unwrap();
    });
}
