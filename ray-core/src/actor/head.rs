//! The head of an actor: the part of its allocation that does not depend on its class, and the references to it.
//!
//! # Rules
//!
//! 1. Every change of the state is made under the lock of [`run_state`](crate::actor::run_state), which lists the states.
//! 2. `handles` counts the handles. `holds` keeps the memory: one hold for all handles together, one for each entry in the
//!    run queue, each call, each weak handle and each running future. A call takes its hold from `prepaid`, under the lock
//!    that its sender takes anyway, and gives it back when its memory is freed. The rest of `prepaid` is given back when
//!    the actor dies.
//! 3. The thread that ends the actor drops the instance. It holds the execution lock, or no thread can take that any more.
//! 4. `back` belongs to the thread that holds the lock of the state. `front` belongs to the runner, which is the thread
//!    that holds the execution lock; without a runner it belongs to the lock of the state, and of a dead actor also when
//!    the runner is not in the mailbox (see [`current`](crate::actor::current)).
//!
//! # Places
//!
//! Two processors write to a busy actor, that of a sender and that of its runner. A cache line that both write would cost
//! each of them more than the rest of a call. So the fields of senders lie in front (beside the methods, through which they
//! come), the fields of the runner lie at the end (beside the instance), and between the two lie 48 bytes of fields that
//! neither uses at each call. So no line has both kinds of fields, wherever the cell begins. The runner reads
//! `has_cold_state`, and not `cold_state` in front.

use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::offset_of;
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::actor::admission::Admission;
use crate::actor::cold_state::ColdState;
use crate::actor::current::{Borrowed, Current, Seen};
use crate::actor::mailbox::Buffer;
use crate::actor::run_state::{Guard, Life, RunState};
use crate::base::id::ActorId;
use crate::base::resources::Resources;
use crate::call::function::Outcome;
use crate::call::spec::Spec;
use crate::object::entry::{Header, Hold};

/// The functions and data of a class.
pub(crate) struct ActorVTable {
    pub(crate) type_id: TypeId,
    pub(crate) spec: &'static Spec,
    /// Drops the instance. The caller has the right to (rule 3), and the instance exists.
    pub(crate) drop_instance: unsafe fn(NonNull<ActorHead>),
    /// Makes an instance of the last checkpoint, if there is one; none for a class without checkpoints. The caller is the
    /// runner, and there is no instance.
    pub(crate) restore: Option<Restore>,
    /// Frees the cell. The caller has given the last hold back.
    pub(crate) free: unsafe fn(NonNull<ActorHead>),
}

/// Makes an instance of the last checkpoint; none: there is no checkpoint.
pub(crate) type Restore = unsafe fn(NonNull<ActorHead>) -> Option<Outcome<()>>;

/// The head; see the [module](self).
#[repr(C)]
pub(crate) struct ActorHead {
    cold_state: AtomicPtr<ColdState>,
    pub(crate) epoch: u32,
    pub(super) run_state: RunState,
    pub(crate) handles: AtomicU32,
    holds: AtomicU32,
    /// Holds that are counted and not yet given to a call. Guarded by the lock of the state.
    prepaid: Cell<u16>,
    /// Calls wait in the backlog for their arguments.
    pub(crate) has_backlog: AtomicBool,
    /// What was sent; see rule 4.
    pub(crate) back: UnsafeCell<Buffer>,

    pub(crate) vtable: &'static ActorVTable,
    caller: AtomicU64,
    /// The instance exists. Written by the runner.
    pub(crate) alive: AtomicBool,
    /// The actor's neighbours in its engine's list of living actors.
    pub(crate) links: Links,
    _between: u64,

    /// What the runner has taken out of `back`; see rule 4.
    pub(crate) front: UnsafeCell<Buffer>,
    /// Where the runner is, and the call that a serial actor runs.
    pub(crate) current: Current<Header>,
    /// The cold state exists. An actor without it is not dead, not concurrent, and not to be replaced.
    has_cold_state: AtomicBool,
}

const _: () = assert!(offset_of!(ActorHead, front) - offset_of!(ActorHead, vtable) == 48);
#[cfg(not(loom))]
const _: () = assert!(offset_of!(ActorHead, back) == 32);

/// The number of holds that are counted at once.
const PREPAID: u16 = 1024;

// SAFETY: all that its cells hold is Send.
unsafe impl Send for ActorHead {}
// SAFETY: `prepaid` and `back` are used under the lock of the state (rules 2 and 4), `front` by its owner of rule 4, and
// `links` under the lock of their part of the list.
unsafe impl Sync for ActorHead {}

impl fmt::Debug for ActorHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorHead({})", self.vtable.spec.path())
    }
}

/// The neighbours of a member of the list of living actors; see [`living`](crate::actor::living). Used under the lock of
/// their part of the list.
pub(crate) struct Links {
    /// Null for an actor that is not in the list. The first member points to itself.
    pub(super) before: Cell<*mut ActorHead>,
    pub(super) after: Cell<*mut ActorHead>,
}

/// The held lock of an actor's state, which also gives access to `back`.
pub(crate) struct Locked<'a> {
    actor: &'a ActorHead,
    guard: Guard<'a>,
}

impl<'a> Deref for Locked<'a> {
    type Target = Guard<'a>;
    #[inline]
    fn deref(&self) -> &Guard<'a> {
        &self.guard
    }
}

impl Locked<'_> {
    /// Counts the hold of a call that is being sent.
    #[inline]
    pub(crate) fn pay_hold(&self) {
        let left = match self.actor.prepaid.get() {
            0 => {
                self.actor.add_holds(PREPAID.into());
                PREPAID
            }
            left => left,
        };
        self.actor.prepaid.set(left - 1);
    }

    /// Takes the holds that no call will need. The caller has a hold itself, and gives these back after the lock is
    /// released.
    pub(crate) fn take_prepaid(&self) -> u32 {
        self.actor.prepaid.take().into()
    }

    /// Takes the content of `front`.
    ///
    /// # Safety
    /// The caller is the runner, or `front` belongs to the lock (rule 4).
    pub(crate) unsafe fn take_front(&self) -> Buffer {
        // SAFETY: by rule 4 no other thread uses `front`, as the lock is held and the caller is its other possible owner.
        unsafe { (*self.actor.front.get()).take() }
    }

    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn back(&self) -> &mut Buffer {
        // SAFETY: the lock is held (rule 4), and no caller keeps one `&mut` of this guard while it makes another.
        unsafe { &mut *self.actor.back.get() }
    }
}

impl ActorHead {
    /// The head of an actor without an instance, with one handle.
    #[inline]
    pub(super) fn new(epoch: u32, vtable: &'static ActorVTable) -> Self {
        Self {
            cold_state: AtomicPtr::new(null_mut()),
            epoch,
            run_state: RunState::new(),
            handles: AtomicU32::new(1),
            holds: AtomicU32::new(1),
            prepaid: Cell::new(0),
            has_backlog: AtomicBool::new(false),
            back: UnsafeCell::new(Buffer::new()),
            vtable,
            caller: AtomicU64::new(0),
            alive: AtomicBool::new(false),
            links: Links { before: Cell::new(null_mut()), after: Cell::new(null_mut()) },
            _between: 0,
            front: UnsafeCell::new(Buffer::new()),
            current: Current::new(),
            has_cold_state: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked { actor: self, guard: self.run_state.lock() }
    }

    /// What the actor is and does, for a dump.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("actor `{}`", self.vtable.spec.name());
        if let Some(name) = self.name() {
            text += &format!(" (named `{name}`)");
        }
        let Some(guard) = self.run_state.try_lock() else { return text + ": locked" };
        let locked = Locked { actor: self, guard };
        text += &format!(": {}", locked.describe());
        let mut sent = locked.back().len();
        let taken = locked.has_runner();
        if !taken {
            // SAFETY: without a runner `front` belongs to the lock (rule 4), which is held.
            sent += unsafe { &*self.front.get() }.len();
        }
        drop(locked);
        text += &format!(", {sent} call(s) in its mailbox");
        if taken {
            text += " beside those that its runner has taken";
        }
        if let Some(waiting) = self.admission().and_then(|admission| admission.groups.as_ref()?.waiting()) {
            text += &format!(", {waiting} wait(s) for a slot of their concurrency group");
        }
        if self.has_backlog.load(Ordering::Relaxed) {
            text += ", others wait for arguments";
        }
        text
    }

    /// Counts a hold for the creation and one for the run queue, and marks the actor as scheduled.
    ///
    /// # Safety
    /// No other thread knows the actor yet.
    #[inline]
    pub(crate) unsafe fn schedule_at_birth(&self) {
        self.holds.store(3, Ordering::Relaxed);
        self.run_state.scheduled_from_birth();
    }

    /// The state as it is visible without the lock.
    pub(crate) fn life(&self) -> Life {
        self.run_state.life()
    }

    /// Whether the actor is dead, as it is visible without the lock.
    pub(crate) fn is_dead(&self) -> bool {
        self.life().is_dead()
    }

    /// The actor's number as a caller of other actors.
    pub(crate) fn caller(&self) -> u64 {
        match self.caller.load(Ordering::Relaxed) {
            0 => {
                let fresh = crate::base::id::fresh_caller();
                match self.caller.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => fresh,
                    Err(known) => known,
                }
            }
            known => known,
        }
    }

    /// The cold state; allocates it if it does not exist.
    pub(crate) fn cold_state(&self) -> &ColdState {
        if let Some(known) = self.known_cold_state() {
            // The thread that allocated it may not have set the flag yet.
            if !self.has_cold_state.load(Ordering::Relaxed) {
                self.has_cold_state.store(true, Ordering::Release);
            }
            return known;
        }
        let fresh = Box::into_raw(Box::default());
        let placed = self.cold_state.compare_exchange(null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
        self.has_cold_state.store(true, Ordering::Release);
        let cold = match placed {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: this thread allocated it above, and has shown it to no other thread.
                drop(unsafe { Box::from_raw(fresh) });
                other
            }
        };
        // SAFETY: once stored, the pointer does not change, and only the head's drop frees the box.
        unsafe { &*cold }
    }

    /// The cold state, if it exists.
    #[inline]
    pub(crate) fn known_cold_state(&self) -> Option<&ColdState> {
        // SAFETY: null, or a box that only the head's drop frees.
        unsafe { self.cold_state.load(Ordering::Acquire).as_ref() }
    }

    /// As [`known_cold_state`](Self::known_cold_state), for the runner, which calls this for each call and must not read
    /// the senders' cache line.
    #[inline]
    pub(crate) fn cold_state_for_runner(&self) -> Option<&ColdState> {
        if self.has_cold_state.load(Ordering::Acquire) { self.known_cold_state() } else { None }
    }

    /// Whether the actor is dead or to be replaced, as far as the runner can see without the lock. The runner then begins
    /// no call, and does not touch `front`.
    #[inline]
    pub(crate) fn runner_must_stop(&self) -> bool {
        // A killer allocates the cold state before it changes the state, to store the cause.
        self.cold_state_for_runner().is_some() && self.life().stops_calls()
    }

    /// The slots of a concurrent actor. A serial actor has none.
    #[inline]
    pub(crate) fn admission(&self) -> Option<&Admission> {
        self.known_cold_state()?.admission.get()
    }

    /// Whether the actor's calls run side by side. The thread that runs a body of such an actor is not its runner.
    #[inline]
    pub(crate) fn is_concurrent(&self) -> bool {
        self.admission().is_some()
    }

    /// Whether a call whose arguments are ready may begin before an earlier call of the same caller.
    pub(crate) fn is_unordered(&self) -> bool {
        let Some(cold) = self.known_cold_state() else { return false };
        cold.admission.get().is_some() || cold.settings().is_some_and(|settings| settings.out_of_order)
    }

    /// Gives the actor the number that it has in another process, before anything asks for its number.
    pub(crate) fn set_caller(&self, number: u64) {
        self.caller.store(number, Ordering::Relaxed);
    }

    pub(crate) fn id(&self) -> ActorId {
        ActorId::from_raw(self.caller())
    }

    pub(crate) fn name(&self) -> Option<String> {
        let cold = self.known_cold_state()?;
        match cold.executor.get() {
            Some(executor) => executor.actor_name(self.caller()),
            None => cold.settings()?.name.as_deref().map(str::to_owned),
        }
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.known_cold_state().map_or(0, |cold| cold.restarts.load(Ordering::Relaxed))
    }

    pub(crate) fn resources(&self) -> Resources {
        let settings = self.known_cold_state().and_then(ColdState::settings);
        settings.map_or(Resources::NONE, |settings| settings.resources.clone())
    }

    #[inline]
    pub(crate) fn add_hold(&self) {
        self.add_holds(1);
    }

    #[inline]
    fn add_holds(&self, count: u32) {
        if self.holds.fetch_add(count, Ordering::Relaxed) > u32::MAX / 2 {
            // As in `Arc`: only leaked holds lead to such a count.
            crate::base::log::abort("an actor is held by too many handles, calls and other owners of the engine");
        }
    }

    /// Gives `count` holds back. The caller keeps another one.
    pub(crate) fn give_holds_back(&self, count: u32) {
        self.holds.fetch_sub(count, Ordering::Release);
    }

    /// The call that a serial actor runs. None if it runs none, or one without an entry.
    pub(crate) fn running_call(&self) -> Option<Hold> {
        match self.current.look() {
            Seen::Call(call) => held(&call),
            Seen::InMailbox | Seen::Away => None,
        }
    }
}

/// A hold on a borrowed call.
pub(crate) fn held(call: &Borrowed<'_, Header>) -> Option<Hold> {
    // SAFETY: the runner keeps its hold on the call while the call is borrowed (`Current::end_call` waits).
    NonNull::new(call.call).map(|entry| unsafe { Hold::new(entry) })
}

impl Drop for ActorHead {
    fn drop(&mut self) {
        let cold = *self.cold_state.get_mut();
        if !cold.is_null() {
            // SAFETY: `cold_state` allocated the box, and `&mut self` shows that no reference to it is left.
            drop(unsafe { Box::from_raw(cold) });
        }
    }
}

/// A reference that keeps an actor's memory (rule 2).
pub(crate) struct ActorHold(NonNull<ActorHead>);

// SAFETY: the head is Sync, and any thread may free the cell, whose methods and instance are Send.
unsafe impl Send for ActorHold {}
// SAFETY: a shared hold gives access to the head only, which is Sync.
unsafe impl Sync for ActorHold {}

impl ActorHold {
    /// Counts one more hold.
    ///
    /// # Safety
    /// A hold that another owner has keeps the actor's memory during this call.
    #[inline]
    pub(crate) unsafe fn new(head: NonNull<ActorHead>) -> Self {
        // SAFETY: the caller guarantees that the head is alive.
        unsafe { head.as_ref() }.add_hold();
        Self(head)
    }

    /// Takes over a hold that is counted already, or that the caller counts before the handle through which it reaches the
    /// actor can be dropped.
    ///
    /// # Safety
    /// The caller owns that hold, and gives it away.
    #[inline]
    pub(crate) unsafe fn adopt(head: NonNull<ActorHead>) -> Self {
        Self(head)
    }

    #[inline]
    pub(crate) fn head(&self) -> NonNull<ActorHead> {
        self.0
    }

    /// The address, as the key of the actor in tables.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl fmt::Debug for ActorHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Clone for ActorHold {
    fn clone(&self) -> Self {
        // SAFETY: this hold keeps the memory.
        unsafe { Self::new(self.0) }
    }
}

impl Deref for ActorHold {
    type Target = ActorHead;
    #[inline]
    fn deref(&self) -> &ActorHead {
        // SAFETY: this hold keeps the memory.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for ActorHold {
    #[inline]
    fn drop(&mut self) {
        if self.holds.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the last hold was given back, so no other thread can reach the cell (rule 2).
            unsafe { (self.vtable.free)(self.0) };
        }
    }
}
