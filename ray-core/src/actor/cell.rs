//! An actor's one allocation: its head, its methods, its instance.
//!
//! # Rules
//!
//! 1. Every change of a state is made under the lock of [`right`](super::right), which has the states.
//! 2. `handles` count those who may send; `holds` keep the memory: one for all handles together, one for each run
//!    queue entry, call, weak handle and running future.
//! 3. The instance is dropped by whoever ends the actor, holding the run right or knowing that nobody can take it.

use std::any::TypeId;
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::Actor;
use super::life::Rare;
use super::mailbox::Buffer;
use super::right::{Guard, Right};
use crate::callable::spec::Spec;
use crate::id::ActorId;
use crate::resources::Resources;
use crate::store::block;
use crate::store::entry::{Header, Hold};
use crate::sync::spin;

/// What differs from class to class.
pub(crate) struct ActorVTable {
    pub(crate) type_id: TypeId,
    pub(crate) spec: &'static Spec,
    pub(crate) drop_instance: unsafe fn(NonNull<ActorHead>),
    pub(crate) free: unsafe fn(NonNull<ActorHead>),
}

/// The part that every actor's cell starts with.
#[repr(C)]
pub(crate) struct ActorHead {
    // What senders write comes first, what the runner writes last, so that the two seldom share a cache line.
    right: Right,
    /// Calls wait in the backlog for their arguments.
    pub(crate) has_backlog: AtomicBool,
    pub(crate) handles: AtomicU32,
    holds: AtomicU32,
    pub(crate) epoch: u32,
    pub(crate) back: UnsafeCell<Buffer>,
    caller: AtomicU64,
    pub(crate) vtable: &'static ActorVTable,
    rare: OnceLock<Box<Rare>>,
    pub(crate) front: UnsafeCell<Buffer>,
    /// The call that a serial actor runs; see [`ActorHead::running_call`].
    pub(crate) current: AtomicPtr<Header>,
    /// There is an instance; written by the runner.
    pub(crate) alive: AtomicBool,
}

// SAFETY: the cells are guarded by the lock and the run right, and hold Send data.
unsafe impl Send for ActorHead {}
// SAFETY: as above.
unsafe impl Sync for ActorHead {}

impl fmt::Debug for ActorHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorHead({})", self.vtable.spec.path())
    }
}

/// Set in `current` while somebody else looks at the running call.
const BORROWED: usize = 1;

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
        Locked { actor: self, guard: self.right.lock() }
    }

    /// Counts a hold for the creation and one for the run queue, and marks the actor as scheduled.
    ///
    /// # Safety
    /// Nobody else knows the actor yet.
    pub(crate) unsafe fn be_born(&self) {
        self.holds.store(3, Ordering::Relaxed);
        self.right.be_born();
    }

    /// Dead, as far as can be seen without the lock.
    pub(crate) fn is_dead(&self) -> bool {
        self.right.is_dead()
    }

    /// Who the actor is as a caller of others.
    pub(crate) fn caller(&self) -> u64 {
        match self.caller.load(Ordering::Relaxed) {
            0 => {
                let fresh = crate::thread::fresh_caller();
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
        self.rare.get_or_init(|| Box::new(Rare::default()))
    }

    /// The rarely used part, if it was needed so far.
    #[inline]
    pub(crate) fn known_rare(&self) -> Option<&Rare> {
        self.rare.get().map(|rare| &**rare)
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
        if self.holds.fetch_add(1, Ordering::Relaxed) > u32::MAX / 2 {
            // As Arc does: only leaked holds get here.
            std::process::abort();
        }
    }

    /// The call that runs, if a serial actor runs one.
    pub(crate) fn running_call(&self) -> Option<Hold> {
        let mut turn = 0;
        loop {
            let now = self.current.load(Ordering::Acquire);
            let entry = NonNull::new(now)?;
            if now.addr() & BORROWED != 0 {
                spin(&mut turn);
                continue;
            }
            let borrowed = now.map_addr(|address| address | BORROWED);
            if self.current.compare_exchange(now, borrowed, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                // The runner does not let go of it while it is borrowed.
                // SAFETY: so it is alive.
                let held = unsafe { Hold::new(entry) };
                self.current.store(now, Ordering::Release);
                return Some(held);
            }
        }
    }

    /// The runner begins a call.
    #[inline]
    pub(crate) fn set_current(&self, entry: NonNull<Header>) {
        self.current.store(entry.as_ptr(), Ordering::Release);
    }

    /// The runner lets go of the call, when nobody looks at it.
    #[inline]
    pub(crate) fn clear_current(&self) {
        let mut turn = 0;
        loop {
            let now = self.current.load(Ordering::Relaxed);
            if now.is_null() {
                return;
            }
            if now.addr() & BORROWED == 0
                && self.current.compare_exchange_weak(now, std::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
            spin(&mut turn);
        }
    }
}

/// The cell.
#[repr(C)]
pub(crate) struct ActorCell<A: Actor> {
    pub(crate) head: ActorHead,
    methods: MaybeUninit<A::Methods>,
    pub(crate) instance: UnsafeCell<MaybeUninit<A>>,
}

impl<A: Actor> ActorCell<A> {
    const TABLE: &'static ActorVTable =
        &ActorVTable { type_id: TypeId::of::<A>(), spec: A::SPEC, drop_instance: Self::drop_instance, free: Self::free };

    /// An actor without an instance, with one handle.
    pub(crate) fn allocate(epoch: u32) -> NonNull<ActorHead> {
        let cell = block::place(Self {
            head: ActorHead {
                right: Right::new(),
                alive: AtomicBool::new(false),
                has_backlog: AtomicBool::new(false),
                handles: AtomicU32::new(1),
                holds: AtomicU32::new(1),
                epoch,
                vtable: Self::TABLE,
                back: UnsafeCell::new(Buffer::new()),
                front: UnsafeCell::new(Buffer::new()),
                current: AtomicPtr::new(std::ptr::null_mut()),
                caller: AtomicU64::new(0),
                rare: OnceLock::new(),
            },
            methods: MaybeUninit::uninit(),
            instance: UnsafeCell::new(MaybeUninit::uninit()),
        });
        let head = cell.cast::<ActorHead>();
        // SAFETY: a fresh cell that nobody else knows.
        unsafe { (*cell.as_ptr()).methods.write(A::methods(Link { head, class: PhantomData })) };
        head
    }

    /// The methods of a cell.
    ///
    /// # Safety
    /// The head is that of such a cell, alive for `'a`.
    #[inline]
    pub(crate) unsafe fn methods<'a>(head: NonNull<ActorHead>) -> &'a A::Methods {
        // SAFETY: the caller's promise; the methods are written when the cell is made.
        unsafe { (*head.cast::<Self>().as_ptr()).methods.assume_init_ref() }
    }

    /// The place of the instance.
    ///
    /// # Safety
    /// The head is that of such a cell, and alive.
    #[inline]
    pub(crate) unsafe fn instance(head: NonNull<ActorHead>) -> *mut A {
        // SAFETY: the caller's promise.
        unsafe { (*(*head.cast::<Self>().as_ptr()).instance.get()).as_mut_ptr() }
    }

    unsafe fn drop_instance(head: NonNull<ActorHead>) {
        // SAFETY: the caller ends the actor, which has an instance.
        crate::unwind::quietly(|| unsafe { Self::instance(head).drop_in_place() });
    }

    unsafe fn free(head: NonNull<ActorHead>) {
        // SAFETY: the last hold is gone, and the instance with it.
        unsafe {
            let cell = head.cast::<Self>();
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

    /// Takes over a hold that is counted already.
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
