//! The depot: magazines of free blocks that threads hand to each other.
//!
//! It keeps at most [`MOST`] bytes; the size classes that are wanted now take from those that were. See
//! [`block`](crate::object::block) for what a block and a magazine are, and for the rules.

use std::ptr::null_mut;

use crate::base::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::object::region;
use crate::object::region::Uncut;

/// Size classes are multiples of this, in bytes.
pub(super) const STEP: usize = 32;
pub(crate) const CLASSES: usize = 8;
/// Blocks of a magazine.
pub(crate) const ROUNDS: u32 = if cfg!(loom) { 2 } else { 128 };
/// Blocks that a thread is given at once where there are only fresh ones.
const CUT: usize = if cfg!(loom) { 2 } else { 16 };
/// The most that the depot keeps, in bytes.
const MOST: usize = if cfg!(loom) { 2 * bytes_of(CLASSES - 1) } else { 16 * 1024 * 1024 };

/// A chain of blocks.
#[derive(Clone, Copy)]
pub(crate) struct Magazine {
    first: *mut u8,
    pub(super) rounds: u32,
}

// SAFETY: its blocks are nobody else's.
unsafe impl Send for Magazine {}

impl Magazine {
    pub(crate) const EMPTY: Self = Self { first: null_mut(), rounds: 0 };

    /// A block; of the next one so many bytes will be `wanted` soon.
    #[inline]
    pub(crate) fn pop(&mut self, wanted: usize) -> Option<*mut u8> {
        if self.first.is_null() {
            return None;
        }
        let block = self.first;
        // SAFETY: a block in a chain holds the next one's address.
        self.first = unsafe { block.cast::<*mut u8>().read() };
        self.rounds -= 1;
        // The lines of those that come next are missing more often than not: another thread freed them, or it was long ago.
        // The one after the next is asked for now, so that the next one is there already.
        if !self.first.is_null() {
            // SAFETY: as above.
            let after = unsafe { self.first.cast::<*mut u8>().read() };
            crate::base::sync::prefetch_all(after, wanted);
        }
        Some(block)
    }

    #[inline]
    pub(crate) fn push(&mut self, block: *mut u8) {
        // SAFETY: a free block of at least a word.
        unsafe { block.cast::<*mut u8>().write(self.first) };
        self.first = block;
        self.rounds += 1;
    }

    pub(crate) fn free(mut self) {
        while let Some(block) = self.pop(0) {
            // SAFETY: cut from a region, and out of every chain.
            unsafe { region::give_back(block) };
        }
    }
}

/// What the depot has of a class.
struct Rack {
    stock: Mutex<Stock>,
    /// So many magazines, for a look from outside.
    count: AtomicUsize,
}

struct Stock {
    magazines: Vec<Magazine>,
    uncut: Uncut,
}

impl Rack {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self { stock: Mutex::new(Stock { magazines: Vec::new(), uncut: Uncut::NONE }), count: AtomicUsize::new(0) }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self { stock: Mutex::new(Stock { magazines: Vec::new(), uncut: Uncut::NONE }), count: AtomicUsize::new(0) }
    }

    /// Whatever panics, a chain is whole.
    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock()
    }

    fn put(&self, full: Magazine) {
        let mut stock = self.lock();
        stock.magazines.push(full);
        self.count.store(stock.magazines.len(), Ordering::Relaxed);
    }

    fn take(&self) -> Option<Magazine> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut stock = self.lock();
        let full = stock.magazines.pop();
        self.count.store(stock.magazines.len(), Ordering::Relaxed);
        full
    }

    /// Fresh blocks, the first on top.
    fn cut(&self, class: usize) -> Magazine {
        let mut stock = self.lock();
        let mut blocks = [null_mut(); CUT];
        for block in &mut blocks {
            *block = stock.uncut.cut(size_of_class(class));
        }
        drop(stock);
        let mut magazine = Magazine::EMPTY;
        for block in blocks.into_iter().rev() {
            magazine.push(block);
        }
        magazine
    }
}

/// A rack for each size class.
pub(crate) struct Depot([Rack; CLASSES]);

impl Depot {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self([const { Rack::new() }; CLASSES])
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Rack::new()))
    }

    /// One fresh block.
    pub(super) fn cut_one(&self, class: usize) -> *mut u8 {
        self.0[class].lock().uncut.cut(size_of_class(class))
    }

    /// A full magazine, or fresh blocks.
    pub(crate) fn take(&self, class: usize) -> Magazine {
        self.0[class].take().unwrap_or_else(|| self.0[class].cut(class))
    }

    /// Keeps a full magazine; one of the size that has most there makes room for it.
    pub(crate) fn put(&self, full: Magazine, class: usize) {
        debug_assert_eq!(full.rounds, ROUNDS);
        let bytes = |class: usize| self.0[class].count.load(Ordering::Relaxed) * bytes_of(class);
        if (0..CLASSES).map(bytes).sum::<usize>() + bytes_of(class) > MOST {
            let largest = (0..CLASSES).max_by_key(|class| bytes(*class)).unwrap_or(class);
            if largest == class {
                return full.free();
            }
            if let Some(former) = self.0[largest].take() {
                former.free();
            }
        }
        self.0[class].put(full);
    }
}

const fn size_of_class(class: usize) -> usize {
    (class + 1) * STEP
}

const fn bytes_of(class: usize) -> usize {
    size_of_class(class) * ROUNDS as usize
}
