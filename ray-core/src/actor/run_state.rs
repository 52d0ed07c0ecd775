//! The life of an actor's instance, who may run and who may send: a pure state machine, and the lock that it is changed
//! under. Serial, concurrent and async actors share it; the model checker runs it (`crate::loom::actor`).
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
//! * `Pending`: the creation waits for arguments or resources. Nobody may run.
//! * `Queued`: the creation is in the mailbox.
//! * `Starting`: the constructor runs.
//! * `Live`: calls run.
//! * `Replacing`: the instance crashed or was killed, and has restarts left. No call begins until the constructor has run
//!   again, which it does when the last body has left the old instance.
//! * `Dead`: no call begins, and calls are refused. Bodies may still run.
//! * `Final`: one thread has taken on the last duties: to drop the instance and to give resources back.
//!
//! # Flags
//!
//! * `SCHEDULED`: an entry in the run queue refers to the actor. It survives that a getter takes the run right, so that
//!   the entry is used again and not pushed twice.
//! * `RUNNING`: one thread, the *runner*, has the run right, and with it `front` and (of a serial actor) the instance.
//! * `STOPPED`: in `Pending`, `Dead` and `Final`, so that one look says whether the actor may be scheduled.
//! * `ORPHAN`: no handle is left. The actor ends when its mailbox and its backlog are empty.
//! * `EXCLUSIVE`, `WAITING`, `WAITS_ALONE`: of a concurrent actor, whose runner only admits calls: the call inside needs the
//!   instance for itself; the first call of the mailbox could not be admitted; that call needs the instance for itself.
//! * `BEGUN`: the constructor has begun once, so the creation's arguments are no longer the creation's own.
//! * `LISTED`: the engine's list of living actors has it.
//!
//! `inside` counts the bodies of a concurrent actor that use the instance.
//!
//! # Why no message is left behind
//!
//! A sender puts a message in under the lock, and schedules the actor unless it is scheduled or runs. The runner gives the
//! run right back under the same lock, looks at the mailbox there, and schedules the actor if it is not empty. So a message
//! is either seen by the runner or schedules the actor. A call that could not be admitted sets `WAITING`, which the next
//! body that leaves, or the canceller of that call, takes off and schedules the actor.

pub(crate) use crate::actor::outcome::{Admit, AfterMade, Crash, Death, Finish, Left, Made, Restart, Start};
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

    /// Whether the runner may begin no call now.
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

/// A dump of the engine looks so often whether the lock is free.
const TRIES: u32 = 10_000;

/// The lock, a byte that is held for a few instructions, and the state.
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
    /// Of an actor whose creation is about to be put in its mailbox.
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

    /// The lock, unless it stays taken for many looks.
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

    /// Marks an actor that nobody else knows yet as scheduled.
    #[inline]
    pub(crate) fn scheduled_from_birth(&self) {
        self.flags.store(SCHEDULED, Ordering::Relaxed);
    }

    /// As far as can be seen without the lock.
    #[inline]
    pub(crate) fn life(&self) -> Life {
        Life::of(self.life.load(Ordering::Relaxed))
    }

    /// Whether the actor is listed, and whether its constructor has begun once: for the thread that has the last duties, after
    /// which no other changes that.
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

    /// The bodies of a concurrent actor that use the instance.
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

    /// The first call of the mailbox waits, and needs the instance for itself.
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

    /// Nobody may run until [`open`](Self::open).
    pub(crate) fn pend(&self) {
        self.set_life(Life::Pending);
        self.set(STOPPED);
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.life() == Life::Pending
    }

    /// The creation waits no longer, and is put in the mailbox; `false`: the actor is dead.
    #[must_use]
    pub(crate) fn open(&self) -> bool {
        if self.is_dead() {
            return false;
        }
        self.set_life(Life::Queued);
        self.clear(STOPPED);
        true
    }

    /// There is something to do: marks the actor as scheduled, unless it is, or runs, or may not; `true`: the caller
    /// puts it in the run queue.
    #[inline]
    #[must_use]
    pub(crate) fn schedule(&self) -> bool {
        let enqueue = !self.is(SCHEDULED | RUNNING | STOPPED);
        if enqueue {
            self.set(SCHEDULED);
        }
        enqueue
    }

    /// Takes the run right; an entry of the run queue is used up by it, in vain or not.
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

    /// Gives the run right back, unless the last duties come with it. `empty`: the mailbox is; `backlog`: calls wait for
    /// their arguments.
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

    /// The last handle is gone; `true`: the caller puts the actor in the run queue.
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

    /// The runner is about to run the constructor.
    pub(crate) fn start(&self) -> Start {
        match self.life() {
            Life::Queued | Life::Replacing if self.inside() > 0 => Start::Bodies,
            Life::Queued | Life::Replacing => {
                self.set_life(Life::Starting);
                self.set(BEGUN);
                Start::Begin
            }
            Life::Pending | Life::Starting | Life::Live => unreachable!("one creation, by the runner"),
            Life::Dead | Life::Final => Start::Dead,
        }
    }

    /// The constructor is over; `spend` uses up a restart, if one is left.
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
            // `kill_and_restart` meanwhile: whatever was made is of a former life.
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

    /// A call of a concurrent actor asks for the instance, for itself if `exclusive`; `limit` calls may have it at once.
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

    /// A body of a concurrent actor is over.
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

    /// A call that waited for its turn may be gone; `true`: the caller puts the actor in the run queue.
    #[must_use]
    pub(crate) fn look_again(&self) -> bool {
        let waited = self.is(WAITING);
        self.clear(WAITING | WAITS_ALONE);
        waited && self.schedule()
    }

    /// The actor is to be listed among the living; `false`: it is, or it has ended.
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
