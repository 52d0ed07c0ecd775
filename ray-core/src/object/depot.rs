//! The depot: full magazines of free blocks, which threads exchange.
//!
//! It keeps at most [`MAX_BYTES`] bytes. A size class that needs more room takes it from the class that has most. See
//! [`block`](crate::object::block) for blocks, magazines and the rules.

use std::ptr::null_mut;

use crate::base::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::object::region;
use crate::object::region::Uncut;

/// Size classes are multiples of this, in bytes.
pub(super) const STEP: usize = 32;
/// The number of size classes. Larger values are allocated by the general allocator.
pub(crate) const CLASSES: usize = 8;
/// The number of blocks in a full magazine.
pub(crate) const ROUNDS: u32 = if cfg!(loom) { 2 } else { 128 };
/// How many blocks are cut for a thread at once if the depot has no magazine.
const FRESH: usize = if cfg!(loom) { 2 } else { 16 };
/// How many bytes the depot keeps at most.
const MAX_BYTES: usize = if cfg!(loom) { 2 * bytes_of(CLASSES - 1) } else { 16 * 1024 * 1024 };

/// A chain of free blocks. The first word of each has the address of the next.
#[derive(Clone, Copy)]
pub(crate) struct Magazine {
    first: *mut u8,
    pub(super) rounds: u32,
}

// SAFETY: the blocks of a chain belong to the magazine alone, and any thread may use them.
unsafe impl Send for Magazine {}

impl Magazine {
    pub(crate) const EMPTY: Self = Self { first: null_mut(), rounds: 0 };

    /// Takes a block out. Prefetches `wanted` bytes of the block after the next one, for a later call.
    #[inline]
    pub(crate) fn pop(&mut self, wanted: usize) -> Option<*mut u8> {
        if self.first.is_null() {
            return None;
        }
        let block = self.first;
        // SAFETY: the first word of a block in a chain has the address of the next one, and the chain belongs to this magazine.
        self.first = unsafe { block.cast::<*mut u8>().read() };
        self.rounds -= 1;
        // The blocks of a chain are usually not in the processor's cache, because another thread has freed them, or because it was
        // long ago. The block after the next one is prefetched now, as the next one was by the call before.
        if !self.first.is_null() {
            // SAFETY: `self.first` is a block in this chain, so its first word has the address of the next one.
            let after = unsafe { self.first.cast::<*mut u8>().read() };
            crate::base::sync::prefetch_all(after, wanted);
        }
        Some(block)
    }

    /// Puts a free block into the chain.
    #[inline]
    pub(crate) fn push(&mut self, block: *mut u8) {
        // SAFETY: the block is free, so its memory may be written, and has at least one word.
        unsafe { block.cast::<*mut u8>().write(self.first) };
        self.first = block;
        self.rounds += 1;
    }

    /// Gives all blocks back to their regions.
    pub(crate) fn free(mut self) {
        while let Some(block) = self.pop(0) {
            // SAFETY: the blocks of a chain were cut from regions and are free; this one is in no chain any more.
            unsafe { region::give_back(block) };
        }
    }
}

/// The depot's part of one size class.
struct ClassDepot {
    stock: Mutex<Stock>,
    /// The number of magazines, which other threads read without the lock.
    count: AtomicUsize,
}

struct Stock {
    magazines: Vec<Magazine>,
    uncut: Uncut,
}

impl ClassDepot {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Self { stock: Mutex::new(Stock { magazines: Vec::new(), uncut: Uncut::NONE }), count: AtomicUsize::new(0) }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Self { stock: Mutex::new(Stock { magazines: Vec::new(), uncut: Uncut::NONE }), count: AtomicUsize::new(0) }
    }

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

    /// Cuts fresh blocks. The first one is taken out first, so that blocks are used in the order of addresses.
    fn cut(&self, class: usize) -> Magazine {
        let mut stock = self.lock();
        let mut blocks = [null_mut(); FRESH];
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

/// The depot, by size classes.
pub(crate) struct Depot([ClassDepot; CLASSES]);

impl Depot {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self([const { ClassDepot::new() }; CLASSES])
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| ClassDepot::new()))
    }

    /// Cuts one fresh block.
    pub(super) fn cut_one(&self, class: usize) -> *mut u8 {
        self.0[class].lock().uncut.cut(size_of_class(class))
    }

    /// A full magazine, or a magazine of a few fresh blocks.
    pub(crate) fn take(&self, class: usize) -> Magazine {
        self.0[class].take().unwrap_or_else(|| self.0[class].cut(class))
    }

    /// Keeps a full magazine. If the depot is full, a magazine of the class with most bytes is freed for it.
    pub(crate) fn put(&self, full: Magazine, class: usize) {
        debug_assert_eq!(full.rounds, ROUNDS);
        let bytes = |class: usize| self.0[class].count.load(Ordering::Relaxed) * bytes_of(class);
        if (0..CLASSES).map(bytes).sum::<usize>() + bytes_of(class) > MAX_BYTES {
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
