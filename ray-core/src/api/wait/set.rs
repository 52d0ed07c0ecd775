//! One waiter for many entries, registered once.
//!
//! # States and rules
//!
//! 1. Each entry has a node, linked in the entry's list until it fires or is unlinked; the set lives on the heap and
//!    does not move, and all that reach it share it.
//! 2. Firing a node writes its number at the next free place of `arrived` and, if that makes as many as the owner waits
//!    for, wakes the owner. Setting the node's `done` is the firing thread's last touch of the set: the owner is woken after
//!    that, since waking may run the user's code.
//! 3. The owner alone reads `arrived`, from the front, and frees the set after every node is unlinked or done. It hands a
//!    reference out when its node is done, no sooner: the entry may be freed then, and could not be unlinked from.
//! 4. No wake is lost: see [`arrivals`](crate::sched::arrivals).
//! 5. Results come in the order in which they were settled: those that are there when the registration ends (found settled,
//!    or arrived meanwhile) by their stamps, later ones as they arrive. So what has been ready for longer comes first, and
//!    a result that is ready is not passed over by those that become ready after it.

use std::cell::{Cell, OnceCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::Thread;

use parking_lot::Mutex;

use crate::object::alarm::KnownBell;
use crate::object::entry::Header;
use crate::object::waiter::Waiter;
use crate::sched::arrivals::Arrivals;

/// So many results ahead the entries are asked for: another thread wrote them.
const AHEAD: usize = 4;

#[repr(C)]
struct Node {
    waiter: Waiter,
    set: Cell<*const Set>,
    entry: NonNull<Header>,
    index: u32,
    linked: Cell<bool>,
}

pub(super) struct Set {
    nodes: Box<[Node]>,
    /// Numbers, plus one, in the order in which nodes fired.
    arrived: Box<[AtomicU32]>,
    arrivals: Arrivals,
    /// What was there when the registration ended, in order; empty until then.
    there: OnceCell<Box<[u32]>>,
    /// Of `there`, those whose entries were settled before they could be linked: they never arrive.
    never_arrive: Cell<usize>,
    /// The owner, while it is parked.
    thread: Mutex<Option<Thread>>,
    /// The owner, if it is a stream.
    bell: OnceLock<KnownBell>,
}

// SAFETY: the nodes are touched by the rules above. `there`, `never_arrive`, `set` and `linked` are the owner's, which one thread is at a
// time; firing threads only read `set`, written before its node was linked. The rest is atomic or locked.
unsafe impl Send for Set {}
// SAFETY: as above.
unsafe impl Sync for Set {}

impl Set {
    /// # Safety
    /// The entries outlive the set.
    pub(super) unsafe fn new(entries: &[NonNull<Header>]) -> Arc<Self> {
        let node = |(entry, index): (&NonNull<Header>, u32)| Node {
            waiter: Waiter::new(fire),
            set: Cell::new(std::ptr::null()),
            entry: *entry,
            index,
            linked: Cell::new(false),
        };
        let set = Arc::new(Self {
            nodes: entries.iter().zip(0u32..).map(node).collect(),
            arrived: entries.iter().map(|_| AtomicU32::new(0)).collect(),
            arrivals: Arrivals::new(),
            there: OnceCell::new(),
            never_arrive: Cell::new(0),
            thread: Mutex::new(None),
            bell: OnceLock::new(),
        });
        let mut there = Vec::new();
        for node in &set.nodes {
            node.set.set(Arc::as_ptr(&set));
            node.linked.set(true);
            // SAFETY: the entries outlive the set, and the set its nodes' places in the lists.
            if unsafe { node.entry.as_ref().link(node.place()) }.is_err() {
                node.linked.set(false);
                there.push(node.index);
            }
        }
        // One thread may have settled an entry that was not linked yet, and then one that was.
        set.never_arrive.set(there.len());
        let meanwhile = set.arrivals.count();
        there.extend((0..meanwhile).map(|at| set.nodes[set.arrived(at)].index));
        if there.len() > 1 {
            // SAFETY: the entries outlive the set.
            there.sort_by_cached_key(|index| (unsafe { set.nodes[*index as usize].entry.as_ref() }.stamp(), *index));
        }
        let _ = set.there.set(there.into_boxed_slice());
        set
    }

    /// How many are there, handed out ones included.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.arrivals.count() + self.never_arrive.get()
    }

    /// `true`: the owner is to be woken.
    fn push(&self, index: u32) -> bool {
        let arrival = self.arrivals.arrive();
        self.arrived[arrival.place].store(index + 1, Ordering::Release);
        arrival.wakes
    }

    /// The number of the `at`-th that arrived.
    fn arrived(&self, at: usize) -> usize {
        let mut turn = 0;
        loop {
            match self.arrived[at].load(Ordering::Acquire) {
                // Its firing thread has the place but has not written yet.
                0 => crate::base::sync::spin(&mut turn),
                index => return index as usize - 1,
            }
        }
    }

    /// The number of the `at`-th that became ready; `at` is below the count. Its node is let go of: its reference may go.
    pub(super) fn index(&self, at: usize) -> usize {
        let there = self.there.get().map_or(&[][..], |there| there);
        let index = match there.get(at) {
            Some(index) => *index as usize,
            None => self.arrived(at - self.never_arrive.get()),
        };
        let soon = match there.get(at + AHEAD) {
            Some(soon) => *soon as usize,
            // 0 is one that has not arrived, and no index when 1 is taken off.
            None => self
                .arrived
                .get(at + AHEAD - self.never_arrive.get())
                .map_or(usize::MAX, |soon| (soon.load(Ordering::Relaxed) as usize).wrapping_sub(1)),
        };
        if let Some(soon) = self.nodes.get(soon) {
            crate::base::sync::prefetch(soon.entry.as_ptr());
        }
        let node = &self.nodes[index];
        let mut turn = 0;
        while node.linked.get() && !node.waiter.is_done() {
            crate::base::sync::spin(&mut turn);
        }
        index
    }

    fn alert(&self, need: usize) {
        // The owner looks at the count again before it sleeps.
        let _ = self.arrivals.alert(need.saturating_sub(self.never_arrive.get()));
    }

    /// Has this thread unparked when `need` are there.
    pub(super) fn alert_thread(&self, need: usize) {
        *self.thread.lock() = Some(std::thread::current());
        self.alert(need);
    }

    /// Has `waker` woken when `need` are there, or when the engine of that number ends.
    pub(super) fn alert_task(&self, need: usize, waker: &Waker, epoch: u32) {
        self.bell.get_or_init(|| KnownBell::new(epoch)).bell().set(waker);
        self.alert(need);
    }

    pub(super) fn calm(&self) {
        self.arrivals.calm();
        *self.thread.lock() = None;
        if let Some(bell) = self.bell.get() {
            bell.bell().silence();
        }
    }
}

impl Node {
    fn place(&self) -> *mut Waiter {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    // SAFETY: the first field of a node; the set lives until `done` (rule 3).
    let (thread, bell) = unsafe {
        let node = &*node.cast::<Node>();
        let set = &*node.set.get();
        let woken = if set.push(node.index) {
            (set.thread.lock().clone(), set.bell.get().map(|known| Arc::clone(known.bell())))
        } else {
            (None, None)
        };
        node.waiter.done.store(true, Ordering::Release);
        woken
    };
    if let Some(thread) = thread {
        thread.unpark();
    }
    if let Some(bell) = bell {
        bell.ring();
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        for node in &self.nodes {
            if node.linked.get() && !node.waiter.is_done() {
                // SAFETY: the entries outlive the set, and linked nodes are ours to unlink.
                unsafe { node.entry.as_ref().unlink(node.place()) };
            }
        }
    }
}

/// Whether an entry stands there twice. Entries that were made one after the other often lie in the order of their addresses,
/// which sorts fast.
pub(super) fn has_duplicates(entries: &[NonNull<Header>]) -> bool {
    let mut sorted = entries.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}
