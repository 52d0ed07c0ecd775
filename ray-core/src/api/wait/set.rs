//! One waiter for many entries, each registered once.
//!
//! # States and rules
//!
//! 1. Each entry has a node, which is linked in the entry's list until it fires or is unlinked. The set is on the heap and does not
//!    move. All nodes point to it.
//! 2. Firing a node writes the node's number to the next free place of `arrived`. If that makes as many as the owner waits for, the
//!    firing thread wakes the owner. Setting `done` of the node is the firing thread's last access to the set; it wakes the owner
//!    after that, because a waker may run code of the user.
//! 3. Only the owner reads `arrived`, from the front. It frees the set after every node is unlinked or done. It hands a reference
//!    out only when the node is done: the entry may be freed then, and the node could not be unlinked from it.
//! 4. No wake is lost: see [`arrivals`](crate::sched::arrivals).
//! 5. A set has room for more entries than it begins with. The owner adds an entry to a node that was not used before; an entry that
//!    is settled by then arrives at once, by the owner's own hand.
//! 6. Results come in the order in which they were settled: those that are ready when the registration ends (settled before, or
//!    arrived meanwhile) by their stamps, later ones as they arrive. So a result that is ready comes before all that become ready
//!    after it. An entry that is added counts as settled when it is added, if it was settled before.

use std::cell::{Cell, OnceCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::Thread;

use parking_lot::Mutex;

use crate::object::entry::Header;
use crate::object::future_waiter::RegisteredSlot;
use crate::object::waiter::Waiter;
use crate::sched::arrivals::Arrivals;

/// The entries of results are prefetched so many results ahead, since another thread wrote them.
const AHEAD: usize = 4;

#[repr(C)]
struct Node {
    waiter: Waiter,
    set: Cell<*const Set>,
    /// Dangling in a node that is not used yet.
    entry: Cell<NonNull<Header>>,
    index: u32,
    linked: Cell<bool>,
}

pub(super) struct Set {
    nodes: Box<[Node]>,
    /// How many of the nodes have an entry.
    used: Cell<usize>,
    /// The numbers of the nodes plus one, in the order in which they fired.
    arrived: Box<[AtomicU32]>,
    arrivals: Arrivals,
    /// The numbers of the results that were ready when the registration ended, in order; empty until then.
    there: OnceCell<Box<[u32]>>,
    /// How many of `there` were settled before they could be linked; their nodes never fire.
    never_arrive: Cell<usize>,
    /// The thread of the owner, while it is parked.
    thread: Mutex<Option<Thread>>,
    /// The slot of the owner, if it is a stream.
    slot: OnceLock<RegisteredSlot>,
}

// SAFETY: the rules above say which thread accesses a node. Only the owner, which is one thread at a time, accesses `there`,
// `never_arrive`, `used`, `entry` and `linked`, and writes `set`; firing threads read `set`, which was written before the node was linked. All other
// fields are atomic or locked.
unsafe impl Send for Set {}
// SAFETY: firing threads access the set only by the rules above: they read `set` and `index`, which do not change after the node
// was linked, and use atomics and locks otherwise. One thread at a time is the owner and uses the cells.
unsafe impl Sync for Set {}

impl Set {
    /// A set of these entries, with room for some more: `capacity` in all, which is at least their number.
    ///
    /// # Safety
    /// The entries outlive the set.
    pub(super) unsafe fn new(entries: &[NonNull<Header>], capacity: usize) -> Arc<Self> {
        let node = |index: u32| Node {
            waiter: Waiter::new(fire),
            set: Cell::new(std::ptr::null()),
            entry: Cell::new(entries.get(index as usize).copied().unwrap_or(NonNull::dangling())),
            index,
            linked: Cell::new(false),
        };
        let set = Arc::new(Self {
            nodes: (0u32..).take(capacity).map(node).collect(),
            used: Cell::new(entries.len()),
            arrived: (0..capacity).map(|_| AtomicU32::new(0)).collect(),
            arrivals: Arrivals::new(),
            there: OnceCell::new(),
            never_arrive: Cell::new(0),
            thread: Mutex::new(None),
            slot: OnceLock::new(),
        });
        let mut there = Vec::new();
        for node in &set.nodes[..entries.len()] {
            // SAFETY: the caller guarantees that the entries outlive the set.
            if !unsafe { set.link(node) } {
                there.push(node.index);
            }
        }
        // A thread may have settled first an entry that was not linked yet, and then one that was. So the stamps decide.
        set.never_arrive.set(there.len());
        let meanwhile = set.arrivals.count();
        there.extend((0..meanwhile).map(|at| set.nodes[set.arrived(at)].index));
        if there.len() > 1 {
            // SAFETY: the caller guarantees that the entries outlive the set.
            there.sort_by_cached_key(|index| (unsafe { set.nodes[*index as usize].entry.get().as_ref() }.stamp(), *index));
        }
        let _ = set.there.set(there.into_boxed_slice());
        set
    }

    /// Links a node in the list of its entry; `false`: the entry is settled, so the node never fires.
    ///
    /// # Safety
    /// The entry outlives the set.
    unsafe fn link(&self, node: &Node) -> bool {
        node.set.set(self);
        node.linked.set(true);
        // SAFETY: the caller guarantees that the entry outlives the set; the node stays in the set's heap memory until it is unlinked
        // or done.
        let linked = unsafe { node.entry.get().as_ref().link(node.place()) }.is_ok();
        node.linked.set(linked);
        linked
    }

    /// Adds an entry under the next number; `false`: no node is left.
    ///
    /// # Safety
    /// The entry outlives the set, and the caller is its owner.
    pub(super) unsafe fn add(&self, entry: NonNull<Header>) -> bool {
        let Some(node) = self.nodes.get(self.used.get()) else { return false };
        self.used.set(self.used.get() + 1);
        node.entry.set(entry);
        // SAFETY: the caller guarantees that the entry outlives the set.
        if !unsafe { self.link(node) } {
            // The owner does not wait now, so there is nothing to wake.
            self.push(node.index);
        }
        true
    }

    /// The number of results that are ready, including those that were handed out.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.arrivals.count() + self.never_arrive.get()
    }

    /// Enters the number of a node that fires. `true`: the caller wakes the owner.
    fn push(&self, index: u32) -> bool {
        let arrival = self.arrivals.arrive();
        self.arrived[arrival.place].store(index + 1, Ordering::Release);
        arrival.wakes
    }

    /// The number of the node that arrived as the `at`-th.
    fn arrived(&self, at: usize) -> usize {
        let mut turn = 0;
        loop {
            match self.arrived[at].load(Ordering::Acquire) {
                // The firing thread has reserved the place but has not written it yet.
                0 => crate::base::sync::spin(&mut turn),
                index => return index as usize - 1,
            }
        }
    }

    /// The number of the result that became ready as the `at`-th; `at` is below the count. The firing thread is done with its node,
    /// so the owner may drop the reference.
    pub(super) fn index(&self, at: usize) -> usize {
        let there = self.there.get().map_or(&[][..], |there| there);
        let index = match there.get(at) {
            Some(index) => *index as usize,
            None => self.arrived(at - self.never_arrive.get()),
        };
        let soon = match there.get(at + AHEAD) {
            Some(soon) => *soon as usize,
            // 0 means that none has arrived there; minus 1 it is no valid index.
            None => self
                .arrived
                .get(at + AHEAD - self.never_arrive.get())
                .map_or(usize::MAX, |soon| (soon.load(Ordering::Relaxed) as usize).wrapping_sub(1)),
        };
        if let Some(soon) = self.nodes.get(soon) {
            crate::base::sync::prefetch(soon.entry.get().as_ptr());
        }
        let node = &self.nodes[index];
        let mut turn = 0;
        while node.linked.get() && !node.waiter.is_done() {
            crate::base::sync::spin(&mut turn);
        }
        index
    }

    fn arm(&self, need: usize) {
        // The owner checks the count again before it parks, so the result is not needed.
        let _ = self.arrivals.arm(need.saturating_sub(self.never_arrive.get()));
    }

    /// Unparks this thread when `need` results are ready.
    pub(super) fn arm_thread(&self, need: usize) {
        *self.thread.lock() = Some(std::thread::current());
        self.arm(need);
    }

    /// Wakes `waker` when `need` results are ready, or when the engine with this epoch ends.
    pub(super) fn arm_task(&self, need: usize, waker: &Waker, epoch: u32) {
        self.slot.get_or_init(|| RegisteredSlot::new(epoch)).slot().set(waker);
        self.arm(need);
    }

    pub(super) fn disarm(&self) {
        self.arrivals.disarm();
        *self.thread.lock() = None;
        if let Some(slot) = self.slot.get() {
            slot.slot().clear();
        }
    }
}

impl Node {
    fn place(&self) -> *mut Waiter {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    // SAFETY: the waiter is the first field of a `Node`. The node and its set exist until `done` is set (rule 3), which happens
    // last here.
    let (thread, slot) = unsafe {
        let node = &*node.cast::<Node>();
        let set = &*node.set.get();
        let woken = if set.push(node.index) {
            (set.thread.lock().clone(), set.slot.get().map(|known| Arc::clone(known.slot())))
        } else {
            (None, None)
        };
        node.waiter.done.store(true, Ordering::Release);
        woken
    };
    if let Some(thread) = thread {
        thread.unpark();
    }
    if let Some(slot) = slot {
        slot.wake();
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        for node in &self.nodes {
            if node.linked.get() && !node.waiter.is_done() {
                // SAFETY: the entries outlive the set. The node was linked by the set, and is unlinked once, here.
                unsafe { node.entry.get().as_ref().unlink(node.place()) };
            }
        }
    }
}

/// Whether an entry occurs twice. Entries that were made one after the other are often sorted by address already, so the sort is
/// fast.
pub(super) fn has_duplicates(entries: &[NonNull<Header>]) -> bool {
    let mut sorted = entries.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}
