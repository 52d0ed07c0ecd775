//! An object's entry: the header that every kind shares, and what can be done to it without knowing its type.
//!
//! One allocation holds the header, what the entry's kind adds (a task's place in the tree, an actor call's address),
//! the value, and a task's arguments. [`state`](crate::object::state) has the phases and the rules; this file keeps them:
//! nothing else touches `rest`.

use std::any::TypeId;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use crate::base::error::Error;
use crate::base::event;
use crate::base::sync::{AtomicU32, Ordering};
use crate::object::stamp;
use crate::object::state::{DropRef, Phase, Publish, State};
use crate::object::task_table::TaskTable;
use crate::object::waiter::{Waiter, Waiters};

/// What differs from kind to kind and from type to type.
pub(crate) struct VTable {
    /// Where the value lies, from the header.
    pub(crate) value: usize,
    /// The value is an `Arc<T>`, adopted from the user.
    pub(crate) adopted: bool,
    /// The type of the object: the `T` of its references, also where the value is an `Arc<T>`.
    pub(crate) holds: ValueType,
    pub(crate) kind: Kind,
    /// The value has a drop of its own, which may drop more references.
    pub(crate) nested: bool,
    /// Drops the value of a ready entry.
    pub(crate) drop_value: unsafe fn(NonNull<Header>),
    /// Frees the memory. Value and arguments are gone by then.
    pub(crate) free: unsafe fn(NonNull<Header>),
    /// Of tasks: their own table.
    pub(crate) task: Option<TaskTable>,
}

/// A type at run time.
#[derive(Clone, Copy)]
pub(crate) struct ValueType {
    id: TypeId,
    name: fn() -> &'static str,
}

impl ValueType {
    pub(crate) const fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: std::any::type_name::<T> }
    }

    /// Whether a reference to a `T` may refer to the object: it holds a `T`, or will never hold a value.
    pub(crate) fn fits<T: 'static>(&self) -> bool {
        self.id == TypeId::of::<T>() || self.id == TypeId::of::<NoValue>()
    }

    pub(crate) fn name(&self) -> &'static str {
        (self.name)()
    }
}

/// The type of an object that has failed from the start, where the type of its references is not known to be `'static`.
#[derive(Debug)]
pub(crate) enum NoValue {}

/// How an object comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stored by `put`, adopted, or failed before it began.
    Put,
    /// The result of a task: of a function, an actor's method or constructor. `task` has the rest of its entry.
    Task,
    /// One of several returns.
    Part,
    /// An object that another process makes; see [`remote`](crate::object::remote).
    Remote,
}

/// The part that every entry starts with.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) state: State,
    pub(crate) vtable: &'static VTable,
    rest: UnsafeCell<WaitersOrError>,
    /// When it was settled; see [`stamp`]. Written before the settled phase is published.
    stamp: AtomicU64,
    id: AtomicU64,
    /// The engine it belongs to; see [`epoch`](crate::base::epoch).
    pub(crate) epoch: u32,
    /// Of tasks in `Waiting`: arguments that are not ready yet. Afterwards: how deep the gets nest that wait for it.
    pub(crate) pending: AtomicU32,
}

/// What is needed before an entry is settled, and what is needed after it has failed: never both.
union WaitersOrError {
    /// Unless the entry has failed.
    waiters: ManuallyDrop<Waiters>,
    /// Of a failed entry.
    error: ManuallyDrop<Error>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() == 48, "every object pays for the header");

// SAFETY: `rest` is guarded by the state word (rules 1 and 3 of `state`), what it holds is Send.
unsafe impl Send for Header {}
// SAFETY: as above.
unsafe impl Sync for Header {}

/// Ids are given on demand: most objects never need one.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Header {
    #[inline]
    pub(crate) fn new(state: State, vtable: &'static VTable, epoch: u32) -> Self {
        Self {
            state,
            vtable,
            rest: UnsafeCell::new(WaitersOrError { waiters: ManuallyDrop::new(Waiters::new()) }),
            stamp: AtomicU64::new(0),
            id: AtomicU64::new(0),
            epoch,
            pending: AtomicU32::new(0),
        }
    }

    /// Gives it the number that it has in another process, before anything else asks for its number.
    pub(crate) fn set_id(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// Its number, unique in the process.
    pub(crate) fn id(&self) -> u64 {
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let fresh = NEXT_ID.fetch_add(1, Ordering::Relaxed);
                match self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => fresh,
                    Err(given) => given,
                }
            }
            given => given,
        }
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.state.load().phase()
    }

    /// It is settled, or its engine is gone: after a shutdown bodies may go on, but their objects are gone.
    pub(crate) fn is_ready(&self) -> bool {
        if self.vtable.kind == Kind::Remote {
            crate::object::remote::ask_for(self);
        }
        self.phase().is_settled() || crate::base::epoch::check_object(self.epoch).is_err()
    }

    /// The error of a failed entry.
    pub(crate) fn error(&self) -> Error {
        debug_assert_eq!(self.phase(), Phase::Failed);
        // SAFETY: written before Failed was published, never changed after (rule 3).
        unsafe { Error::clone(&(*self.rest.get()).error) }
    }

    /// When it was settled, to be compared with the stamps of other settled entries.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// It is about to be settled, as the stamp says.
    #[inline]
    pub(crate) fn set_stamp(&self, stamp: u64) {
        self.stamp.store(stamp, Ordering::Relaxed);
    }

    /// The list, to be touched while the lock is held and the entry is not settled.
    fn waiters(&self) -> *mut Waiters {
        // SAFETY: nothing is read; the address of a field of a live union.
        unsafe { (&raw mut (*self.rest.get()).waiters).cast() }
    }

    /// Links a waiter, unless the entry is settled.
    ///
    /// # Safety
    /// As [`Waiters::link`]; the caller keeps the entry alive until the node is fired or unlinked.
    pub(crate) unsafe fn link(&self, node: *mut Waiter) -> Result<(), Phase> {
        match self.state.lock_if(|phase| !phase.is_settled()) {
            Ok(_) => {
                // SAFETY: the lock is held; the rest is the caller's promise.
                unsafe { (*self.waiters()).link(node) };
                self.state.unlock(true);
                if self.vtable.kind == Kind::Remote {
                    crate::object::remote::ask_for(self);
                }
                Ok(())
            }
            Err(now) => Err(now.phase()),
        }
    }

    /// Unlinks a waiter. If the entry was settled first, waits the moment until its firer has let go of the node.
    ///
    /// # Safety
    /// The node was linked here by its owner, and only its owner unlinks it.
    pub(crate) unsafe fn unlink(&self, node: *mut Waiter) {
        // SAFETY: the node is its owner's.
        let done = || unsafe { (*node).is_done() };
        if done() {
            return;
        }
        // SAFETY: linked by the caller, here.
        if unsafe { self.try_unlink(node) } {
            return;
        }
        let mut turn = 0;
        while !done() {
            crate::base::sync::spin(&mut turn);
        }
    }

    /// Unlinks a waiter; `false`: the entry was settled first, and the settling thread fires the node, or has done so.
    ///
    /// # Safety
    /// The node was linked here, and only its owner unlinks it.
    pub(crate) unsafe fn try_unlink(&self, node: *mut Waiter) -> bool {
        if self.state.lock_if(|phase| !phase.is_settled()).is_err() {
            return false;
        }
        // SAFETY: not settled under the lock, so the node is still linked.
        unsafe {
            let list = &mut *self.waiters();
            list.unlink(node);
            let any = !list.is_empty();
            self.state.unlock(any);
        }
        true
    }
}

impl Drop for Header {
    #[inline]
    fn drop(&mut self) {
        if self.phase() == Phase::Failed {
            // SAFETY: a failed entry's word is its error, and nobody else reaches the entry any more.
            unsafe { ManuallyDrop::drop(&mut self.rest.get_mut().error) };
        }
    }
}

/// Publishes the value that the runner has written; gives up the runner's hold, if it has one.
///
/// # Safety
/// The caller moved the entry to `Running` and wrote its value; with `hold` it owns a hold, without one it borrows a
/// ref that outlives the call.
#[inline]
pub(crate) unsafe fn publish(entry: NonNull<Header>, hold: bool) {
    // SAFETY: the caller's promise.
    unsafe { if event::is_heard() { Header::publish_heard(entry, hold) } else { publish_then(entry, hold, || {}) } }
}

/// As [`publish`]; calls `settled` if the entry was not settled before, after it is and before its waiters are fired.
///
/// # Safety
/// As [`publish`].
#[inline(always)]
pub(super) unsafe fn publish_then(entry: NonNull<Header>, hold: bool, settled: impl FnOnce()) {
    // SAFETY: alive by the caller's hold or ref.
    let header = unsafe { entry.as_ref() };
    let stamp = stamp::next();
    match header.state.publish(hold, || header.set_stamp(stamp)) {
        Publish::Done => settled(),
        // SAFETY: the outcome says that the value is ours to drop, and our hold (or ref) is still there.
        outcome @ (Publish::DropValue | Publish::Lost) => unsafe {
            if outcome == Publish::DropValue {
                settled();
            }
            drop_unread(entry, hold);
        },
        Publish::Locked => {
            header.set_stamp(stamp);
            // SAFETY: the lock is held.
            let waiters = unsafe { (*header.waiters()).take() };
            let before = header.state.unlock_as(Phase::Ready, hold);
            settled();
            // SAFETY: taken under the lock, published since. The entry itself is not touched by firing.
            unsafe { waiters.fire(false) };
            if before.refs() == 0 {
                // SAFETY: without refs `unlock_as` has left us the value and the hold.
                unsafe { drop_unread(entry, hold) };
            }
        }
    }
}

/// # Safety
/// The value is the caller's to drop.
#[cold]
unsafe fn drop_unread(entry: NonNull<Header>, hold: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        (entry.as_ref().vtable.drop_value)(entry);
        if hold {
            drop_hold(entry);
        }
    }
}

impl Header {
    /// Fails an entry that is in one of `from`; `false`: it was not. Does not touch arguments or holds.
    pub(crate) fn fail(&self, from: impl Fn(Phase) -> bool, error: Error) -> bool {
        if self.state.lock_if(|phase| !phase.is_settled() && from(phase)).is_err() {
            return false;
        }
        self.set_stamp(stamp::next());
        let event = self.settling(true);
        // SAFETY: the lock is held, the entry not settled.
        let waiters = unsafe {
            let waiters = (*self.waiters()).take();
            (*self.rest.get()).error = ManuallyDrop::new(error.clone());
            waiters
        };
        let before = self.state.unlock_as(Phase::Failed, false);
        event.tell();
        // SAFETY: taken under the lock, published since.
        unsafe { waiters.fire(true) };
        if before.is_watched() {
            crate::object::watch::failed();
        }
        if before.refs() == 0 && !before.is_seen() {
            crate::base::unread::unhandled(&error);
        }
        true
    }
}

/// Gives a hold back.
///
/// # Safety
/// The caller owns it.
#[inline]
pub(crate) unsafe fn drop_hold(entry: NonNull<Header>) {
    // SAFETY: alive by that hold; the last one frees.
    unsafe {
        if entry.as_ref().state.drop_hold() {
            (entry.as_ref().vtable.free)(entry);
        }
    }
}

/// Gives a ref back.
///
/// # Safety
/// The caller owns it.
#[inline]
pub(crate) unsafe fn drop_ref(entry: NonNull<Header>) {
    // SAFETY: alive by that ref.
    let header = unsafe { entry.as_ref() };
    let now = header.state.load();
    if now.is_exclusive() {
        match now.phase() {
            Phase::Ready => {
                // SAFETY: nobody else can reach the entry, so value and memory are ours.
                unsafe { drop_ready(entry, true) };
                return;
            }
            Phase::Taken => {
                // SAFETY: as above, the value is gone.
                unsafe { (header.vtable.free)(entry) };
                return;
            }
            _ => {}
        }
    }
    if let DropRef::Last(phase, seen) = header.state.drop_ref() {
        // SAFETY: the last ref's duties (rule 2); the refs' common hold keeps the memory until the last line.
        unsafe {
            match phase {
                Phase::Ready => return drop_ready(entry, false),
                Phase::Failed if !seen => crate::base::unread::unhandled(&header.error()),
                _ => {}
            }
            drop_hold(entry);
        }
    }
}

/// Values may hold refs whose values hold refs: so deep may drops nest, the rest waits its turn.
const DEEPEST_DROP: u32 = 32;

thread_local! {
    static DROP_DEPTH: Cell<u32> = const { Cell::new(0) };
    static DROP_LATER: RefCell<Vec<(Hold, bool)>> = const { RefCell::new(Vec::new()) };
}

/// Drops a ready value, and then frees the memory (`alone`) or gives up the refs' common hold.
///
/// # Safety
/// The value and, `alone`, the memory are the caller's.
#[inline]
unsafe fn drop_ready(entry: NonNull<Header>, alone: bool) {
    // SAFETY: the caller's promise. `alone`, the only hold left is the refs' common one, which giving up frees.
    unsafe {
        if !entry.as_ref().vtable.nested {
            release_ready(entry, alone);
            return;
        }
        let depth = DROP_DEPTH.get();
        if depth >= DEEPEST_DROP {
            let mut rest = Some((Hold::adopt(entry), alone));
            let _ = DROP_LATER.try_with(|later| later.borrow_mut().push(rest.take().expect("there is one")));
            match rest {
                // The thread is ending and its list is gone: nest on.
                Some((hold, alone)) => return release_ready(hold.into_entry(), alone),
                None => return,
            }
        }
        DROP_DEPTH.set(depth + 1);
        (entry.as_ref().vtable.drop_value)(entry);
        DROP_DEPTH.set(depth);
        release_dropped(entry, alone);
        if depth == 0 {
            while let Some((hold, alone)) = DROP_LATER.try_with(|later| later.borrow_mut().pop()).ok().flatten() {
                drop_ready(hold.into_entry(), alone);
            }
        }
    }
}

unsafe fn release_ready(entry: NonNull<Header>, alone: bool) {
    // SAFETY: as in `drop_ready`.
    unsafe {
        (entry.as_ref().vtable.drop_value)(entry);
        release_dropped(entry, alone);
    }
}

#[inline]
unsafe fn release_dropped(entry: NonNull<Header>, alone: bool) {
    // SAFETY: as in `drop_ready`.
    unsafe {
        if alone {
            (entry.as_ref().vtable.free)(entry);
        } else {
            drop_hold(entry);
        }
    }
}

/// A hold, given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold(NonNull<Header>);

impl Hold {
    /// Takes over a hold that is counted already.
    ///
    /// # Safety
    /// The caller owns that hold and gives it away.
    pub(crate) unsafe fn adopt(entry: NonNull<Header>) -> Self {
        Self(entry)
    }

    /// One more hold.
    ///
    /// # Safety
    /// The entry is alive.
    pub(crate) unsafe fn new(entry: NonNull<Header>) -> Self {
        // SAFETY: alive by the caller's promise.
        unsafe { entry.as_ref() }.state.add_hold();
        Self(entry)
    }

    pub(crate) fn entry(&self) -> NonNull<Header> {
        self.0
    }

    /// Gives the hold to the caller.
    pub(crate) fn into_entry(self) -> NonNull<Header> {
        std::mem::ManuallyDrop::new(self).0
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        // SAFETY: alive by this hold.
        unsafe { Self::new(self.0) }
    }
}

impl std::ops::Deref for Hold {
    type Target = Header;
    fn deref(&self) -> &Header {
        // SAFETY: alive by this hold.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { drop_hold(self.0) }
    }
}

// SAFETY: a header is Sync, and freeing is fit for any thread, since values and arguments are Send.
unsafe impl Send for Hold {}
// SAFETY: as above.
unsafe impl Sync for Hold {}
