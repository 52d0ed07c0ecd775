//! The rendezvous of a group: which member is in which operation, when an operation begins, and when each member may return.
//! Nothing here touches a member's memory; this file decides which thread may.
//!
//! # States
//!
//! A *round* is one operation of the whole group. It is *open* from the moment at which its last member enters until its
//! last block of work is done, then *complete*. A *pair* is one transfer between two members; it is *matched* when the second
//! of them enters, and complete when that one has copied the data.
//!
//! A member is `NotJoined`, `Outside` (runs its own code), `Inside` (waits in an operation), or `Left`. The group is
//! *broken* from its first fault on, and stays broken.
//!
//! # Rules
//!
//! 1. States of members change, rounds open, pairs match and the group breaks under the lock. A broken group opens no round
//!    and matches no pair.
//! 2. A member that is `Inside` may return with an error, under the lock, which breaks the group. Opening a round and matching
//!    a pair set the members concerned to `Outside`: from then on they are *committed*, and return when the round or pair is
//!    complete, whatever happens meanwhile. So the memory that a member hands over when it enters is touched only between the
//!    opening and the completion, while the member stays; and the memory of a member that returns with an error was never
//!    touched.
//! 3. The work of an open round is divided into numbered blocks, a share of them for each member. The member that claims a
//!    number ([`Rendezvous::claim`]), of its own share or of another's, does that block and counts it as done; the member that
//!    counts the last block completes the round. So a member that is slow to wake delays no other member, and may return as
//!    soon as it sees the round complete.
//! 4. The counters of blocks are set before a round is opened. A member touches them only inside of its own round, and the
//!    next round cannot open before that member has entered it.
//! 5. A member that wants to sleep registers its sleeper under the lock, and looks once more afterwards. The member that
//!    opens, matches, completes or breaks does so before it takes the sleepers out under the lock. One of the two comes to
//!    the lock first: either the sleeping member sees what happened, or it is woken.
//!
//! Memory order: members enter under the lock, so the member that opens the round sees what all members wrote before;
//! `signal` passes that on (release, acquire), `left` collects what the blocks wrote, and `completed` passes it on again.
//!
//! The model checker tries this code (`crate::loom::rendezvous`).

use crate::base::error::Error;
use crate::base::sync::{AtomicPtr, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::collective::request::{Call, Operation};

/// In `signal`: the group is broken. The other bits count the rounds that were opened.
const BROKEN: u64 = 1;
const ROUND: u64 = 2;

/// In `pair`: the member's transfer is not matched, is matched, or is complete.
const UNMATCHED: u64 = 0;
const MATCHED: u64 = 1;
const COPIED: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    NotJoined,
    /// It runs its own code, or is committed to an operation.
    Outside,
    /// It waits in an operation that has not begun.
    Inside,
    Left,
}

/// A member, under the lock.
#[derive(Debug)]
pub(crate) struct MemberRecord<P> {
    pub(crate) state: MemberState,
    /// The operation that it is in or, if it is in none, its last one.
    pub(crate) call: Option<Call>,
    /// Of a member that has left: the error of a member that enters an operation that needs it.
    departure: Option<Error>,
    sleeper: Option<P>,
}

/// All members, under the lock.
#[derive(Debug)]
pub(crate) struct Table<P> {
    pub(crate) members: Vec<MemberRecord<P>>,
    fault: Option<Error>,
}

/// A member's memory, the state of its transfer, and its share of an open round; read without the lock.
#[derive(Debug)]
#[repr(align(128))]
struct MemberSlot {
    input: AtomicPtr<u8>,
    output: AtomicPtr<u8>,
    pair: AtomicU64,
    /// The next block of its share that is not claimed.
    next: AtomicU64,
}

/// The state of a group; `P` is what wakes a sleeping member.
#[derive(Debug)]
pub(crate) struct Rendezvous<P> {
    table: Mutex<Table<P>>,
    signal: PaddedCounter,
    /// The number of the last complete round.
    completed: PaddedCounter,
    /// Blocks of the open round that are not done.
    left: PaddedCounter,
    slots: Box<[MemberSlot]>,
}

/// A counter on a cache line of its own: members spin on some of them while others count.
#[derive(Debug)]
#[repr(align(128))]
struct PaddedCounter(AtomicU64);

impl PaddedCounter {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }
}

/// What a member takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The round of that number.
    Round(u64),
    /// A transfer between two members.
    Pair,
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Other members have not entered yet.
    Waiting,
    /// The round is open, or the pair matched: the member is committed.
    Open,
    /// The round or pair is complete: the member may return.
    Complete,
    /// The group broke before the exchange began.
    Broken,
}

/// The outcome of [`Rendezvous::enter`].
#[derive(Debug)]
pub(crate) enum Entered<P> {
    /// Other members have to enter.
    Waiting(Exchange),
    /// This member was the last: the round is open. The sleepers are to be woken.
    Opened(Exchange, Vec<P>),
    /// The other member of the transfer was inside: this member copies.
    Matched,
}

impl<P> Rendezvous<P> {
    pub(crate) fn new(members: usize, joined: bool) -> Self {
        let state = if joined { MemberState::Outside } else { MemberState::NotJoined };
        let record = || MemberRecord { state, call: None, departure: None, sleeper: None };
        let slot = || MemberSlot {
            input: AtomicPtr::new(std::ptr::null_mut()),
            output: AtomicPtr::new(std::ptr::null_mut()),
            pair: AtomicU64::new(UNMATCHED),
            next: AtomicU64::new(0),
        };
        Self {
            table: Mutex::new(Table { members: (0..members).map(|_| record()).collect(), fault: None }),
            signal: PaddedCounter::new(),
            completed: PaddedCounter::new(),
            left: PaddedCounter::new(),
            slots: (0..members).map(|_| slot()).collect(),
        }
    }

    pub(crate) fn members(&self) -> usize {
        self.slots.len()
    }

    /// The table. No user code runs under the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Table<P>> {
        self.table.lock()
    }

    /// Joins as the member of that rank; `false`: that rank has been taken before.
    pub(crate) fn join(&self, rank: usize) -> bool {
        let member = &mut self.lock().members[rank];
        let free = member.state == MemberState::NotJoined;
        if free {
            member.state = MemberState::Outside;
        }
        free
    }

    /// A member enters an operation, and hands over its memory.
    ///
    /// `blocks`: how many blocks of work the round has. `mismatch` returns an error if the call does not match the calls of
    /// the members that are inside; the group breaks then.
    ///
    /// # Errors
    /// The fault of a broken group, and the sleepers to wake for it.
    pub(crate) fn enter(
        &self,
        rank: usize,
        call: Call,
        memory: (*const u8, *mut u8),
        blocks: u64,
        mismatch: impl FnOnce(&Table<P>) -> Option<Error>,
    ) -> Result<Entered<P>, (Error, Vec<P>)> {
        let mut table = self.lock();
        if let Some(fault) = &table.fault {
            return Err((fault.clone(), Vec::new()));
        }
        self.slots[rank].input.store(memory.0.cast_mut(), Ordering::Relaxed);
        self.slots[rank].output.store(memory.1, Ordering::Relaxed);
        table.members[rank].call = Some(call);
        let departure = match call.operation.peer() {
            Some(peer) => table.members[peer].departure.clone(),
            None => table.members.iter().find_map(|member| member.departure.clone()),
        };
        if let Some(fault) = departure.or_else(|| mismatch(&table)) {
            let sleepers = self.set_fault(&mut table, &fault);
            return Err((fault, sleepers));
        }
        Ok(match call.operation.peer() {
            Some(peer) => self.enter_pair(&mut table, rank, peer),
            None => self.enter_round(&mut table, rank, blocks),
        })
    }

    /// Matches the pair if the peer is inside and waits for this member. `mismatch` has refused a pair that does not match.
    fn enter_pair(&self, table: &mut Table<P>, rank: usize, peer: usize) -> Entered<P> {
        let waits_for_me = table.members[peer].call.is_some_and(|call| call.operation.peer() == Some(rank));
        if table.members[peer].state == MemberState::Inside && waits_for_me {
            table.members[peer].state = MemberState::Outside;
            self.slots[peer].pair.store(MATCHED, Ordering::Release);
            return Entered::Matched;
        }
        table.members[rank].state = MemberState::Inside;
        self.slots[rank].pair.store(UNMATCHED, Ordering::Relaxed);
        Entered::Waiting(Exchange::Pair)
    }

    /// Opens the round if all other members are inside.
    fn enter_round(&self, table: &mut Table<P>, rank: usize, blocks: u64) -> Entered<P> {
        let opened = self.signal.0.load(Ordering::Relaxed);
        let round = opened / ROUND + 1;
        table.members[rank].state = MemberState::Inside;
        if table.members.iter().any(|member| member.state != MemberState::Inside) {
            return Entered::Waiting(Exchange::Round(round));
        }
        for member in &mut table.members {
            member.state = MemberState::Outside;
        }
        for slot in &self.slots {
            slot.next.store(0, Ordering::Relaxed);
        }
        self.left.0.store(blocks, Ordering::Relaxed);
        if blocks == 0 {
            self.completed.0.store(round, Ordering::Release);
        }
        self.signal.0.store(opened + ROUND, Ordering::Release);
        Entered::Opened(Exchange::Round(round), table.take_sleepers())
    }

    /// How far the exchange has come; takes no lock. `Complete` and `Broken` are final, and `Open` is never followed by
    /// `Broken`.
    pub(crate) fn progress(&self, rank: usize, exchange: Exchange) -> Progress {
        match exchange {
            Exchange::Round(round) => {
                if self.completed.0.load(Ordering::Acquire) >= round {
                    return Progress::Complete;
                }
                let signal = self.signal.0.load(Ordering::Acquire);
                if signal / ROUND >= round {
                    Progress::Open
                } else if signal & BROKEN != 0 {
                    // Rule 1: no round opens after the break, and an earlier opening would be in the same word.
                    Progress::Broken
                } else {
                    Progress::Waiting
                }
            }
            Exchange::Pair => {
                let broken = self.signal.0.load(Ordering::Acquire) & BROKEN != 0;
                // Rule 1: this load sees a match that was made before the break.
                match self.slots[rank].pair.load(Ordering::Acquire) {
                    COPIED => Progress::Complete,
                    MATCHED => Progress::Open,
                    _ if broken => Progress::Broken,
                    _ => Progress::Waiting,
                }
            }
        }
    }

    /// The memory that a member handed over when it entered: its input and its output.
    pub(crate) fn memory(&self, rank: usize) -> (*const u8, *mut u8) {
        let slot = &self.slots[rank];
        (slot.input.load(Ordering::Relaxed).cast_const(), slot.output.load(Ordering::Relaxed))
    }

    /// Claims a block of that member's share of the open round, which has `blocks` blocks. The caller does the block. After the
    /// first `None` the share stays empty.
    pub(crate) fn claim(&self, share: usize, blocks: u64) -> Option<u64> {
        let next = &self.slots[share].next;
        // Late members look first, so that they do not write to the counter of an empty share.
        let free = next.load(Ordering::Relaxed) < blocks;
        free.then(|| next.fetch_add(1, Ordering::Relaxed)).filter(|block| *block < blocks)
    }

    /// Counts `blocks` as done; `true`: these were the last, the round is complete, and its sleepers are to be woken.
    #[must_use]
    pub(crate) fn done(&self, blocks: u64, round: u64) -> bool {
        let last = blocks > 0 && self.left.0.fetch_sub(blocks, Ordering::AcqRel) == blocks;
        if last {
            self.completed.0.store(round, Ordering::Release);
        }
        last
    }

    /// Completes a pair after the copy; the peer's sleeper, if it sleeps.
    #[must_use]
    pub(crate) fn copied(&self, peer: usize) -> Option<P> {
        self.slots[peer].pair.store(COPIED, Ordering::Release);
        self.lock().members[peer].sleeper.take()
    }

    /// Registers the sleeper of a member, which looks at the progress once more before it sleeps.
    pub(crate) fn sleep(&self, rank: usize, sleeper: P) {
        self.lock().members[rank].sleeper = Some(sleeper);
    }

    /// Removes the sleeper of a member that is awake.
    pub(crate) fn wake_up(&self, rank: usize) {
        self.lock().members[rank].sleeper = None;
    }

    /// Takes all sleepers out.
    pub(crate) fn take_sleepers(&self) -> Vec<P> {
        self.lock().take_sleepers()
    }

    /// Breaks the group, unless it is broken; returns the group's fault, and the sleepers to wake.
    pub(crate) fn break_with(&self, why: impl FnOnce(&Table<P>) -> Error) -> (Error, Vec<P>) {
        let mut table = self.lock();
        self.break_locked(&mut table, why)
    }

    fn break_locked(&self, table: &mut Table<P>, why: impl FnOnce(&Table<P>) -> Error) -> (Error, Vec<P>) {
        match &table.fault {
            Some(fault) => (fault.clone(), Vec::new()),
            None => {
                let fault = why(table);
                let sleepers = self.set_fault(table, &fault);
                (fault, sleepers)
            }
        }
    }

    /// A member wants to return before its exchange has begun; `Ok`: the exchange has begun, so the member stays.
    ///
    /// # Errors
    /// The group's fault, which is that of `why` if the group was not broken, and the sleepers to wake.
    pub(crate) fn give_up(
        &self,
        rank: usize,
        exchange: Exchange,
        why: impl FnOnce(&Table<P>) -> Error,
    ) -> Result<Progress, (Error, Vec<P>)> {
        let mut table = self.lock();
        let progress = self.progress(rank, exchange);
        if matches!(progress, Progress::Open | Progress::Complete) {
            return Ok(progress);
        }
        let broken = self.break_locked(&mut table, why);
        table.members[rank].state = MemberState::Outside;
        Err(broken)
    }

    /// A member leaves the group. The group breaks at once if the member `fails`, or if another one is inside an operation
    /// that needs it; otherwise when another one enters such an operation. So a member may leave after its last operation,
    /// while other members still have exchanges of their own.
    pub(crate) fn leave(&self, rank: usize, fails: bool, why: impl FnOnce(&Table<P>) -> Error) -> Vec<P> {
        let mut table = self.lock();
        table.members[rank].state = MemberState::Left;
        if table.fault.is_some() {
            return Vec::new();
        }
        let departure = why(&table);
        let needs = |member: &MemberRecord<P>| {
            let peer = member.call.and_then(|call| call.operation.peer());
            member.state == MemberState::Inside && peer.is_none_or(|peer| peer == rank)
        };
        if fails || table.members.iter().any(needs) {
            return self.set_fault(&mut table, &departure);
        }
        table.members[rank].departure = Some(departure);
        Vec::new()
    }

    fn set_fault(&self, table: &mut Table<P>, fault: &Error) -> Vec<P> {
        table.fault = Some(fault.clone());
        let signal = self.signal.0.load(Ordering::Relaxed);
        self.signal.0.store(signal | BROKEN, Ordering::Release);
        table.take_sleepers()
    }
}

impl<P> Table<P> {
    fn take_sleepers(&mut self) -> Vec<P> {
        self.members.iter_mut().filter_map(|member| member.sleeper.take()).collect()
    }

    /// Why the call of `rank` does not match the calls of the members that are inside.
    pub(crate) fn mismatch(&self, rank: usize) -> Option<Mismatch> {
        let call = self.members[rank].call.as_ref()?;
        let inside =
            |other: usize| self.members[other].call.as_ref().filter(|_| self.members[other].state == MemberState::Inside);
        let Some(peer) = call.operation.peer() else {
            let others = || (0..self.members.len()).filter(|other| *other != rank).filter_map(inside);
            return match others().find(|other| other.operation.peer() == Some(rank)) {
                Some(_) => Some(Mismatch::Cycle),
                // The members inside of the round match each other: one comparison is enough.
                None => others()
                    .find(|other| other.operation.peer().is_none())
                    .filter(|other| !call.matches(other))
                    .map(|_| Mismatch::Differs),
            };
        };
        let counterpart = match call.operation {
            Operation::Send(_) => Operation::Receive(rank),
            _ => Operation::Send(rank),
        };
        // Follows the chain of peers: the peer of this member, the peer of that one, and so on. No member can go on if the
        // chain comes back, or ends at a member that waits for all.
        let mut next = peer;
        for step in 0..self.members.len() {
            let other = inside(next)?;
            match other.operation.peer() {
                None => return Some(Mismatch::Cycle),
                Some(_) if step == 0 && other.operation == counterpart => {
                    return (!call.has_same_elements(other)).then_some(Mismatch::Differs);
                }
                Some(to) if to == rank => return Some(Mismatch::Cycle),
                Some(to) => next = to,
            }
        }
        Some(Mismatch::Cycle)
    }
}

/// Why operations do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// Another operation, type or length.
    Differs,
    /// The members wait for each other, and none of them can go on.
    Cycle,
}
