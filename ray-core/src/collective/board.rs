//! Where members meet: who is in which operation, when it begins, and when each may go again. Nothing here touches a
//! member's memory; it decides who may.
//!
//! # States
//!
//! A *round* is one operation of the whole group. It is *open* from the moment when its last member has come until its
//! last block of work is done, then *complete*. A *pair* is one transfer between two; it is *matched* when the second
//! of them has come, and complete when that one has copied.
//!
//! A member's seat is `Away` (not joined yet), `Out` (in its own code), `In` (waits in an operation), or `Gone`. The group is
//! *broken* from its first fault on, for ever.
//!
//! # Rules
//!
//! 1. Seats change, rounds open, pairs match and the group breaks under the lock. A broken group opens no round and matches
//!    no pair.
//! 2. A member whose seat is `In` may go with an error, under the lock, which breaks the group. Opening and matching set
//!    the seats of those concerned to `Out`: from then on they are *committed*, and go when the round or pair is complete,
//!    whatever happens meanwhile. So the memory that a member shows by coming in is touched only between the opening and the
//!    completion, while the member stays; and a member that goes with an error was never touched.
//! 3. An open round's work lies in numbered blocks, a share of them for each member. Whoever takes a number ([`Board::claim`]),
//!    of its own share or of another's, does that block and counts it as done; who counts the last one completes the round. So a member that is slow to wake delays nobody, and
//!    may go as soon as it sees the round complete.
//! 4. The counters of blocks are set before a round is opened. A member touches them only inside of its own round, and the
//!    next cannot open before that member has come to it.
//! 5. A sleeper enters itself under the lock, after which it looks again. Whoever opens, matches, completes or breaks
//!    does so before it takes the sleepers out under the lock. Of the two locks one is the first: either the sleeper sees
//!    what happened, or it is woken.
//!
//! What orders memory: coming in is under the lock, so the opener has seen what all members wrote before; `signal` passes that
//! on (release, acquire), `left` gathers what the blocks wrote, and `completed` passes it on again.
//!
//! Tried by the model checker (`crate::loom::board`).

use crate::base::error::Error;
use crate::base::sync::{AtomicPtr, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::collective::ask::{Call, What};

/// In `signal`: the group is broken. The rest counts the rounds that were opened.
const BROKEN: u64 = 1;
const ROUND: u64 = 2;

/// In `pair`: the member's transfer has been matched, or is complete.
const ALONE: u64 = 0;
const MATCHED: u64 = 1;
const COPIED: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Away,
    Out,
    In,
    Gone,
}

/// What is known of a member, under the lock.
#[derive(Debug)]
pub(crate) struct Place<P> {
    pub(crate) seat: Seat,
    /// The operation that it is in or, if it is out, was in last.
    pub(crate) call: Option<Call>,
    /// What those learn who need it although it is gone.
    farewell: Option<Error>,
    sleeper: Option<P>,
}

/// All members, under the lock.
#[derive(Debug)]
pub(crate) struct Table<P> {
    pub(crate) places: Vec<Place<P>>,
    fault: Option<Error>,
}

/// A member's memory, its transfer, and its share of an open round.
#[derive(Debug)]
#[repr(align(128))]
struct Shown {
    input: AtomicPtr<u8>,
    output: AtomicPtr<u8>,
    pair: AtomicU64,
    /// The next block of its share that nobody has taken.
    next: AtomicU64,
}

/// The state of a group; `P` is what wakes a sleeping member.
#[derive(Debug)]
pub(crate) struct Board<P> {
    table: Mutex<Table<P>>,
    signal: Line,
    completed: Line,
    /// Blocks that are not done.
    left: Line,
    shown: Box<[Shown]>,
}

/// A counter on a cache line of its own: members spin on some of them while others count.
#[derive(Debug)]
#[repr(align(128))]
struct Line(AtomicU64);

/// What a member waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The opening of the round of that number.
    Round(u64),
    /// The other one of a transfer.
    Pair,
}

/// How it stands with what a member waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Others have not come.
    Waiting,
    /// The round is open, or the pair matched: the member is committed.
    Open,
    /// The round or pair is complete: the member may go.
    Complete,
    /// It will never be.
    Broken,
}

/// What comes of coming in.
#[derive(Debug)]
pub(crate) enum Entered<P> {
    /// Others have to come.
    Waits(Turn),
    /// The last has come: the round is open. These sleep.
    Opens(Turn, Vec<P>),
    /// The other one of the transfer was there: this member copies.
    Pairs,
}

impl<P> Board<P> {
    pub(crate) fn new(members: usize, joined: bool) -> Self {
        let seat = if joined { Seat::Out } else { Seat::Away };
        let line = || Line(AtomicU64::new(0));
        let shown = || Shown {
            input: AtomicPtr::new(std::ptr::null_mut()),
            output: AtomicPtr::new(std::ptr::null_mut()),
            pair: AtomicU64::new(ALONE),
            next: AtomicU64::new(0),
        };
        Self {
            table: Mutex::new(Table {
                places: (0..members).map(|_| Place { seat, call: None, farewell: None, sleeper: None }).collect(),
                fault: None,
            }),
            signal: line(),
            completed: line(),
            left: line(),
            shown: (0..members).map(|_| shown()).collect(),
        }
    }

    pub(crate) fn members(&self) -> usize {
        self.shown.len()
    }

    /// The table. No code of a user's runs under the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Table<P>> {
        self.table.lock()
    }

    /// Takes a member's seat; `false`: it was taken before.
    pub(crate) fn join(&self, rank: usize) -> bool {
        let place = &mut self.lock().places[rank];
        let free = place.seat == Seat::Away;
        if free {
            place.seat = Seat::Out;
        }
        free
    }

    /// A member comes in, with its memory.
    ///
    /// `blocks`: how many blocks of work its round has. `object` tells why the call does not go together with those
    /// of the members that are in; the group breaks then.
    ///
    /// # Errors
    /// The fault of a broken group, which the sleepers given along are to be woken for.
    pub(crate) fn enter(
        &self,
        rank: usize,
        call: Call,
        memory: (*const u8, *mut u8),
        blocks: u64,
        object: impl FnOnce(&Table<P>) -> Option<Error>,
    ) -> Result<Entered<P>, (Error, Vec<P>)> {
        let mut table = self.lock();
        if let Some(fault) = &table.fault {
            return Err((fault.clone(), Vec::new()));
        }
        let shown = &self.shown[rank];
        shown.input.store(memory.0.cast_mut(), Ordering::Relaxed);
        shown.output.store(memory.1, Ordering::Relaxed);
        table.places[rank].call = Some(call);
        let farewell = match call.what.peer() {
            Some(peer) => table.places[peer].farewell.clone(),
            None => table.places.iter().find_map(|place| place.farewell.clone()),
        };
        if let Some(fault) = farewell.or_else(|| object(&table)) {
            let sleepers = self.set_fault(&mut table, &fault);
            return Err((fault, sleepers));
        }
        if let Some(peer) = call.what.peer() {
            let waits_for_me = table.places[peer].call.is_some_and(|call| call.what.peer() == Some(rank));
            if table.places[peer].seat == Seat::In && waits_for_me {
                // That both send, or differ otherwise, was objected to.
                table.places[peer].seat = Seat::Out;
                self.shown[peer].pair.store(MATCHED, Ordering::Release);
                return Ok(Entered::Pairs);
            }
            table.places[rank].seat = Seat::In;
            shown.pair.store(ALONE, Ordering::Relaxed);
            return Ok(Entered::Waits(Turn::Pair));
        }
        let opened = self.signal.0.load(Ordering::Relaxed);
        let round = opened / ROUND + 1;
        table.places[rank].seat = Seat::In;
        if table.places.iter().any(|place| place.seat != Seat::In) {
            return Ok(Entered::Waits(Turn::Round(round)));
        }
        for place in &mut table.places {
            place.seat = Seat::Out;
        }
        for shown in &self.shown {
            shown.next.store(0, Ordering::Relaxed);
        }
        self.left.0.store(blocks, Ordering::Relaxed);
        if blocks == 0 {
            self.completed.0.store(round, Ordering::Release);
        }
        self.signal.0.store(opened + ROUND, Ordering::Release);
        let sleepers = table.sleepers();
        Ok(Entered::Opens(Turn::Round(round), sleepers))
    }

    /// How it stands, from outside of the lock; what it says but `Waiting` is final.
    pub(crate) fn stand(&self, rank: usize, turn: Turn) -> Stand {
        match turn {
            Turn::Round(round) => {
                if self.completed.0.load(Ordering::Acquire) >= round {
                    return Stand::Complete;
                }
                let signal = self.signal.0.load(Ordering::Acquire);
                if signal / ROUND >= round {
                    Stand::Open
                } else if signal & BROKEN != 0 {
                    // Rule 1: nothing opens after it, and an opening before it is in the same word.
                    Stand::Broken
                } else {
                    Stand::Waiting
                }
            }
            Turn::Pair => {
                let broken = self.signal.0.load(Ordering::Acquire) & BROKEN != 0;
                // Rule 1: what was matched before it broke is seen now.
                match self.shown[rank].pair.load(Ordering::Acquire) {
                    COPIED => Stand::Complete,
                    MATCHED => Stand::Open,
                    _ if broken => Stand::Broken,
                    _ => Stand::Waiting,
                }
            }
        }
    }

    /// A member's memory, as it came in: where it is read, and where it is written.
    pub(crate) fn memory(&self, rank: usize) -> (*const u8, *mut u8) {
        let shown = &self.shown[rank];
        (shown.input.load(Ordering::Relaxed).cast_const(), shown.output.load(Ordering::Relaxed))
    }

    /// A block of that member's share of the open round, of so many, that nobody else has; whoever gets it does it. Once it is
    /// none it stays none.
    pub(crate) fn claim(&self, share: usize, blocks: u64) -> Option<u64> {
        let next = &self.shown[share].next;
        // The look spares those who come last from counting for ever.
        let free = next.load(Ordering::Relaxed) < blocks;
        free.then(|| next.fetch_add(1, Ordering::Relaxed)).filter(|block| *block < blocks)
    }

    /// So many blocks are done; `true`: the round is complete by it, and its sleepers are to be woken.
    #[must_use]
    pub(crate) fn done(&self, blocks: u64, round: u64) -> bool {
        let last = blocks > 0 && self.left.0.fetch_sub(blocks, Ordering::AcqRel) == blocks;
        if last {
            self.completed.0.store(round, Ordering::Release);
        }
        last
    }

    /// What `peer` sent or gets has been copied.
    #[must_use]
    pub(crate) fn copied(&self, peer: usize) -> Option<P> {
        self.shown[peer].pair.store(COPIED, Ordering::Release);
        self.lock().places[peer].sleeper.take()
    }

    /// Enters a sleeper, unless it `stand`s otherwise by now; it looks before each sleep.
    pub(crate) fn sleep(&self, rank: usize, sleeper: P) {
        self.lock().places[rank].sleeper = Some(sleeper);
    }

    /// The member is awake.
    pub(crate) fn wake_up(&self, rank: usize) {
        self.lock().places[rank].sleeper = None;
    }

    /// All who sleep.
    pub(crate) fn sleepers(&self) -> Vec<P> {
        self.lock().sleepers()
    }

    /// Breaks the group, unless it is; gives the fault of now, and who sleeps.
    pub(crate) fn break_with(&self, why: impl FnOnce(&Table<P>) -> Error) -> (Error, Vec<P>) {
        let mut table = self.lock();
        match &table.fault {
            Some(fault) => (fault.clone(), Vec::new()),
            None => {
                let fault = why(&table);
                let sleepers = self.set_fault(&mut table, &fault);
                (fault, sleepers)
            }
        }
    }

    /// A member wants to go before its operation has begun; `Ok`: it has begun, so that the member stays.
    ///
    /// # Errors
    /// The fault: the group's, or, if it was whole, what `why` gives.
    pub(crate) fn give_up(
        &self,
        rank: usize,
        turn: Turn,
        why: impl FnOnce(&Table<P>) -> Error,
    ) -> Result<Stand, (Error, Vec<P>)> {
        let mut table = self.lock();
        let stand = self.stand(rank, turn);
        if matches!(stand, Stand::Open | Stand::Complete) {
            return Ok(stand);
        }
        let broken = match &table.fault {
            Some(fault) => (fault.clone(), Vec::new()),
            None => {
                let fault = why(&table);
                let sleepers = self.set_fault(&mut table, &fault);
                (fault, sleepers)
            }
        };
        table.places[rank].seat = Seat::Out;
        Err(broken)
    }

    /// A member leaves for ever: a fault at once if it `fails`, or another one is in an operation that needs it; else as
    /// soon as one comes into such an operation. So who has had its last operation may go, whatever others still have to do.
    pub(crate) fn leave(&self, rank: usize, fails: bool, why: impl FnOnce(&Table<P>) -> Error) -> Vec<P> {
        let mut table = self.lock();
        table.places[rank].seat = Seat::Gone;
        if table.fault.is_some() {
            return Vec::new();
        }
        let farewell = why(&table);
        let needs = |place: &Place<P>| {
            let peer = place.call.and_then(|call| call.what.peer());
            place.seat == Seat::In && peer.is_none_or(|peer| peer == rank)
        };
        if fails || table.places.iter().any(needs) {
            return self.set_fault(&mut table, &farewell);
        }
        table.places[rank].farewell = Some(farewell);
        Vec::new()
    }

    fn set_fault(&self, table: &mut Table<P>, fault: &Error) -> Vec<P> {
        table.fault = Some(fault.clone());
        let signal = self.signal.0.load(Ordering::Relaxed);
        self.signal.0.store(signal | BROKEN, Ordering::Release);
        table.sleepers()
    }
}

impl<P> Table<P> {
    fn sleepers(&mut self) -> Vec<P> {
        self.places.iter_mut().filter_map(|place| place.sleeper.take()).collect()
    }

    /// Why the call of `rank` does not go together with what the others are in.
    pub(crate) fn objection(&self, rank: usize) -> Option<Objection> {
        let call = self.places[rank].call.as_ref()?;
        let inside = |other: usize| self.places[other].call.as_ref().filter(|_| self.places[other].seat == Seat::In);
        let Some(peer) = call.what.peer() else {
            let mut others = (0..self.places.len()).filter(|other| *other != rank).filter_map(inside);
            return match others.find(|other| other.what.peer() == Some(rank)) {
                Some(_) => Some(Objection::Circle),
                // Those that are in a round agree with each other.
                None => (0..self.places.len())
                    .filter(|other| *other != rank)
                    .filter_map(inside)
                    .find(|other| other.what.peer().is_none())
                    .filter(|other| !call.agrees(other))
                    .map(|_| Objection::Differs),
            };
        };
        let counterpart = match call.what {
            What::Send(_) => What::Receive(rank),
            _ => What::Send(rank),
        };
        // Whom the peer waits for, and whom that one waits for: a chain that comes back, or to a member that
        // waits for all, stands still for ever.
        let mut next = peer;
        for step in 0..self.places.len() {
            let other = inside(next)?;
            match other.what.peer() {
                None => return Some(Objection::Circle),
                Some(_) if step == 0 && other.what == counterpart => {
                    return (!call.carries(other)).then_some(Objection::Differs);
                }
                Some(to) if to == rank => return Some(Objection::Circle),
                Some(to) => next = to,
            }
        }
        Some(Objection::Circle)
    }
}

/// Why operations do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// Another operation, type or length.
    Differs,
    /// They wait for each other, and none can go on.
    Circle,
}
