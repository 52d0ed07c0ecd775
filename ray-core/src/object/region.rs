//! Regions: memory from which adjacent blocks of one size are cut.
//!
//! The blocks of a general allocator lie in the holes that earlier users have left, so in a program that has run for some time
//! they are spread over many pages, and each access may miss the TLB. Blocks of a region are adjacent, and need no header each.
//!
//! # State and rules
//!
//! 1. A region has [`SIZE`] bytes and the same alignment, so that the address of a block gives that of its region.
//! 2. `out` counts the blocks of a region that were not given back, including those that were not cut yet. The thread that
//!    decrements it to zero frees the region.
//! 3. The uncut part of a region belongs to one [`Uncut`].

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::null_mut;

use crate::base::sync::{AtomicU32, Ordering};

/// Bytes of a region.
const SIZE: usize = if cfg!(loom) { 1024 } else { 256 * 1024 };

const LAYOUT: Layout = match Layout::from_size_align(SIZE, SIZE) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two is a valid alignment"),
};

/// The beginning of a region. It takes a cache line, so that blocks whose size is a multiple of a line are aligned to lines.
#[repr(C, align(64))]
struct Region {
    out: AtomicU32,
}

/// The uncut part of the newest region of a size class.
pub(super) struct Uncut {
    next: *mut u8,
    left: u32,
}

// SAFETY: the uncut memory belongs to this value alone (rule 3), and any thread may use it.
unsafe impl Send for Uncut {}

impl Uncut {
    pub(super) const NONE: Self = Self { next: null_mut(), left: 0 };

    /// Cuts the next block of `size` bytes. `size` is the same in all calls, and a multiple of 16.
    pub(super) fn cut(&mut self, size: usize) -> *mut u8 {
        if self.left == 0 {
            *self = Self::fresh(size);
        }
        let block = self.next;
        self.left -= 1;
        // SAFETY: `left` was not zero, so the result is within the region, or the end of its last block.
        self.next = unsafe { block.add(size) };
        block
    }

    #[cold]
    fn fresh(size: usize) -> Self {
        // SAFETY: the size of the layout is not zero.
        let region = unsafe { alloc(LAYOUT) }.cast::<Region>();
        if region.is_null() {
            handle_alloc_error(LAYOUT);
        }
        let blocks = ((SIZE - size_of::<Region>()) / size) as u32;
        // SAFETY: the memory was just allocated, with the size and alignment of a region, which is larger than its beginning.
        unsafe {
            region.write(Region { out: AtomicU32::new(blocks) });
            Self { next: region.add(1).cast(), left: blocks }
        }
    }
}

/// Gives a block back to its region, from any thread.
///
/// # Safety
/// The block was cut from a region, is not used any more, and is given back once.
pub(super) unsafe fn give_back(block: *mut u8) {
    let region = block.map_addr(|address| address & !(SIZE - 1)).cast::<Region>();
    // SAFETY: a region lives as long as one of its blocks is out (rule 2), and `block` is. By rule 1 the masked address is that of
    // the region. After the last block no other thread uses the region, so this thread frees it.
    unsafe {
        if (*region).out.fetch_sub(1, Ordering::AcqRel) == 1 {
            dealloc(region.cast(), LAYOUT);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_adjacent_and_any_thread_gives_them_back() {
        const BLOCK: usize = 96;
        let mut uncut = Uncut::NONE;
        let first = uncut.cut(BLOCK);
        let left = uncut.left as usize;
        // The rest of the first region, all of the second one, and the beginning of the third.
        let second = (SIZE - size_of::<Region>()) / BLOCK;
        let blocks: Vec<usize> = (0..left + second + 10).map(|_| uncut.cut(BLOCK).expose_provenance()).collect();
        for (index, block) in blocks.iter().enumerate() {
            assert_eq!(block % 16, 0);
            let begins = index == left || index == left + second;
            if index > 0 && !begins {
                assert_eq!(*block, blocks[index - 1] + BLOCK);
            }
            // SAFETY: the block of that size was cut above, and is used here only.
            unsafe { std::ptr::with_exposed_provenance_mut::<[u8; BLOCK]>(*block).write([index as u8; BLOCK]) };
        }
        let halves = blocks.split_at(blocks.len() / 2);
        std::thread::scope(|scope| {
            for half in [halves.0, halves.1] {
                scope.spawn(move || {
                    for block in half {
                        let block = std::ptr::with_exposed_provenance_mut::<u8>(*block);
                        // SAFETY: the block was written above, and is given back once.
                        unsafe {
                            assert_eq!(*block, *block.add(BLOCK - 1));
                            give_back(block);
                        }
                    }
                });
            }
        });
        // SAFETY: the block was cut above, and is given back once.
        unsafe { give_back(first) };
        assert_eq!(uncut.left as usize, second - 10);
        for _ in 0..uncut.left {
            // SAFETY: the block is cut here, and given back at once.
            unsafe { give_back(uncut.cut(BLOCK)) };
        }
    }
}
