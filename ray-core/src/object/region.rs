//! Regions: memory from which blocks of one size are cut, one beside the other.
//!
//! Blocks that a general allocator gives lie wherever earlier users have left holes; a program that has been busy before
//! then pays for a page's address at each of them. Cut from a region they lie together, and need no header each.
//!
//! # State and rules
//!
//! 1. A region is [`SIZE`] bytes, aligned to as many, so that a block's address tells its region's.
//! 2. `out` counts the blocks of a region that have not been given back, those not cut yet included. Who brings it to
//!    nought frees the region.
//! 3. What is not cut yet belongs to one [`Uncut`].

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::null_mut;

use crate::base::sync::{AtomicU32, Ordering};

/// Bytes of a region.
const SIZE: usize = if cfg!(loom) { 1024 } else { 256 * 1024 };

const LAYOUT: Layout = match Layout::from_size_align(SIZE, SIZE) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two is a valid alignment"),
};

/// What a region begins with; a cache line, so that blocks of whole lines are whole lines.
#[repr(C, align(64))]
struct Region {
    out: AtomicU32,
}

/// The part of the newest region that is not cut yet.
pub(super) struct Uncut {
    next: *mut u8,
    left: u32,
}

// SAFETY: nobody else has what is not cut.
unsafe impl Send for Uncut {}

impl Uncut {
    pub(super) const NONE: Self = Self { next: null_mut(), left: 0 };

    /// The next block of `size` bytes, the same at each call; 16 divides it.
    pub(super) fn cut(&mut self, size: usize) -> *mut u8 {
        if self.left == 0 {
            *self = Self::fresh(size);
        }
        let block = self.next;
        self.left -= 1;
        // SAFETY: within the region, or one past its last block.
        self.next = unsafe { block.add(size) };
        block
    }

    #[cold]
    fn fresh(size: usize) -> Self {
        // SAFETY: the layout's size is not zero.
        let region = unsafe { alloc(LAYOUT) }.cast::<Region>();
        if region.is_null() {
            handle_alloc_error(LAYOUT);
        }
        let blocks = ((SIZE - size_of::<Region>()) / size) as u32;
        // SAFETY: fresh memory of that size and alignment.
        unsafe {
            region.write(Region { out: AtomicU32::new(blocks) });
            Self { next: region.add(1).cast(), left: blocks }
        }
    }
}

/// Gives a block back.
///
/// # Safety
/// It was cut from a region, nobody uses it any more, and it is given back once.
pub(super) unsafe fn give_back(block: *mut u8) {
    let region = block.map_addr(|address| address & !(SIZE - 1)).cast::<Region>();
    // SAFETY: the region is there as long as blocks of it are out, and `block` is.
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
    fn blocks_lie_side_by_side_and_go_back_from_anywhere() {
        const BLOCK: usize = 96;
        let mut uncut = Uncut::NONE;
        let first = uncut.cut(BLOCK);
        let left = uncut.left as usize;
        // The rest of the first region, a whole second one, and the beginning of a third.
        let second = (SIZE - size_of::<Region>()) / BLOCK;
        let blocks: Vec<usize> = (0..left + second + 10).map(|_| uncut.cut(BLOCK).expose_provenance()).collect();
        for (index, block) in blocks.iter().enumerate() {
            assert_eq!(block % 16, 0);
            let begins = index == left || index == left + second;
            if index > 0 && !begins {
                assert_eq!(*block, blocks[index - 1] + BLOCK);
            }
            // SAFETY: a block of that size, cut above.
            unsafe { std::ptr::with_exposed_provenance_mut::<[u8; BLOCK]>(*block).write([index as u8; BLOCK]) };
        }
        let halves = blocks.split_at(blocks.len() / 2);
        std::thread::scope(|scope| {
            for half in [halves.0, halves.1] {
                scope.spawn(move || {
                    for block in half {
                        let block = std::ptr::with_exposed_provenance_mut::<u8>(*block);
                        // SAFETY: written above; given back once.
                        unsafe {
                            assert_eq!(*block, *block.add(BLOCK - 1));
                            give_back(block);
                        }
                    }
                });
            }
        });
        // SAFETY: cut above; the last of its region.
        unsafe { give_back(first) };
        assert_eq!(uncut.left as usize, second - 10);
        for _ in 0..uncut.left {
            // SAFETY: this loop has cut the block and has not written to it.
            unsafe { give_back(uncut.cut(BLOCK)) };
        }
    }
}
