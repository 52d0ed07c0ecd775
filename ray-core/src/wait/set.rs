//! One waiter for many entries, registered once.
//!
//! # States and rules
//!
//! 1. Each entry has a node, linked in the entry's list until it fires or is unlinked; the set lives on the heap and
//!    does not move.
//! 2. Firing a node writes its number at the next free place of `order` and, if that makes as many as the owner waits
//!    for, wakes the owner; setting the node's `done` is its last touch of the set.
//! 3. The owner alone reads `order`, from the front, and frees the set after every node is unlinked or done. It hands a
//!    reference out when its node is done, no sooner: the entry may be freed then, and could not be unlinked from.
//! 4. No wake is lost: see [`arrivals`](super::arrivals).

use parking_lot::Mutex;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use super::arrivals::Arrivals;
use crate::store::entry::Header;
use crate::store::waiter::Waiter;

/// So many results ahead the entries are asked for: another thread wrote them.
const AHEAD: usize = 4;

#[repr(C)]
struct Node {
    waiter: Waiter,
    set: *const Set,
    entry: NonNull<Header>,
    index: u32,
    linked: Cell<bool>,
}

pub(super) struct Set {
    nodes: Box<[Node]>,
    order: Box<[AtomicU32]>,
    arrivals: Arrivals,
    owner: Mutex<Option<Waker>>,
}

impl Set {
    /// # Safety
    /// The entries outlive the set.
    pub(super) unsafe fn new(entries: &[NonNull<Header>]) -> Box<Self> {
        let nodes = entries
            .iter()
            .zip(0u32..)
            .map(|(entry, index)| Node {
                waiter: Waiter::new(fire),
                set: std::ptr::null(),
                entry: *entry,
                index,
                linked: Cell::new(false),
            })
            .collect();
        let mut set = Box::new(Self {
            nodes,
            order: entries.iter().map(|_| AtomicU32::new(0)).collect(),
            arrivals: Arrivals::new(),
            owner: Mutex::new(None),
        });
        let place: *const Self = &raw const *set;
        let nodes: *mut Node = set.nodes.as_mut_ptr();
        for at in 0..entries.len() {
            // SAFETY: within the slice. From the first link on other threads reach the set, through `place` and the
            // nodes only, and every field they touch is atomic, locked, or read-only.
            unsafe {
                let node = nodes.add(at);
                (*node).set = place;
                (*node).linked.set(true);
                if (*node).entry.as_ref().link(node.cast()).is_err() {
                    (*node).linked.set(false);
                    (*place).push((*node).index);
                }
            }
        }
        set
    }

    /// How many are there, handed out ones included.
    pub(super) fn count(&self) -> usize {
        self.arrivals.count()
    }

    /// `true`: the owner is to be woken.
    fn push(&self, index: u32) -> bool {
        let arrival = self.arrivals.arrive();
        self.order[arrival.place].store(index + 1, Ordering::Release);
        arrival.wakes
    }

    /// The number of the `at`-th that became ready; `at` is below the count. Its node is let go of: its reference may go.
    pub(super) fn index(&self, at: usize) -> usize {
        let mut turn = 0;
        let index = loop {
            match self.order[at].load(Ordering::Acquire) {
                // Its firer has the place but has not written yet.
                0 => crate::sync::spin(&mut turn),
                index => break index as usize - 1,
            }
        };
        if let Some(soon) = self.order.get(at + AHEAD).map(|soon| soon.load(Ordering::Relaxed))
            && let Some(soon) = self.nodes.get((soon as usize).wrapping_sub(1))
        {
            crate::sync::prefetch(soon.entry.as_ptr());
        }
        let node = &self.nodes[index];
        while node.linked.get() && !node.waiter.is_done() {
            crate::sync::spin(&mut turn);
        }
        index
    }

    /// Has `waker` woken when `need` are there.
    pub(super) fn alert(&self, need: usize, waker: Waker) {
        *self.owner.lock() = Some(waker);
        // The owner looks at the count again before it sleeps.
        let _ = self.arrivals.alert(need);
    }

    pub(super) fn calm(&self) {
        self.arrivals.calm();
        *self.owner.lock() = None;
    }
}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    // SAFETY: the first field of a node; the set lives until `done` (rule 3).
    unsafe {
        let node = node.cast::<Node>();
        let set = &*(*node).set;
        if set.push((*node).index) {
            let owner = set.owner.lock().clone();
            if let Some(owner) = owner {
                owner.wake();
            }
        }
        (*node).waiter.done.store(true, Ordering::Release);
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let nodes = self.nodes.as_mut_ptr();
        for at in 0..self.nodes.len() {
            // SAFETY: the entries outlive the set, and linked nodes are ours to unlink.
            unsafe {
                let node = nodes.add(at);
                if (*node).linked.get() && !(*node).waiter.is_done() {
                    (*node).entry.as_ref().unlink(node.cast());
                }
            }
        }
    }
}

/// Whether an entry stands there twice.
pub(super) fn has_duplicates(entries: &[NonNull<Header>]) -> bool {
    let size = (entries.len() * 2).next_power_of_two();
    let mut table: Vec<usize> = vec![0; size];
    for entry in entries {
        let address = entry.as_ptr().addr();
        let mut at = (address >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20 & (size - 1);
        while table[at] != 0 {
            if table[at] == address {
                return true;
            }
            at = (at + 1) & (size - 1);
        }
        table[at] = address;
    }
    false
}
