//! A [`FutureWaiter`] is a waiter in the list of an entry; it wakes a future when the object is settled, or when the engine is shut
//! down. The waker of the future is in its [`WakerSlot`].
//!
//! # Rules
//!
//! 1. A future makes its waiter when it is polled and its object is not settled, links it in the entry's list, and gives it
//!    up when it has ended or is dropped. Then neither the list nor the registry has the waiter any more.
//! 2. A future waiter is reference-counted: by its future, by the list while it is linked (the thread that fires or unlinks it
//!    drops that count), and by the registry, where a shutdown finds it. The future takes it out of the registry.
//! 3. The waker is user code, which may panic, block, or call the engine: it is cloned, woken and dropped while no lock is held,
//!    and neither the settling thread nor a shutdown sees its panics.
//! 4. No wake-up is lost. A wake takes the waker out under the lock of the slot. A future that sets another waker looks at its
//!    object (and its engine) afterwards: either it finds them settled (ended), or the wake comes later and finds the waker.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

use crate::base::sync::Mutex;
use crate::object::entry::Header;
use crate::object::state::Phase;
use crate::object::waiter::Waiter;

/// Holds the waker of a future, and wakes it once.
#[derive(Debug)]
pub(crate) struct WakerSlot(Mutex<Option<Waker>>);

impl WakerSlot {
    pub(crate) fn new(waker: Option<Waker>) -> Self {
        Self(Mutex::new(waker))
    }

    /// Replaces the waker. `true`: the new waker wakes the same task as the old one, which is kept.
    pub(crate) fn set(&self, waker: &Waker) -> bool {
        if self.0.lock().as_ref().is_some_and(|known| known.will_wake(waker)) {
            return true;
        }
        let waker = waker.clone();
        let former = self.0.lock().replace(waker);
        crate::base::users_code::quietly(|| drop(former));
        false
    }

    /// Wakes the future, if it has set a waker since the last wake.
    pub(crate) fn wake(&self) {
        let waker = self.0.lock().take();
        if let Some(waker) = waker {
            crate::base::users_code::quietly(|| waker.wake());
        }
    }

    /// Drops the waker.
    pub(crate) fn clear(&self) {
        let waker = self.0.lock().take();
        if waker.is_some() {
            crate::base::users_code::quietly(|| drop(waker));
        }
    }
}

/// The waiter of a future in the list of an entry.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct FutureWaiter {
    waiter: Waiter,
    slot: WakerSlot,
    /// The entry in whose list it is linked.
    entry: NonNull<Header>,
    /// Its place in the registry. Only the future accesses it.
    place: Cell<Place>,
}

// SAFETY: the node is accessed under the lock of its entry, or by the thread that fires it; the place only by the future, which
// one thread has at a time; a slot is Sync.
unsafe impl Send for FutureWaiter {}
// SAFETY: threads that share the waiter access the node and the place under the same rules.
unsafe impl Sync for FutureWaiter {}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    // SAFETY: the node is the first field of a future waiter, whose count for the list `link` has turned into this pointer; it is
    // fired once.
    let waiter = unsafe { Arc::from_raw(node.cast_const().cast::<FutureWaiter>()) };
    waiter.slot.wake();
}

impl FutureWaiter {
    fn node(this: &Arc<Self>) -> *mut Waiter {
        Arc::as_ptr(this).cast_mut().cast()
    }

    /// Links a new waiter in the list of the entry, unless the entry is settled.
    ///
    /// # Errors
    /// The phase in which the entry is settled.
    pub(crate) fn link(entry: &Header, waker: Waker) -> Result<Arc<Self>, Phase> {
        let waiter = Arc::new(Self {
            waiter: Waiter::new(fire),
            slot: WakerSlot::new(Some(waker)),
            entry: NonNull::from(entry),
            place: Cell::new(Place { shard: 0, slot: 0 }),
        });
        // SAFETY: the list gets a count of its own, which keeps the node alive until it is fired or unlinked; if it is not linked,
        // that count is dropped here.
        unsafe {
            let node = Arc::into_raw(Arc::clone(&waiter));
            match entry.link(Self::node(&waiter)) {
                Ok(()) => Ok(waiter),
                Err(phase) => {
                    drop(Arc::from_raw(node));
                    waiter.slot.clear();
                    Err(phase)
                }
            }
        }
    }

    /// Replaces the waker. `true`: it wakes the same task as before. `false`: the caller looks at the entry again (rule 4).
    pub(crate) fn set(&self, waker: &Waker) -> bool {
        self.slot.set(waker)
    }

    /// Takes the waiter out of the entry's list, and drops the waker.
    ///
    /// # Safety
    /// The waiter was linked, its entry is alive, and this is called once.
    pub(crate) unsafe fn give_up(this: &Arc<Self>) {
        // SAFETY: the caller guarantees that the node was linked in that entry, which is alive. If this call unlinks it, the list's
        // count is ours to drop; if the entry was settled first, the firing thread drops it.
        unsafe {
            let node = Self::node(this);
            if this.entry.as_ref().try_unlink(node) {
                drop(Arc::from_raw(node.cast_const().cast::<Self>()));
            }
        }
        this.slot.clear();
    }
}

/// The lowest bit of an armed [`Target`].
const ARMED: usize = 1;

/// The target of a reference, in one word: the address of an entry or, marked by the lowest bit, the address of a future waiter in
/// the entry's list. Only `&mut self` changes it. It owns the waiter, which the owner gives up with [`disarm`](Self::disarm); it
/// does not own the entry.
pub(crate) struct Target(NonNull<Header>);

impl Target {
    #[inline]
    pub(crate) fn new(entry: NonNull<Header>) -> Self {
        // SAFETY: a header is aligned to eight bytes. With this assumption the compiler removes the check for a future waiter where
        // a target is made and used in one function.
        unsafe { std::hint::assert_unchecked(entry.addr().get() & ARMED == 0) };
        Self(entry)
    }

    /// The entry; gives up the waiter, if there is one.
    #[inline]
    pub(crate) fn into_entry(mut self) -> NonNull<Header> {
        if self.is_armed() { self.give_up() } else { self.0 }
    }

    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        self.0.addr().get() & ARMED != 0
    }

    #[inline]
    pub(crate) fn entry(&self) -> NonNull<Header> {
        if self.is_armed() { self.armed_entry() } else { self.0 }
    }

    #[cold]
    fn armed_entry(&self) -> NonNull<Header> {
        // SAFETY: the target is armed, so the address is that of a future waiter, of which it owns a count.
        unsafe { (*self.waiter()).entry }
    }

    fn waiter(&self) -> *const FutureWaiter {
        self.0.as_ptr().map_addr(|address| address & !ARMED).cast_const().cast()
    }

    /// Arranges that `waker` is woken when the entry is settled or its engine is shut down. `true`: that waker was set before, so
    /// the caller may wait. `false`: the caller looks at the entry, and at its engine, before it waits (rule 4).
    ///
    /// # Safety
    /// The entry is alive until this is disarmed.
    pub(crate) unsafe fn arm(&mut self, waker: &Waker) -> bool {
        if self.is_armed() {
            // SAFETY: the target is armed, so the address is that of a future waiter, of which it owns a count.
            return unsafe { (*self.waiter()).set(waker) };
        }
        // SAFETY: the caller guarantees that the entry is alive.
        let entry = unsafe { self.0.as_ref() };
        if let Ok(waiter) = FutureWaiter::link(entry, waker.clone()) {
            waiter.place.set(registry::enter(entry.epoch, Registered::FutureWaiter(Arc::clone(&waiter))));
            let address = Arc::into_raw(waiter).cast_mut().map_addr(|address| address | ARMED);
            // SAFETY: the pointer of an `Arc` is not null, and the mark only adds a bit.
            self.0 = unsafe { NonNull::new_unchecked(address.cast()) };
        }
        false
    }

    /// Gives up the waiter, if there is one.
    #[inline]
    pub(crate) fn disarm(&mut self) {
        if self.is_armed() {
            self.give_up();
        }
    }

    #[cold]
    fn give_up(&mut self) -> NonNull<Header> {
        // SAFETY: the target is armed, so the address is that of a future waiter, of which it owns a count. It was linked in an
        // entry that is alive until the target is disarmed (see `arm`), which happens once, here.
        unsafe {
            let waiter = Arc::from_raw(self.waiter());
            self.0 = waiter.entry;
            registry::leave(waiter.place.get());
            FutureWaiter::give_up(&waiter);
        }
        self.0
    }
}

/// A slot that is in no entry's list. A shutdown wakes its future.
#[derive(Debug)]
pub(crate) struct RegisteredSlot {
    slot: Arc<WakerSlot>,
    place: Place,
}

impl RegisteredSlot {
    pub(crate) fn new(epoch: u32) -> Self {
        let slot = Arc::new(WakerSlot::new(None));
        let place = registry::enter(epoch, Registered::WakerSlot(Arc::clone(&slot)));
        Self { slot, place }
    }

    pub(crate) fn slot(&self) -> &Arc<WakerSlot> {
        &self.slot
    }
}

impl Drop for RegisteredSlot {
    fn drop(&mut self) {
        registry::leave(self.place);
        self.slot.clear();
    }
}

/// What a shutdown wakes.
#[derive(Debug)]
enum Registered {
    FutureWaiter(Arc<FutureWaiter>),
    WakerSlot(Arc<WakerSlot>),
}

/// A place in the registry.
#[derive(Clone, Copy, Debug)]
struct Place {
    shard: u32,
    slot: u32,
}

/// Wakes every future that waits for an object of that engine, which was shut down.
pub(crate) fn wake_all(epoch: u32) {
    for registered in registry::drain(epoch) {
        match registered {
            Registered::FutureWaiter(waiter) => waiter.slot.wake(),
            Registered::WakerSlot(slot) => slot.wake(),
        }
    }
}

/// The waiters of all engines. It is divided into shards, so that threads that await at the same time rarely wait for each other.
mod registry {
    use parking_lot::Mutex;

    use super::{Place, Registered};

    const SHARDS: usize = 16;
    /// A shard with more slots than this frees their memory when all of them are free.
    const KEPT: usize = 1024;

    /// A slot belongs to its waiter until the waiter leaves, even if a shutdown has emptied the slot.
    enum Slot {
        Free,
        Emptied,
        Used { epoch: u32, registered: Registered },
    }

    struct Shard {
        slots: Vec<Slot>,
        free: Vec<u32>,
    }

    /// On cache lines of its own.
    #[repr(align(128))]
    struct Padded(Mutex<Shard>);

    static REGISTRY: [Padded; SHARDS] = [const { Padded(Mutex::new(Shard { slots: Vec::new(), free: Vec::new() })) }; SHARDS];

    fn shard_of(registered: &Registered) -> u32 {
        let address = match registered {
            Registered::FutureWaiter(waiter) => std::sync::Arc::as_ptr(waiter).addr(),
            Registered::WakerSlot(slot) => std::sync::Arc::as_ptr(slot).addr(),
        };
        // Future waiters in one page usually belong to one thread.
        ((address >> 12) % SHARDS) as u32
    }

    pub(super) fn enter(epoch: u32, registered: Registered) -> Place {
        let number = shard_of(&registered);
        let mut shard = REGISTRY[number as usize].0.lock();
        let used = Slot::Used { epoch, registered };
        let slot = if let Some(slot) = shard.free.pop() {
            shard.slots[slot as usize] = used;
            slot
        } else {
            shard.slots.push(used);
            u32::try_from(shard.slots.len() - 1).expect("fewer than 2^32 futures wait")
        };
        Place { shard: number, slot }
    }

    pub(super) fn leave(place: Place) {
        let former = {
            let mut shard = REGISTRY[place.shard as usize].0.lock();
            let former = std::mem::replace(&mut shard.slots[place.slot as usize], Slot::Free);
            shard.free.push(place.slot);
            if shard.free.len() == shard.slots.len() && shard.slots.len() > KEPT {
                *shard = Shard { slots: Vec::new(), free: Vec::new() };
            }
            former
        };
        drop(former);
    }

    /// Takes out the waiters of one engine. They keep their slots.
    pub(super) fn drain(epoch: u32) -> Vec<Registered> {
        let mut found = Vec::new();
        for shard in &REGISTRY {
            for slot in &mut shard.0.lock().slots {
                if matches!(slot, Slot::Used { epoch: own, .. } if *own == epoch)
                    && let Slot::Used { registered, .. } = std::mem::replace(slot, Slot::Emptied)
                {
                    found.push(registered);
                }
            }
        }
        found
    }
}
