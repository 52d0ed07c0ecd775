//! An actor's one allocation: its methods, its head, its instance.
//!
//! # Rules
//!
//! 1. Every change of a state is made under the lock of [`run_state`](crate::actor::run_state), which has the states.
//! 2. `handles` count those who may send; `holds` keep the memory: one for all handles together, one for each run
//!    queue entry, call, weak handle and running future. A call's is taken out of `prepaid`, under the lock that its
//!    sender has anyway, and given back with the call's memory. What is left of `prepaid` goes back when the actor dies.
//! 3. The instance is dropped by whoever ends the actor, holding the run right or knowing that nobody can take it.
//!
//! # Places
//!
//! A busy actor is written by two processors, a sender and its runner, and a cache line that both write costs each of
//! them more than all the rest of a call. So what senders use lies in front (the methods, through which they come, too),
//! what the runner uses behind (the instance, too), and what neither uses at each call in between: 48 bytes, so that no
//! line has both, wherever the cell begins. The runner looks at `has_rare` for what it would else read in front.

use crate::base::error::Error;
use crate::engine::thread_state::{Frame, Host};
use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, offset_of};
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::actor::class::Actor;
use crate::actor::current::{Borrowed, Current, Seen};
use crate::actor::life::Rare;
use crate::actor::living::Links;
use crate::actor::mailbox::Buffer;
use crate::actor::run_state::{Guard, Life, RunState};
use crate::base::id::ActorId;
use crate::base::resources::Resources;
use crate::call::spec::Spec;
use crate::object::block;
use crate::object::entry::{Header, Hold};

/// What differs from class to class.
pub(crate) struct ActorVTable {
    pub(crate) type_id: TypeId,
    pub(crate) spec: &'static Spec,
    pub(crate) drop_instance: unsafe fn(NonNull<ActorHead>),
    pub(crate) free: unsafe fn(NonNull<ActorHead>),
}

/// The part that every actor's cell has; see [Places](self#places).
#[repr(C)]
pub(crate) struct ActorHead {
    rare: AtomicPtr<Rare>,
    pub(crate) epoch: u32,
    pub(super) run_state: RunState,
    pub(crate) handles: AtomicU32,
    holds: AtomicU32,
    /// Holds that are counted and not yet given to a call; the lock's.
    prepaid: Cell<u16>,
    /// Calls wait in the backlog for their arguments.
    pub(crate) has_backlog: AtomicBool,
    pub(crate) back: UnsafeCell<Buffer>,

    pub(crate) vtable: &'static ActorVTable,
    caller: AtomicU64,
    /// There is an instance; written by the runner.
    pub(crate) alive: AtomicBool,
    /// Its place among the living actors of its engine.
    pub(crate) links: Links,
    _between: u64,

    pub(crate) front: UnsafeCell<Buffer>,
    /// Where the runner is, and the call that a serial actor runs.
    pub(crate) current: Current<Header>,
    /// The rarely used part has been made. Without it the actor is not dead, not concurrent, and not to be replaced.
    has_rare: AtomicBool,
}

const _: () = assert!(offset_of!(ActorHead, front) - offset_of!(ActorHead, vtable) == 48);
#[cfg(not(loom))]
const _: () = assert!(offset_of!(ActorHead, back) == 32);

/// So many holds are counted at once.
const PREPAID: u16 = 1024;

// SAFETY: the cells are guarded by the lock and the run right, and hold Send data.
unsafe impl Send for ActorHead {}
// SAFETY: as above.
unsafe impl Sync for ActorHead {}

impl fmt::Debug for ActorHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorHead({})", self.vtable.spec.path())
    }
}

/// The lock, held, and with it `back`.
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
    /// Counts the hold of a call that is being put in.
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

    /// Holds that no call will take any more; for the caller to give back, which has a hold itself, when the lock is
    /// open.
    pub(crate) fn take_prepaid(&self) -> u32 {
        self.actor.prepaid.take().into()
    }

    /// Takes out what is in `front`.
    ///
    /// # Safety
    /// There is no runner, or it does not look at `front` without the lock any more.
    pub(crate) unsafe fn take_front(&self) -> Buffer {
        // SAFETY: the lock is held; the rest is the caller's promise.
        unsafe { (*self.actor.front.get()).take() }
    }

    #[inline]
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn back(&self) -> &mut Buffer {
        // SAFETY: the lock is held, and no other `&mut` to it is made from this guard at the same time.
        unsafe { &mut *self.actor.back.get() }
    }
}

impl ActorHead {
    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked { actor: self, guard: self.run_state.lock() }
    }

    /// What it is and does, for a dump.
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
            // SAFETY: `front` belongs to the lock while there is no runner.
            sent += unsafe { &*self.front.get() }.len();
        }
        drop(locked);
        text += &format!(", {sent} call(s) in its mailbox");
        if taken {
            text += " beside those that its runner has taken";
        }
        if self.has_backlog.load(Ordering::Relaxed) {
            text += ", others wait for arguments";
        }
        text
    }

    /// Counts a hold for the creation and one for the run queue, and marks the actor as scheduled.
    ///
    /// # Safety
    /// Nobody else knows the actor yet.
    pub(crate) unsafe fn schedule_at_birth(&self) {
        self.holds.store(3, Ordering::Relaxed);
        self.run_state.scheduled_from_birth();
    }

    /// As far as can be seen without the lock.
    pub(crate) fn life(&self) -> Life {
        self.run_state.life()
    }

    /// Dead, as far as can be seen without the lock.
    pub(crate) fn is_dead(&self) -> bool {
        self.life().is_dead()
    }

    /// Who the actor is as a caller of others.
    pub(crate) fn caller(&self) -> u64 {
        match self.caller.load(Ordering::Relaxed) {
            0 => {
                let fresh = crate::engine::thread_state::fresh_caller();
                match self.caller.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => fresh,
                    Err(known) => known,
                }
            }
            known => known,
        }
    }

    /// The rarely used part, made on demand.
    pub(crate) fn rare(&self) -> &Rare {
        if let Some(known) = self.known_rare() {
            // Whoever made it may not have said so yet.
            if !self.has_rare.load(Ordering::Relaxed) {
                self.has_rare.store(true, Ordering::Release);
            }
            return known;
        }
        let fresh = Box::into_raw(Box::default());
        let placed = self.rare.compare_exchange(null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
        let rare = match placed {
            Ok(_) => {
                self.has_rare.store(true, Ordering::Release);
                fresh
            }
            Err(other) => {
                // SAFETY: it was made above, and nobody has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                self.has_rare.store(true, Ordering::Release);
                other
            }
        };
        // SAFETY: placed for good; freed with the head.
        unsafe { &*rare }
    }

    /// The rarely used part, if it was needed so far.
    #[inline]
    pub(crate) fn known_rare(&self) -> Option<&Rare> {
        // SAFETY: null or placed for good.
        unsafe { self.rare.load(Ordering::Acquire).as_ref() }
    }

    /// Dead or to be replaced, as far as the runner can see without the lock: it begins no call, and leaves `front` alone.
    #[inline]
    pub(crate) fn runner_must_stop(&self) -> bool {
        // A killer allocates the rarely used part first, to store the cause.
        self.runners_rare().is_some() && self.life().stops_calls()
    }

    /// As [`known_rare`](Self::known_rare), for the runner, which looks at each call.
    #[inline]
    pub(crate) fn runners_rare(&self) -> Option<&Rare> {
        if self.has_rare.load(Ordering::Acquire) { self.known_rare() } else { None }
    }

    pub(crate) fn id(&self) -> ActorId {
        ActorId::from_raw(self.caller())
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.known_rare()?.settings()?.name.as_deref().map(str::to_owned)
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.known_rare().map_or(0, |rare| rare.restarts.load(Ordering::Relaxed))
    }

    pub(crate) fn resources(&self) -> Resources {
        self.known_rare().and_then(|rare| rare.settings()).map_or(Resources::NONE, |settings| settings.resources.clone())
    }

    #[inline]
    pub(crate) fn add_hold(&self) {
        self.add_holds(1);
    }

    #[inline]
    fn add_holds(&self, count: u32) {
        if self.holds.fetch_add(count, Ordering::Relaxed) > u32::MAX / 2 {
            // As Arc does: only leaked holds get here.
            crate::base::log::abort("an actor is held by too many handles, calls and other owners of the engine");
        }
    }

    /// Gives holds back, of which the caller keeps one.
    pub(crate) fn give_holds_back(&self, count: u32) {
        self.holds.fetch_sub(count, Ordering::Release);
    }

    /// The call that runs, if a serial actor runs one that has an entry.
    pub(crate) fn running_call(&self) -> Option<Hold> {
        match self.current.look() {
            Seen::Call(call) => held(&call),
            Seen::InMailbox | Seen::Away => None,
        }
    }
}

/// A hold on a call that cannot end now.
pub(crate) fn held(call: &Borrowed<'_, Header>) -> Option<Hold> {
    // SAFETY: the runner does not let go of it while it is borrowed, so it is alive.
    NonNull::new(call.call).map(|entry| unsafe { Hold::new(entry) })
}

impl Host for ActorHead {
    fn caller(&self) -> u64 {
        ActorHead::caller(self)
    }

    fn end_call(&self) {
        self.current.end_call();
    }

    fn death(&self) -> Option<Error> {
        self.is_dead().then(|| crate::actor::life::death(self))
    }
}

/// The actor whose body runs in a frame: every [`Host`] is an `ActorHead`.
pub(crate) fn of_frame(frame: &Frame) -> Option<NonNull<ActorHead>> {
    frame.actor.map(NonNull::cast)
}

impl Drop for ActorHead {
    fn drop(&mut self) {
        let rare = *self.rare.get_mut();
        if !rare.is_null() {
            // SAFETY: made by `rare`, and nobody else has the head any more.
            drop(unsafe { Box::from_raw(rare) });
        }
    }
}

/// The cell. Its address, for everybody, is that of its head.
#[repr(C)]
pub(crate) struct ActorCell<A: Actor> {
    methods: MaybeUninit<A::Methods>,
    head: ActorHead,
    instance: UnsafeCell<MaybeUninit<A>>,
}

impl<A: Actor> ActorCell<A> {
    const TABLE: &'static ActorVTable =
        &ActorVTable { type_id: TypeId::of::<A>(), spec: A::SPEC, drop_instance: Self::drop_instance, free: Self::free };

    /// An actor without an instance, with one handle.
    pub(crate) fn allocate(epoch: u32) -> NonNull<ActorHead> {
        let cell = block::place(Self {
            methods: MaybeUninit::uninit(),
            head: ActorHead {
                rare: AtomicPtr::new(null_mut()),
                epoch,
                run_state: RunState::new(),
                handles: AtomicU32::new(1),
                holds: AtomicU32::new(1),
                prepaid: Cell::new(0),
                has_backlog: AtomicBool::new(false),
                back: UnsafeCell::new(Buffer::new()),
                vtable: Self::TABLE,
                caller: AtomicU64::new(0),
                alive: AtomicBool::new(false),
                links: Links::new(),
                _between: 0,
                front: UnsafeCell::new(Buffer::new()),
                current: Current::new(),
                has_rare: AtomicBool::new(false),
            },
            instance: UnsafeCell::new(MaybeUninit::uninit()),
        });
        // SAFETY: a fresh cell that nobody else knows.
        unsafe {
            let head = NonNull::new_unchecked(&raw mut (*cell.as_ptr()).head);
            (*cell.as_ptr()).methods.write(A::methods(Link { head, class: PhantomData }));
            head
        }
    }

    /// The cell of a head.
    ///
    /// # Safety
    /// The head is that of such a cell.
    #[inline]
    unsafe fn of(head: NonNull<ActorHead>) -> NonNull<Self> {
        // SAFETY: the caller's promise; a head's address was made from its cell's.
        unsafe { head.byte_sub(offset_of!(Self, head)).cast() }
    }

    /// The methods of a cell.
    ///
    /// # Safety
    /// The head is that of such a cell, alive for `'a`.
    #[inline]
    pub(crate) unsafe fn methods<'a>(head: NonNull<ActorHead>) -> &'a A::Methods {
        // SAFETY: the caller's promise; the methods are written when the cell is made.
        unsafe { (*Self::of(head).as_ptr()).methods.assume_init_ref() }
    }

    /// The place of the instance.
    ///
    /// # Safety
    /// The head is that of such a cell, and alive.
    #[inline]
    pub(crate) unsafe fn instance(head: NonNull<ActorHead>) -> *mut A {
        // SAFETY: the caller's promise.
        unsafe { (*(*Self::of(head).as_ptr()).instance.get()).as_mut_ptr() }
    }

    unsafe fn drop_instance(head: NonNull<ActorHead>) {
        // SAFETY: the caller ends the actor, which has an instance.
        crate::base::users_code::quietly(|| unsafe { Self::instance(head).drop_in_place() });
    }

    unsafe fn free(head: NonNull<ActorHead>) {
        // SAFETY: the last hold is gone, and the instance with it.
        unsafe {
            let cell = Self::of(head);
            (*cell.as_ptr()).methods.assume_init_drop();
            block::remove(cell);
        }
    }
}

/// An actor as its methods know it; made by the engine for the generated code.
pub struct Link<A> {
    pub(crate) head: NonNull<ActorHead>,
    class: PhantomData<fn(A)>,
}

impl<A> Clone for Link<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Link<A> {}

impl<A> fmt::Debug for Link<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

// SAFETY: a link lives in the cell it points to, whose head is Sync.
unsafe impl<A> Send for Link<A> {}
// SAFETY: as above.
unsafe impl<A> Sync for Link<A> {}

/// Keeps an actor's memory.
pub(crate) struct ActorHold(NonNull<ActorHead>);

// SAFETY: the head is Sync, and freeing is fit for any thread.
unsafe impl Send for ActorHold {}
// SAFETY: as above.
unsafe impl Sync for ActorHold {}

impl ActorHold {
    /// One more hold.
    ///
    /// # Safety
    /// The actor is alive in memory.
    #[inline]
    pub(crate) unsafe fn new(head: NonNull<ActorHead>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { head.as_ref() }.add_hold();
        Self(head)
    }

    /// Takes over a hold that is counted already, or is counted before the caller's handle can go.
    ///
    /// # Safety
    /// The caller owns it.
    #[inline]
    pub(crate) unsafe fn adopt(head: NonNull<ActorHead>) -> Self {
        Self(head)
    }

    #[inline]
    pub(crate) fn head(&self) -> NonNull<ActorHead> {
        self.0
    }
}

impl fmt::Debug for ActorHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Clone for ActorHold {
    fn clone(&self) -> Self {
        // SAFETY: alive by this hold.
        unsafe { Self::new(self.0) }
    }
}

impl Deref for ActorHold {
    type Target = ActorHead;
    #[inline]
    fn deref(&self) -> &ActorHead {
        // SAFETY: alive by this hold.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for ActorHold {
    #[inline]
    fn drop(&mut self) {
        if self.holds.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the last hold: nobody else can reach it.
            unsafe { (self.vtable.free)(self.0) };
        }
    }
}
