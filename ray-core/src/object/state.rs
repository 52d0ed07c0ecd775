//! The state word of an object's entry: its phase, its flags, and its two counts, in one atomic.
//!
//! # Phases
//!
//! ```text
//! Waiting ──► Queued ──► Running ──► Ready ──► Taken
//!    │           │          │
//!    └───────────┴──────────┴──────► Failed
//! ```
//!
//! * `Waiting`: arguments are not ready; nobody may run it.
//! * `Queued`: whoever moves it to `Running` (worker or getter) owns the arguments and must end it.
//! * `Running`: the runner alone writes the value; a canceller may still fail the entry, then the runner's value is dropped.
//! * `Ready`, `Failed`: for ever, but that a sole owner may take a ready value out (`Taken`).
//!
//! # Counts
//!
//! * *refs*: counted references (`ObjectRef`s). They reach the value.
//! * *holds*: keep the memory, not the value: one for all refs together, one for each queue slot, runner, parent's
//!   list of children, and dependency edge. A finished task therefore holds no ref, and a sole owner's `take` never fails.
//!
//! # Rules
//!
//! 1. The value is written before `Ready` is published (Release) and read after it was seen (Acquire).
//! 2. The value is dropped once: by the publisher if it saw no refs, else by whoever drops the last ref of a ready entry.
//!    Both are decided by one atomic on this word, so exactly one of them is told.
//! 3. The list of waiters and the error share a word. The list is touched only under `LOCK`, and the thread that settles
//!    the entry takes it under the lock; after `Ready` or `Failed` nobody links a waiter any more. The error is written
//!    under the lock too, in the place of the list, and never changed after `Failed` was published.
//! 4. The memory is freed by whoever brings holds to nought; refs > 0 implies holds > 0.
//! 5. An entry leaves `Waiting` and `Running` only while `LOCK` is open, or by the thread that holds it. So a thread that has
//!    locked a waiting entry may read its arguments, and a thread that has locked a running one settles it: its runner cannot
//!    put it back into `Queued` meanwhile: no thread would make that attempt, and none would drop its arguments.

use crate::base::sync::{AtomicU64, Ordering, spin};

const PHASE: u64 = 0b111;
/// The waiters or the error are being read or changed.
const LOCK: u64 = 1 << 3;
/// There is at least one waiter in the list.
const WAITERS: u64 = 1 << 4;
/// A `get` of several waits somewhere: a failure must wake it.
const WATCHED: u64 = 1 << 5;
/// Somebody has seen the failure, it need not be logged.
const SEEN: u64 = 1 << 6;
/// Cancellation was asked for (the cooperative flag).
const CANCEL: u64 = 1 << 7;

const HOLD: u64 = 1 << 12;
const HOLDS: u64 = 0x00FF_FFFF << 12;
const REF: u64 = 1 << 36;
const MAX_REFS: u64 = 1 << 27;
const MAX_HOLDS: u64 = 1 << 23;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Waiting = 0,
    Queued = 1,
    Running = 2,
    Ready = 3,
    Failed = 4,
    Taken = 5,
}

impl Phase {
    /// Whether the entry will not change by itself any more.
    #[inline]
    pub(crate) fn is_settled(self) -> bool {
        self as u8 >= Self::Ready as u8
    }
}

/// A reading of the word.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot(u64);

impl Snapshot {
    #[inline]
    pub(crate) fn phase(self) -> Phase {
        match self.0 & PHASE {
            0 => Phase::Waiting,
            1 => Phase::Queued,
            2 => Phase::Running,
            3 => Phase::Ready,
            4 => Phase::Failed,
            _ => Phase::Taken,
        }
    }
    #[inline]
    pub(crate) fn refs(self) -> u64 {
        self.0 / REF
    }
    #[inline]
    pub(crate) fn holds(self) -> u64 {
        (self.0 & HOLDS) / HOLD
    }
    #[inline]
    pub(crate) fn is_cancelled(self) -> bool {
        self.0 & CANCEL != 0
    }
    #[inline]
    pub(crate) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }
    #[inline]
    pub(crate) fn is_watched(self) -> bool {
        self.0 & WATCHED != 0
    }
    #[inline]
    pub(crate) fn is_seen(self) -> bool {
        self.0 & SEEN != 0
    }
    /// One ref and no hold but the refs' own: nobody else can reach the entry.
    #[inline]
    pub(crate) fn is_exclusive(self) -> bool {
        self.refs() == 1 && self.holds() == 1
    }
}

/// What [`State::publish`] found.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Publish {
    /// Published; if a release was asked for it is done.
    Done,
    /// Published, nobody holds a ref: the caller drops the value, then releases its hold.
    DropValue,
    /// There are waiters: the lock is held, [`State::unlock_as`] publishes.
    Locked,
    /// Somebody failed the entry meanwhile: the caller drops its value and releases its hold.
    Lost,
}

/// What the drop of a ref leaves to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum DropRef {
    Nothing,
    /// It was the last one: drop the value (if ready), then release the refs' common hold.
    Last(Phase, /* failure seen */ bool),
}

/// The word.
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

impl State {
    /// `holds` counts those beside the refs' common one.
    #[inline]
    pub(crate) fn new(phase: Phase, refs: u64, holds: u64) -> Self {
        let common = u64::from(refs > 0);
        Self(AtomicU64::new(phase as u64 | (refs * REF) | ((holds + common) * HOLD)))
    }

    /// The state of an entry to which nobody has a reference, and whose failure nobody need be told.
    #[inline]
    pub(crate) fn unread(phase: Phase, holds: u64) -> Self {
        Self(AtomicU64::new(phase as u64 | SEEN | (holds * HOLD)))
    }

    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// `Queued -> Running`, for one caller only.
    #[inline]
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        self.step(Phase::Queued, Phase::Running)
    }

    /// Moves from one phase to another if the entry is in the first.
    #[inline]
    #[must_use]
    pub(crate) fn step(&self, from: Phase, to: Phase) -> bool {
        let mut turn = 0;
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            if now & PHASE != from as u64 {
                return false;
            }
            if now & LOCK != 0 && matches!(from, Phase::Waiting | Phase::Running) {
                // Another thread reads the arguments, or is about to settle the entry (rule 5).
                spin(&mut turn);
                now = self.0.load(Ordering::Relaxed);
                continue;
            }
            match self.0.compare_exchange_weak(now, now & !PHASE | to as u64, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => now = seen,
            }
        }
    }

    /// `Running -> Ready`, the value being written; gives up the caller's hold with it if `release`. `stamp` is called just
    /// before the step.
    #[inline(always)]
    pub(crate) fn publish(&self, release: bool, stamp: impl Fn()) -> Publish {
        let mut turn = 0;
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            if now & PHASE == Phase::Failed as u64 {
                return Publish::Lost;
            }
            if now & LOCK != 0 {
                spin(&mut turn);
                now = self.0.load(Ordering::Acquire);
                continue;
            }
            if now & WAITERS != 0 {
                match self.0.compare_exchange_weak(now, now | LOCK, Ordering::Acquire, Ordering::Acquire) {
                    Ok(_) => return Publish::Locked,
                    Err(seen) => now = seen,
                }
                continue;
            }
            stamp();
            let unread = Snapshot(now).refs() == 0;
            let give_up = if release && !unread { HOLD } else { 0 };
            let next = (now & !PHASE | Phase::Ready as u64) - give_up;
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return if unread { Publish::DropValue } else { Publish::Done },
                Err(seen) => now = seen,
            }
        }
    }

    /// Takes the lock if the entry is in one of the phases for which `open` says yes. While it is held an entry that is not
    /// settled keeps its phase, but for the step from `Queued` to `Running`.
    #[inline]
    pub(crate) fn lock_if(&self, open: impl Fn(Phase) -> bool) -> Result<Snapshot, Snapshot> {
        let mut turn = 0;
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            if !open(Snapshot(now).phase()) {
                return Err(Snapshot(now));
            }
            if now & LOCK != 0 {
                spin(&mut turn);
                now = self.0.load(Ordering::Acquire);
                continue;
            }
            match self.0.compare_exchange_weak(now, now | LOCK, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Ok(Snapshot(now)),
                Err(seen) => now = seen,
            }
        }
    }

    /// Opens the lock; `waiters` says whether the list holds any.
    pub(crate) fn unlock(&self, waiters: bool) {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let next = (now & !(LOCK | WAITERS)) | if waiters { WAITERS } else { 0 };
            match self.0.compare_exchange_weak(now, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => now = seen,
            }
        }
    }

    /// Opens the lock, the list being as it was.
    pub(crate) fn unlock_keeping(&self) {
        self.0.fetch_and(!LOCK, Ordering::Release);
    }

    /// Opens the lock and settles the entry in one step (the list was taken); the reading before it. Without refs in
    /// it, the caller drops the value and then gives up its hold; else the hold, if `release`, is given up here.
    pub(crate) fn unlock_as(&self, phase: Phase, release: bool) -> Snapshot {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let give_up = if release && Snapshot(now).refs() != 0 { HOLD } else { 0 };
            let next = (now & !(PHASE | LOCK | WAITERS) | phase as u64) - give_up;
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Snapshot(now),
                Err(seen) => now = seen,
            }
        }
    }

    /// One more ref, made from an existing one.
    #[inline]
    pub(crate) fn add_ref(&self) {
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        if Snapshot(before).refs() >= MAX_REFS {
            // As Arc does: the count would overflow into nonsense, and only leaked references get here.
            crate::base::log::abort("an object has more than 134,217,728 references: are clones of an `ObjectRef` leaked?");
        }
    }

    /// Gives a ref back.
    #[inline]
    pub(crate) fn drop_ref(&self) -> DropRef {
        let before = Snapshot(self.0.fetch_sub(REF, Ordering::AcqRel));
        if before.refs() == 1 { DropRef::Last(before.phase(), before.is_seen()) } else { DropRef::Nothing }
    }

    /// A sole owner takes the value out: `Ready -> Taken`, if there is one ref only.
    #[inline]
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        let mut now = self.0.load(Ordering::Acquire);
        loop {
            if now & PHASE != Phase::Ready as u64 || Snapshot(now).refs() != 1 {
                return false;
            }
            let next = now & !PHASE | Phase::Taken as u64;
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => now = seen,
            }
        }
    }

    #[inline]
    pub(crate) fn add_hold(&self) {
        let before = self.0.fetch_add(HOLD, Ordering::Relaxed);
        if Snapshot(before).holds() >= MAX_HOLDS {
            // As above. What a user can ask for in numbers is refused long before: see `dependency::register`.
            crate::base::log::abort("an object is held by more than 8,388,608 tasks and other owners of the engine");
        }
    }

    /// Gives a hold back; `true`: it was the last, the caller frees the memory.
    #[inline]
    #[must_use]
    pub(crate) fn drop_hold(&self) -> bool {
        let before = Snapshot(self.0.fetch_sub(HOLD, Ordering::AcqRel));
        before.holds() == 1
    }

    pub(crate) fn set_watched(&self) {
        self.0.fetch_or(WATCHED, Ordering::AcqRel);
    }

    pub(crate) fn set_seen(&self) {
        if self.0.load(Ordering::Relaxed) & SEEN == 0 {
            self.0.fetch_or(SEEN, Ordering::Relaxed);
        }
    }

    /// Raises the cooperative flag; the reading before it.
    pub(crate) fn set_cancel(&self) -> Snapshot {
        Snapshot(self.0.fetch_or(CANCEL, Ordering::AcqRel))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// In a process of its own, which `State` aborts: what that says.
    fn aborted(name: &str, overflow: impl FnOnce()) -> String {
        const MARK: &str = "RAY_TEST_ABORT";
        if std::env::var_os(MARK).is_some() {
            overflow();
            std::process::exit(0);
        }
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args([name, "--exact", "--nocapture"]).env(MARK, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        said
    }

    #[test]
    fn too_many_references_end_the_process_with_a_line() {
        let said = aborted("object::state::tests::too_many_references_end_the_process_with_a_line", || {
            let state = State::new(Phase::Ready, MAX_REFS - 1, 0);
            state.add_ref();
            state.add_ref();
        });
        assert!(said.contains("ray: the process is aborted: an object has more than 134,217,728 references"), "{said}");
    }

    #[test]
    fn too_many_holds_end_the_process_with_a_line() {
        let said = aborted("object::state::tests::too_many_holds_end_the_process_with_a_line", || {
            let state = State::new(Phase::Ready, 0, MAX_HOLDS - 1);
            state.add_hold();
            state.add_hold();
        });
        assert!(said.contains("ray: the process is aborted: an object is held by more than 8,388,608"), "{said}");
    }
}
