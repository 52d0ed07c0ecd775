//! The state word of an object's entry: its phase, its flags, and its two counts, in one atomic.
//!
//! # Phases
//!
//! ```text
//! Waiting ──► Queued ◄─► Running ──► Ready ──► Taken
//!    │           │          │
//!    └───────────┴──────────┴──────► Failed
//! ```
//!
//! * `Waiting`: arguments are not ready, so no thread may run the task.
//! * `Queued`: the thread that moves the entry to `Running` (a worker or a getter) owns the arguments and must settle the entry.
//! * `Running`: only the runner writes the value. A canceller may still fail the entry; then the runner's value is dropped. A
//!   runner whose attempt has failed may put the entry back into `Queued`.
//! * `Ready`, `Failed`: terminal, except for `Ready` → `Taken`, when the only reference takes the value out.
//!
//! # Counts
//!
//! * *refs*: the references (`ObjectRef`s and `AnyRef`s). They keep the value.
//! * *holds*: they keep the memory, not the value: one for all refs together, and one for each queue slot, runner, parent's
//!   list of children, and dependency edge. So a finished task has no ref of its own, and a `take` by the only reference never
//!   fails.
//!
//! # Rules
//!
//! 1. The value is written before `Ready` is published (Release), and read after `Ready` was seen (Acquire).
//! 2. The value is dropped once: by the publisher if it saw no refs, else by the thread that drops the last ref of a ready entry.
//!    One atomic operation on this word decides, so exactly one of the two threads drops it.
//! 3. The list of waiters and the error share a word. The list is accessed only under `LOCK`, and the thread that settles
//!    the entry takes it under the lock; after `Ready` or `Failed` no thread links a waiter. The error is written under the lock
//!    too, in the place of the list, and does not change after `Failed` was published.
//! 4. The thread that decrements the holds to zero frees the memory. The holds are not zero while there are refs.
//! 5. An entry leaves `Waiting` and `Running` only while `LOCK` is not held, or by the thread that holds it. So a thread that has
//!    locked a waiting entry may read its arguments. A thread that has locked a running one may settle it: the runner cannot put
//!    it back into `Queued` meanwhile, which would leave an attempt that no thread runs, with arguments that no thread drops.

use crate::base::sync::{AtomicU64, Ordering, spin};

const PHASE: u64 = 0b111;
/// A thread accesses the list of waiters, writes the error, or reads the arguments.
const LOCK: u64 = 1 << 3;
/// The list has at least one waiter.
const WAITERS: u64 = 1 << 4;
/// A `get` of several objects waits for this one too, and must be woken by its failure.
const WATCHED: u64 = 1 << 5;
/// A caller has seen the failure, so it is not logged.
const SEEN: u64 = 1 << 6;

const HOLD: u64 = 1 << 12;
const HOLDS: u64 = 0x00FF_FFFF << 12;
const REF: u64 = 1 << 36;
const MAX_REFS: u64 = 1 << 27;
const MAX_HOLDS: u64 = 1 << 23;

/// The phase of an entry.
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
    /// Whether the task has ended: `Ready`, `Failed` or `Taken`.
    #[inline]
    pub(crate) fn is_settled(self) -> bool {
        self as u8 >= Self::Ready as u8
    }
}

/// A value that was read from the word.
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
    /// Whether there is one ref and no hold but the common one of the refs: no other thread can reach the entry.
    #[inline]
    pub(crate) fn is_exclusive(self) -> bool {
        self.refs() == 1 && self.holds() == 1
    }
}

/// The outcome of [`State::publish`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Publish {
    /// Published. The hold was released, if the caller asked for it.
    Done,
    /// Published, and there is no ref: the caller drops the value, then releases its hold.
    DropValue,
    /// Not published yet: there are waiters and the lock is held; [`State::unlock_as`] publishes.
    Locked,
    /// Another thread has failed the entry: the caller drops its value and releases its hold.
    Lost,
}

/// What the caller of [`State::drop_ref`] has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum DropRef {
    Nothing,
    /// It was the last ref: drop the value (if ready), then release the common hold of the refs.
    Last(Phase, /* failure seen */ bool),
}

/// The word: phase and flags in bits 0 to 7, holds in bits 12 to 35, refs from bit 36 on.
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

impl State {
    /// `holds` does not include the common hold of the refs.
    #[inline]
    pub(crate) fn new(phase: Phase, refs: u64, holds: u64) -> Self {
        let common = u64::from(refs > 0);
        Self(AtomicU64::new(phase as u64 | (refs * REF) | ((holds + common) * HOLD)))
    }

    /// The state of an entry without references, whose failure is not logged.
    #[inline]
    pub(crate) fn unread(phase: Phase, holds: u64) -> Self {
        Self(AtomicU64::new(phase as u64 | SEEN | (holds * HOLD)))
    }

    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Moves the entry from `Queued` to `Running`; `true` for only one caller.
    #[inline]
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        self.step(Phase::Queued, Phase::Running)
    }

    /// Moves the entry from one phase to another, if it is in the first.
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
                // Another thread reads the arguments or is about to settle the entry (rule 5).
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

    /// As [`publish`](Self::publish), but only in the usual case: the entry has no waiters, and no other thread changes the word
    /// meanwhile. Otherwise the entry is not published, and the result is none.
    #[inline(always)]
    pub(crate) fn publish_at_once(&self, release: bool, stamp: impl FnOnce()) -> Option<Publish> {
        let now = self.0.load(Ordering::Acquire);
        if now & (PHASE | LOCK | WAITERS) != Phase::Running as u64 {
            return None;
        }
        stamp();
        self.publish_from(now, release).ok()
    }

    /// The step of [`publish`](Self::publish) from the word `now`, in which the lock is open and there are no waiters. If the word
    /// has changed, returns what it is.
    #[inline(always)]
    fn publish_from(&self, now: u64, release: bool) -> Result<Publish, u64> {
        let unread = Snapshot(now).refs() == 0;
        let give_up = if release && !unread { HOLD } else { 0 };
        let next = (now & !PHASE | Phase::Ready as u64) - give_up;
        self.0.compare_exchange(now, next, Ordering::AcqRel, Ordering::Acquire)?;
        Ok(if unread { Publish::DropValue } else { Publish::Done })
    }

    /// Moves the entry from `Running` to `Ready`, after the value was written, and gives up the caller's hold if `release`. Calls
    /// `stamp` just before the step.
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
            match self.publish_from(now, release) {
                Ok(published) => return published,
                Err(seen) => now = seen,
            }
        }
    }

    /// Takes the lock if the entry is in a phase for which `open` returns `true`. While it is held, an entry that is not settled
    /// keeps its phase, except for the step from `Queued` to `Running`.
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

    /// Releases the lock; `waiters`: whether the list has any.
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

    /// Releases the lock after an access that has not changed the list.
    pub(crate) fn unlock_keeping(&self) {
        self.0.fetch_and(!LOCK, Ordering::Release);
    }

    /// Releases the lock and settles the entry in one step, after the list was taken; returns the word before the step. If that has
    /// no refs, the caller drops the value and then gives up its hold; otherwise this gives up the hold, if `release`.
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

    /// Adds a ref; the caller has one.
    #[inline]
    pub(crate) fn add_ref(&self) {
        let before = self.0.fetch_add(REF, Ordering::Relaxed);
        if Snapshot(before).refs() >= MAX_REFS {
            // As `Arc` does: the count would overflow, and only leaked references can reach this number.
            crate::base::log::abort("an object has more than 134,217,728 references: are clones of an `ObjectRef` leaked?");
        }
    }

    /// Gives a ref back.
    #[inline]
    pub(crate) fn drop_ref(&self) -> DropRef {
        let before = Snapshot(self.0.fetch_sub(REF, Ordering::AcqRel));
        if before.refs() == 1 { DropRef::Last(before.phase(), before.is_seen()) } else { DropRef::Nothing }
    }

    /// Moves the entry from `Ready` to `Taken` if there is only one ref, whose owner may then take the value out.
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

    /// Adds a hold; the entry is alive.
    #[inline]
    pub(crate) fn add_hold(&self) {
        let before = self.0.fetch_add(HOLD, Ordering::Relaxed);
        if Snapshot(before).holds() >= MAX_HOLDS {
            // The count would overflow. Numbers that a program can reach are refused earlier: see `dependency::register`.
            crate::base::log::abort("an object is held by more than 8,388,608 tasks and other owners of the engine");
        }
    }

    /// Gives a hold back; `true`: it was the last one, and the caller frees the memory.
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
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Runs `overflow` in a child process, which it aborts; returns what the child printed.
    fn aborted(name: &str, overflow: impl FnOnce()) -> String {
        const MARK: &str = "RAY_TEST_ABORT";
        if std::env::var_os(MARK).is_some() {
            overflow();
            std::process::exit(0);
        }
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args([name, "--exact", "--nocapture"]).env(MARK, "1").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{printed}");
        printed
    }

    #[test]
    fn too_many_references_abort_the_process_with_a_message() {
        let printed = aborted("object::state::tests::too_many_references_abort_the_process_with_a_message", || {
            let state = State::new(Phase::Ready, MAX_REFS - 1, 0);
            state.add_ref();
            state.add_ref();
        });
        assert!(printed.contains("ray: the process is aborted: an object has more than 134,217,728 references"), "{printed}");
    }

    #[test]
    fn too_many_holds_abort_the_process_with_a_message() {
        let printed = aborted("object::state::tests::too_many_holds_abort_the_process_with_a_message", || {
            let state = State::new(Phase::Ready, 0, MAX_HOLDS - 1);
            state.add_hold();
            state.add_hold();
        });
        assert!(printed.contains("ray: the process is aborted: an object is held by more than 8,388,608"), "{printed}");
    }
}
