//! An object's entry: the header that all kinds share, and the operations that do not depend on the type of the value.
//!
//! One allocation holds the header, the fields that the entry's kind adds (a task's place in the tree, a call's actor), the
//! value, and a task's arguments. [`state`](crate::object::state) has the phases and the rules. This file implements them: no
//! other file accesses `waiters_or_error`.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use crate::base::error::Error;
use crate::base::event;
use crate::base::sync::{AtomicU32, Ordering};
use crate::object::kind::{Kind, ValueType};
use crate::object::stamp;
use crate::object::state::{Phase, Publish, State};
use crate::object::task_table::TaskTable;
use crate::object::waiter::{Waiter, Waiters};

/// The functions and properties of an entry that depend on its kind and on the type of its value.
pub(crate) struct VTable {
    /// The offset of the value from the header, in bytes.
    pub(crate) value: usize,
    /// The value is an `Arc<T>` that the user has passed in.
    pub(crate) adopted: bool,
    /// The type of the object: the `T` of its references, also where the value is an `Arc<T>`.
    pub(crate) holds: ValueType,
    pub(crate) kind: Kind,
    /// The table of a remote object; none for other kinds.
    pub(crate) remote: Option<&'static RemoteTable>,
    /// The type of the value needs a drop, which may drop more references.
    pub(crate) nested: bool,
    /// Drops the value of a ready entry.
    pub(crate) drop_value: unsafe fn(NonNull<Header>),
    /// Frees the memory. Value and arguments were dropped or moved out before.
    pub(crate) free: unsafe fn(NonNull<Header>),
    /// The table of a task; none for other kinds.
    pub(crate) task: Option<TaskTable>,
}

/// The functions of an object of another process.
pub(crate) struct RemoteTable {
    /// Asks the other process for the value, unless it was asked before.
    pub(crate) want: fn(&Header),
    /// The entry that is settled when the object is ready, if that is another one.
    pub(crate) readiness: fn(&Header) -> Option<&Header>,
    /// The stamp of that entry, if it is settled: the value may have come later.
    pub(crate) stamp: fn(&Header) -> Option<u64>,
}

/// The beginning of every entry.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) state: State,
    pub(crate) vtable: &'static VTable,
    waiters_or_error: UnsafeCell<WaitersOrError>,
    /// When it was settled; see [`stamp`]. Written before the settled phase is published.
    stamp: AtomicU64,
    id: AtomicU64,
    /// The engine it belongs to; see [`epoch`](crate::base::epoch).
    pub(crate) epoch: u32,
    /// See [`pending_args`](Self::pending_args) and [`get_depth`](Self::get_depth), which share it.
    pending_or_depth: AtomicU32,
}

/// The waiters are needed until an entry is settled, the error after it has failed: never both.
union WaitersOrError {
    /// In every phase but `Failed`.
    waiters: ManuallyDrop<Waiters>,
    /// In the phase `Failed`.
    error: ManuallyDrop<Error>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() == 48, "the header is a part of every object, so it must not grow");

// SAFETY: the state word guards `waiters_or_error` (rule 3 of `state`): it is accessed under the lock, by the settling thread, or is
// an error that does not change any more. An error is Send and Sync; a waiter is made for being fired by another thread.
unsafe impl Send for Header {}
// SAFETY: the state word guards `waiters_or_error`, as for `Send`; all other fields that change are atomics.
unsafe impl Sync for Header {}

/// Ids are assigned on demand, because most objects never need one.
impl Header {
    #[inline]
    pub(crate) fn new(state: State, vtable: &'static VTable, epoch: u32) -> Self {
        Self {
            state,
            vtable,
            waiters_or_error: UnsafeCell::new(WaitersOrError { waiters: ManuallyDrop::new(Waiters::new()) }),
            stamp: AtomicU64::new(0),
            id: AtomicU64::new(0),
            epoch,
            pending_or_depth: AtomicU32::new(0),
        }
    }

    /// Gives it the id that it has in another process, before other code reads the id.
    pub(crate) fn set_id(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// Of a task in `Waiting`: how many of its arguments are not ready, plus one while they are being registered.
    ///
    /// When the task has left `Waiting`, the same field is [`get_depth`](Self::get_depth).
    #[inline]
    pub(crate) fn pending_args(&self) -> &AtomicU32 {
        &self.pending_or_depth
    }

    /// Of a task that has left `Waiting`: how deep the gets are nested that wait for it.
    ///
    /// While the task is in `Waiting`, the same field is [`pending_args`](Self::pending_args).
    #[inline]
    pub(crate) fn get_depth(&self) -> &AtomicU32 {
        &self.pending_or_depth
    }

    /// The entry's id, unique among the processes of an executor.
    pub(crate) fn id(&self) -> u64 {
        let given = self.id.load(Ordering::Relaxed);
        if given != 0 {
            return given;
        }
        let fresh = crate::base::id::fresh();
        self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|given| given, |_| fresh)
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.state.load().phase()
    }

    /// Asks for the value, if another process has it.
    pub(crate) fn want(&self) {
        if let Some(remote) = self.vtable.remote {
            (remote.want)(self);
        }
    }

    /// The entry whose settlement tells that this object is ready: the entry itself, or, if another process has the value, one that
    /// gets no value.
    pub(crate) fn readiness(&self) -> &Header {
        self.vtable.remote.and_then(|remote| (remote.readiness)(self)).unwrap_or(self)
    }

    /// Whether it is settled, or its engine was shut down. After a shutdown bodies may still run, but their objects cannot be read.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase().is_settled() || self.is_ready_elsewhere() || crate::base::epoch::check_object(self.epoch).is_err()
    }

    /// Whether another process has the value, and has told that it is ready.
    pub(crate) fn is_ready_elsewhere(&self) -> bool {
        self.vtable.remote.is_some_and(|remote| match (remote.readiness)(self) {
            Some(readiness) => readiness.phase().is_settled(),
            None => {
                (remote.want)(self);
                self.phase().is_settled()
            }
        })
    }

    /// The error of a failed entry.
    pub(crate) fn error(&self) -> Error {
        debug_assert_eq!(self.phase(), Phase::Failed);
        // SAFETY: the error was written before `Failed` was published, and does not change afterwards (rule 3).
        unsafe { Error::clone(&(*self.waiters_or_error.get()).error) }
    }

    /// When it was settled. Compare it with the stamps of other settled entries.
    pub(crate) fn stamp(&self) -> u64 {
        let own = self.stamp.load(Ordering::Relaxed);
        self.vtable.remote.and_then(|remote| (remote.stamp)(self)).map_or(own, |told| told.min(own))
    }

    /// Sets the stamp of an entry that is about to be settled.
    #[inline]
    pub(crate) fn set_stamp(&self, stamp: u64) {
        self.stamp.store(stamp, Ordering::Relaxed);
    }

    /// The list of waiters. It may be accessed while the lock is held and the entry is not settled.
    fn waiters(&self) -> *mut Waiters {
        // SAFETY: this computes the address of a field of a live union, and reads nothing.
        unsafe { (&raw mut (*self.waiters_or_error.get()).waiters).cast() }
    }

    /// Links a waiter, unless the entry is settled.
    ///
    /// # Safety
    /// The node is linked nowhere, and stays alive and in place until it is fired or unlinked. The caller keeps the entry alive until
    /// then.
    pub(crate) unsafe fn link(&self, node: *mut Waiter) -> Result<(), Phase> {
        // SAFETY: the caller guarantees what `link_quietly` needs.
        unsafe { self.link_quietly(node) }?;
        self.want();
        Ok(())
    }

    /// As [`link`](Self::link), without asking for the value of a remote object.
    ///
    /// # Safety
    /// That of `link`.
    pub(crate) unsafe fn link_quietly(&self, node: *mut Waiter) -> Result<(), Phase> {
        match self.state.lock_if(|phase| !phase.is_settled()) {
            Ok(_) => {
                // SAFETY: the lock is held and the entry not settled, so the list may be accessed; the caller guarantees that the node
                // is linked nowhere and stays alive.
                unsafe { (*self.waiters()).link(node) };
                self.state.unlock(true);
                Ok(())
            }
            Err(now) => Err(now.phase()),
        }
    }

    /// Unlinks a waiter. If the entry was settled first, spins until the settling thread has fired the node.
    ///
    /// # Safety
    /// The caller owns the node, has linked it in this entry, and unlinks it once.
    pub(crate) unsafe fn unlink(&self, node: *mut Waiter) {
        // SAFETY: the caller owns the node, which is alive.
        let done = || unsafe { (*node).is_done() };
        if done() {
            return;
        }
        // SAFETY: the caller owns the node and has linked it in this entry.
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
    /// The node was linked in this entry and is alive, and this is called once for it.
    pub(crate) unsafe fn try_unlink(&self, node: *mut Waiter) -> bool {
        if self.state.lock_if(|phase| !phase.is_settled()).is_err() {
            return false;
        }
        // SAFETY: the entry is not settled and locked, so the node was not taken out, and is linked in the list.
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
            // SAFETY: in `Failed` the union has the error (rule 3); `&mut self` excludes other accesses, and this is its only drop.
            unsafe { ManuallyDrop::drop(&mut self.waiters_or_error.get_mut().error) };
        }
    }
}

/// Publishes the value that the runner has written, and gives up the runner's hold, if it has one.
///
/// # Safety
/// The caller moved the entry to `Running` and wrote its value. With `hold` it owns a hold, which this takes over; without, a ref
/// keeps the entry alive until this returns.
#[inline]
pub(crate) unsafe fn publish(entry: NonNull<Header>, hold: bool) {
    if event::is_heard() {
        // SAFETY: the caller guarantees what this requires.
        return unsafe { Header::publish_heard(entry, hold) };
    }
    // SAFETY: the caller's hold or ref keeps the entry alive.
    let header = unsafe { entry.as_ref() };
    match header.state.publish_at_once(hold, || header.set_stamp(stamp::next())) {
        Some(Publish::Done) => {}
        // SAFETY: with this outcome the value is left to this thread, and the hold is not given up (rule 2).
        Some(Publish::DropValue) => unsafe { drop_unread(entry, hold) },
        // SAFETY: the caller guarantees what this requires, and nothing was done above.
        _ => unsafe { publish_in_steps(entry, hold) },
    }
}

/// As [`publish`], in every case. Not inlined, so that the usual case saves no registers.
///
/// # Safety
/// As [`publish`].
#[inline(never)]
unsafe fn publish_in_steps(entry: NonNull<Header>, hold: bool) {
    // SAFETY: the caller guarantees what this requires.
    unsafe { publish_then(entry, hold, || {}) }
}

/// As [`publish`]; calls `settled` if the entry was not settled before, after it is and before its waiters are fired.
///
/// # Safety
/// As [`publish`].
#[inline(always)]
pub(super) unsafe fn publish_then(entry: NonNull<Header>, hold: bool, settled: impl FnOnce()) {
    // SAFETY: the caller's hold or ref keeps the entry alive.
    let header = unsafe { entry.as_ref() };
    let stamp = stamp::next();
    match header.state.publish(hold, || header.set_stamp(stamp)) {
        Publish::Done => settled(),
        // SAFETY: with these outcomes `publish` leaves the value to this thread, and has not given up the hold (rule 2).
        outcome @ (Publish::DropValue | Publish::Lost) => unsafe {
            if outcome == Publish::DropValue {
                settled();
            }
            drop_unread(entry, hold);
        },
        Publish::Locked => {
            header.set_stamp(stamp);
            // SAFETY: `Locked` says that the lock is held and the entry is not settled, so the list may be accessed.
            let waiters = unsafe { (*header.waiters()).take() };
            let before = header.state.unlock_as(Phase::Ready, hold);
            settled();
            // SAFETY: the list was taken under the lock, and the entry is settled now.
            unsafe { waiters.fire(false) };
            if before.refs() == 0 {
                // SAFETY: without refs `unlock_as` leaves the value and the hold to this thread.
                unsafe { drop_unread(entry, hold) };
            }
        }
    }
}

/// Drops a value that no reference can read, and gives up the runner's hold, if it has one.
///
/// # Safety
/// The caller owns the value of the entry and, with `hold`, a hold.
#[cold]
unsafe fn drop_unread(entry: NonNull<Header>, hold: bool) {
    // SAFETY: the caller owns the value, and a hold or a ref that keeps the entry alive; the hold is dropped last.
    unsafe {
        (entry.as_ref().vtable.drop_value)(entry);
        if hold {
            drop_hold(entry);
        }
    }
}

impl Header {
    /// Fails an entry whose phase is in `from`; `false`: the phase was another one. Does not drop arguments or holds.
    pub(crate) fn fail(&self, from: impl Fn(Phase) -> bool, error: Error) -> bool {
        if self.state.lock_if(|phase| !phase.is_settled() && from(phase)).is_err() {
            return false;
        }
        self.set_stamp(stamp::next());
        let event = self.settling(true);
        // SAFETY: the lock is held and the entry not settled, so this thread alone accesses the union. The list is empty after it was
        // taken, and needs no drop.
        let waiters = unsafe {
            let waiters = (*self.waiters()).take();
            (*self.waiters_or_error.get()).error = ManuallyDrop::new(error.clone());
            waiters
        };
        let before = self.state.unlock_as(Phase::Failed, false);
        event.tell();
        // SAFETY: the list was taken under the lock, and the entry is settled now.
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
/// The caller owns a hold, and does not use it afterwards.
#[inline]
pub(crate) unsafe fn drop_hold(entry: NonNull<Header>) {
    // SAFETY: the caller's hold keeps the entry alive. If it was the last one, no other thread can reach the entry (rule 4).
    unsafe {
        if entry.as_ref().state.drop_hold() {
            (entry.as_ref().vtable.free)(entry);
        }
    }
}

/// A hold. Its drop gives it back.
#[derive(Debug)]
pub(crate) struct Hold(NonNull<Header>);

impl Hold {
    /// Takes over a hold that the state counts already.
    ///
    /// # Safety
    /// The caller owns that hold, and does not use it afterwards.
    pub(crate) unsafe fn adopt(entry: NonNull<Header>) -> Self {
        Self(entry)
    }

    /// Adds a hold.
    ///
    /// # Safety
    /// The entry is alive.
    pub(crate) unsafe fn new(entry: NonNull<Header>) -> Self {
        // SAFETY: the caller guarantees that the entry is alive.
        unsafe { entry.as_ref() }.state.add_hold();
        Self(entry)
    }

    /// Adds a hold. Every header is the beginning of an entry.
    pub(crate) fn of(header: &Header) -> Self {
        header.state.add_hold();
        Self(NonNull::from(header))
    }

    pub(crate) fn entry(&self) -> NonNull<Header> {
        self.0
    }

    /// Passes the hold to the caller.
    pub(crate) fn into_entry(self) -> NonNull<Header> {
        std::mem::ManuallyDrop::new(self).0
    }
}

impl Clone for Hold {
    fn clone(&self) -> Self {
        self.state.add_hold();
        Self(self.0)
    }
}

impl std::ops::Deref for Hold {
    type Target = Header;
    fn deref(&self) -> &Header {
        // SAFETY: this hold keeps the entry alive.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: this object owns a hold, and is not used after its drop.
        unsafe { drop_hold(self.0) }
    }
}

// SAFETY: a header is `Sync`, and any thread may free the entry, because values and arguments are `Send`.
unsafe impl Send for Hold {}
// SAFETY: `&Hold` gives `&Header`, and a header is `Sync`.
unsafe impl Sync for Hold {}
