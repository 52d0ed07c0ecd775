//! The state of an actor: a pure state machine, and the lock under which it changes. Serial, concurrent and async actors
//! share it; the model checker runs it (`crate::loom::actor`).
//!
//! # The instance ([`Life`])
//!
//! ```text
//! Pending ──► Queued ──► Starting ──► Live
//!                         ▲    │       │
//!                         │    ▼       ▼
//!                        Replacing ◄───┘        each of them ──► Dead ──► Final
//! ```
//!
//! * `Pending`: the creation waits for arguments or resources. No thread may take the execution lock.
//! * `Queued`: the creation is in the mailbox.
//! * `Starting`: the constructor runs.
//! * `Live`: calls run.
//! * `Replacing`: the instance crashed or was killed, and the actor restarts. No call begins until the constructor has run
//!   again. It runs when the last body has left the old instance.
//! * `Dead`: no call begins, and calls are refused. Bodies may still run.
//! * `Final`: one thread finalizes the actor: it drops the instance and gives the resources back.
//!
//! # Flags
//!
//! * `SCHEDULED`: an entry in the run queue refers to the actor. The flag stays set when a thread that waits for a call
//!   takes the execution lock, so that the actor is not put in the queue twice.
//! * `RUNNING`: a thread, the *runner*, holds the execution lock, and so owns `front` and (of a serial actor) the instance.
//!   While an async constructor runs, its future is the runner.
//! * `STOPPED`: the state is `Pending`, `Dead` or `Final`. So one look shows whether the actor may be scheduled.
//! * `ORPHAN`: no handle is left. The actor ends when its mailbox and its backlog are empty.
//! * `EXCLUSIVE`, `WAITING`, `WAITS_ALONE`: for a concurrent actor, whose runner only admits calls. A running call is
//!   exclusive; the first call of the mailbox could not be admitted; and that call is exclusive.
//! * `BEGUN`: the constructor has begun at least once, so the creation no longer owns its arguments.
//! * `LISTED`: the actor is in its engine's list of living actors.
//!
//! `inside` counts the bodies of a concurrent actor that use the instance.
//!
//! # Why no message is left behind
//!
//! A sender puts a message in the mailbox under the lock, and schedules the actor unless it is scheduled or has a runner.
//! The runner releases the execution lock under the same lock, and looks at the mailbox there; if that is not empty, it
//! schedules the actor. So either the runner sees a message, or the sender schedules the actor. A call that could not be
//! admitted sets `WAITING`. The next body that leaves, or the thread that cancels the call, clears `WAITING` and schedules
//! the actor.

pub(crate) use crate::actor::outcome::{Admit, AfterMade, Crash, Death, Finish, Left, Made, Restart, Start, Step};
use crate::base::sync::{AtomicU8, AtomicU16, AtomicU32, Ordering, spin};

/// See [the instance](self#the-instance-life).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Life {
    Pending,
    Queued,
    Starting,
    Live,
    Replacing,
    Dead,
    Final,
}

impl Life {
    fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Pending,
            1 => Self::Queued,
            2 => Self::Starting,
            3 => Self::Live,
            4 => Self::Replacing,
            5 => Self::Dead,
            _ => Self::Final,
        }
    }

    #[inline]
    pub(crate) fn is_dead(self) -> bool {
        self >= Self::Dead
    }

    /// Whether the runner must not begin a call.
    #[inline]
    pub(crate) fn stops_calls(self) -> bool {
        self >= Self::Replacing
    }
}

const SCHEDULED: u16 = 1;
const RUNNING: u16 = 1 << 1;
const STOPPED: u16 = 1 << 2;
const ORPHAN: u16 = 1 << 3;
const EXCLUSIVE: u16 = 1 << 4;
const WAITING: u16 = 1 << 5;
const WAITS_ALONE: u16 = 1 << 6;
const BEGUN: u16 = 1 << 7;
const LISTED: u16 = 1 << 8;

/// A dump of the engine tries so often to take the lock.
const TRIES: u32 = 10_000;

/// The state and its lock, a byte that is held for a few instructions.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RunState {
    lock: AtomicU8,
    life: AtomicU8,
    flags: AtomicU16,
    inside: AtomicU32,
}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Guard<'a>(&'a RunState);

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.lock.store(0, Ordering::Release);
    }
}

impl RunState {
    /// The state of an actor whose creation is about to be put in the mailbox.
    pub(crate) fn new() -> Self {
        Self {
            lock: AtomicU8::new(0),
            life: AtomicU8::new(Life::Queued as u8),
            flags: AtomicU16::new(0),
            inside: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_> {
        let mut turn = 0;
        while self.lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spin(&mut turn);
        }
        Guard(self)
    }

    /// Tries many times to take the lock.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
        let mut turn = 0;
        for _ in 0..TRIES {
            if self.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Some(Guard(self));
            }
            spin(&mut turn);
        }
        None
    }

    /// Marks an actor that no other thread knows yet as scheduled.
    #[inline]
    pub(crate) fn scheduled_from_birth(&self) {
        self.flags.store(SCHEDULED, Ordering::Relaxed);
    }

    /// The state as it is visible without the lock.
    #[inline]
    pub(crate) fn life(&self) -> Life {
        Life::of(self.life.load(Ordering::Relaxed))
    }

    /// Whether the actor is listed, and whether its constructor has begun. Only the thread that finalizes the actor calls
    /// this; no other thread changes these flags then.
    #[inline]
    pub(crate) fn at_last(&self) -> (bool, bool) {
        let flags = self.flags.load(Ordering::Relaxed);
        (flags & LISTED != 0, flags & BEGUN != 0)
    }
}

impl Guard<'_> {
    #[inline]
    fn flags(&self) -> u16 {
        self.0.flags.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, flags: u16) {
        self.0.flags.store(self.flags() | flags, Ordering::Relaxed);
    }

    #[inline]
    fn clear(&self, flags: u16) {
        self.0.flags.store(self.flags() & !flags, Ordering::Relaxed);
    }

    #[inline]
    fn is(&self, any: u16) -> bool {
        self.flags() & any != 0
    }

    #[inline]
    pub(crate) fn life(&self) -> Life {
        self.0.life()
    }

    #[inline]
    fn set_life(&self, life: Life) {
        self.0.life.store(life as u8, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.life().is_dead()
    }

    /// The number of bodies of a concurrent actor that use the instance.
    #[inline]
    pub(crate) fn inside(&self) -> u32 {
        self.0.inside.load(Ordering::Relaxed)
    }

    pub(crate) fn has_runner(&self) -> bool {
        self.is(RUNNING)
    }

    pub(crate) fn is_exclusive(&self) -> bool {
        self.is(EXCLUSIVE)
    }

    /// Whether the first call of the mailbox could not be admitted and is exclusive.
    pub(crate) fn waits_alone(&self) -> bool {
        self.is(WAITING) && self.is(WAITS_ALONE)
    }

    /// The state, for a dump.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.life()).to_lowercase();
        let flags = [
            (SCHEDULED, "scheduled"),
            (RUNNING, "running"),
            (ORPHAN, "without handles"),
            (EXCLUSIVE, "exclusive"),
            (WAITING, "its first call waits for admission"),
        ];
        for (_, name) in flags.iter().filter(|(flag, _)| self.is(*flag)) {
            text.push_str(", ");
            text.push_str(name);
        }
        if self.inside() > 0 {
            text.push_str(&format!(", {} call(s) run side by side", self.inside()));
        }
        text
    }

    /// Changes the state to `Pending`, until [`open`](Self::open).
    pub(crate) fn pend(&self) {
        self.set_life(Life::Pending);
        self.set(STOPPED);
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.life() == Life::Pending
    }

    /// Ends the state `Pending`; the caller puts the creation in the mailbox. `false`: the actor is dead.
    #[must_use]
    pub(crate) fn open(&self) -> bool {
        if self.is_dead() {
            return false;
        }
        self.set_life(Life::Queued);
        self.clear(STOPPED);
        true
    }

    /// Marks an actor that has something to do as scheduled, unless it is scheduled, has a runner, or is stopped. `true`:
    /// the caller puts it in the run queue.
    #[inline]
    #[must_use]
    pub(crate) fn schedule(&self) -> bool {
        let enqueue = !self.is(SCHEDULED | RUNNING | STOPPED);
        if enqueue {
            self.set(SCHEDULED);
        }
        enqueue
    }

    /// Takes the execution lock, if it is free and the actor is not stopped. `from_queue`: for an entry of the run queue,
    /// which is used up in either case.
    #[inline]
    #[must_use]
    pub(crate) fn begin(&self, from_queue: bool) -> bool {
        if from_queue {
            self.clear(SCHEDULED);
        }
        let free = !self.is(RUNNING | STOPPED);
        if free {
            self.set(RUNNING);
        }
        free
    }

    /// Releases the execution lock, unless the caller finalizes the actor. `empty`: the mailbox is empty; `backlog`: calls
    /// wait for their arguments.
    #[inline]
    pub(crate) fn finish(&self, empty: bool, backlog: bool) -> Finish {
        if self.is_dead() {
            if self.inside() > 0 {
                self.clear(RUNNING);
                return Finish::Nothing;
            }
            self.set_life(Life::Final);
            return Finish::Finalize;
        }
        if empty && self.is(ORPHAN) && !backlog && self.inside() == 0 {
            self.set_life(Life::Final);
            self.set(STOPPED);
            return Finish::End;
        }
        self.clear(RUNNING);
        let more = if self.life() == Life::Replacing { self.inside() == 0 } else { !empty && !self.is(WAITING) };
        if more && self.schedule() { Finish::Enqueue } else { Finish::Nothing }
    }

    /// The last handle was dropped. `true`: the caller puts the actor in the run queue.
    #[must_use]
    pub(crate) fn orphan(&self) -> bool {
        self.set(ORPHAN);
        self.schedule()
    }

    pub(crate) fn is_orphan(&self) -> bool {
        self.is(ORPHAN)
    }

    /// Ends the actor.
    pub(crate) fn die(&self) -> Death {
        let first = !self.is_dead();
        if first {
            self.set_life(Life::Dead);
            self.set(STOPPED);
        }
        let running = self.is(RUNNING);
        let finalize = self.life() == Life::Dead && !running && self.inside() == 0;
        if finalize {
            self.set_life(Life::Final);
        }
        Death { first, running, finalize }
    }

    /// The runner asks whether it may run the constructor, which then counts as begun.
    pub(crate) fn start(&self) -> Start {
        match self.life() {
            Life::Queued | Life::Replacing if self.inside() > 0 => Start::Bodies,
            Life::Queued | Life::Replacing => {
                self.set_life(Life::Starting);
                self.set(BEGUN);
                Start::Begin
            }
            Life::Pending | Life::Starting | Life::Live => unreachable!("only the runner runs the one creation"),
            Life::Dead | Life::Final => Start::Dead,
        }
    }

    /// The constructor has ended. `spend` uses up a restart; `false`: none is left.
    pub(crate) fn made(&self, made: Made, spend: impl FnOnce() -> bool) -> AfterMade {
        match self.life() {
            Life::Starting => match made {
                Made::Instance => {
                    self.set_life(Life::Live);
                    self.clear(WAITING | WAITS_ALONE);
                    AfterMade::Live
                }
                Made::Panic if spend() => {
                    self.set_life(Life::Replacing);
                    AfterMade::Again
                }
                Made::Panic | Made::Error => AfterMade::Dies,
            },
            Life::Dead | Life::Final => AfterMade::Dead,
            // `kill_and_restart` was called meanwhile, so the instance that was made must be replaced.
            _ => AfterMade::Again,
        }
    }

    /// A method has panicked; `spend` as in [`made`](Self::made).
    pub(crate) fn crash(&self, spend: impl FnOnce() -> bool) -> Crash {
        match self.life() {
            Life::Dead | Life::Final => Crash::Dead,
            Life::Replacing => Crash::Replaced,
            _ if spend() => {
                self.set_life(Life::Replacing);
                Crash::Restarts
            }
            _ => Crash::Dies,
        }
    }

    /// `kill_and_restart`. `unready`: the creation waits for arguments; `spend` as in [`made`](Self::made).
    pub(crate) fn restart(&self, unready: bool, spend: impl FnOnce() -> bool) -> Restart {
        match self.life() {
            Life::Dead | Life::Final => Restart::Nothing,
            Life::Pending if unready => Restart::Nothing,
            _ if !spend() => Restart::Kill,
            Life::Pending | Life::Queued | Life::Replacing => Restart::Counted,
            Life::Starting | Life::Live => {
                self.set_life(Life::Replacing);
                Restart::Replace { enqueue: self.inside() == 0 && self.schedule() }
            }
        }
    }

    /// Admits a call of a concurrent actor, if that may run now: alone if it is `exclusive`, otherwise beside fewer than
    /// `limit` others.
    pub(crate) fn admit(&self, exclusive: bool, limit: u32) -> Admit {
        if self.life() != Life::Live {
            return Admit::Closed;
        }
        let inside = self.inside();
        let free = !self.is(EXCLUSIVE) && if exclusive { inside == 0 } else { inside < limit };
        if free {
            self.0.inside.store(inside + 1, Ordering::Relaxed);
            if exclusive {
                self.set(EXCLUSIVE);
            }
            return Admit::Enter;
        }
        self.clear(WAITS_ALONE);
        self.set(if exclusive { WAITING | WAITS_ALONE } else { WAITING });
        Admit::Wait
    }

    /// A body of a concurrent actor has ended.
    pub(crate) fn leave(&self) -> Left {
        let inside = self.inside() - 1;
        self.0.inside.store(inside, Ordering::Relaxed);
        if inside == 0 {
            self.clear(EXCLUSIVE);
        }
        if self.is_dead() {
            if inside == 0 && !self.is(RUNNING) && self.life() == Life::Dead {
                self.set_life(Life::Final);
                return Left::Finalize;
            }
            return Left::Nothing;
        }
        let waited = self.is(WAITING);
        self.clear(WAITING | WAITS_ALONE);
        let more = if self.life() == Life::Replacing { inside == 0 } else { waited || (inside == 0 && self.is(ORPHAN)) };
        if more && self.schedule() { Left::Enqueue } else { Left::Nothing }
    }

    /// The call that could not be admitted may have been cancelled. `true`: the caller puts the actor in the run queue, so
    /// that the runner looks at the next call.
    #[must_use]
    pub(crate) fn look_again(&self) -> bool {
        let waited = self.is(WAITING);
        self.clear(WAITING | WAITS_ALONE);
        waited && self.schedule()
    }

    /// Marks the actor as listed. `true`: the caller puts it in the list of living actors; `false`: it was listed, or has
    /// ended.
    #[inline]
    #[must_use]
    pub(crate) fn list(&self) -> bool {
        let fresh = !self.is(LISTED) && !self.is_dead();
        if fresh {
            self.set(LISTED);
        }
        fresh
    }
}
