//! Memory for entries and actors: each thread keeps freed blocks to use them again.
//!
//! A call costs one allocation, and a general allocator makes that about a third of its price when many are in flight.
//! Blocks of the same size class are chained through their first word; a thread keeps at most [`KEPT`] bytes, and
//! gives them back when it ends. A block may be freed on another thread than it was made on: it stays there.
//!
//! With debug assertions nothing is kept, so that sanitizers see every use after a free.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

/// Size classes are multiples of this, in bytes.
const STEP: usize = 32;
const CLASSES: usize = 8;
/// The most that a thread keeps, in bytes.
const KEPT: usize = 16 * 1024 * 1024;

struct Cache {
    chains: [Cell<*mut u8>; CLASSES],
    bytes: Cell<usize>,
    guarded: Cell<bool>,
}

thread_local! {
    static CACHE: Cache = const {
        Cache { chains: [const { Cell::new(null_mut()) }; CLASSES], bytes: Cell::new(0), guarded: Cell::new(false) }
    };
    static GUARD: Guard = const { Guard };
}

/// Gives back what the thread has kept.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        CACHE.with(|cache| {
            // From here on nothing is kept.
            cache.bytes.set(KEPT);
            for (class, chain) in cache.chains.iter().enumerate() {
                let mut next = chain.replace(null_mut());
                while !next.is_null() {
                    // SAFETY: a kept block of this class, whose first word is the next one's address.
                    unsafe {
                        let block = next;
                        next = block.cast::<*mut u8>().read();
                        dealloc(block, layout_of(class));
                    }
                }
            }
        });
    }
}

const fn class_of(size: usize) -> usize {
    if size == 0 { 0 } else { (size - 1) / STEP }
}

const fn layout_of(class: usize) -> Layout {
    match Layout::from_size_align((class + 1) * STEP, 16) {
        Ok(layout) => layout,
        Err(_) => panic!("a small power of two is a valid alignment"),
    }
}

/// Whether values of the type come from the cache.
const fn is_cached<T>() -> bool {
    !cfg!(debug_assertions) && class_of(size_of::<T>()) < CLASSES && align_of::<T>() <= 16
}

/// Puts a value on the heap.
#[inline]
pub(crate) fn place<T>(value: T) -> NonNull<T> {
    if !is_cached::<T>() {
        return NonNull::from(Box::leak(Box::new(value)));
    }
    let class = const { class_of(size_of::<T>()) };
    let kept = CACHE.with(|cache| {
        let chain = &cache.chains[class];
        let block = chain.get();
        if !block.is_null() {
            // SAFETY: a kept block, whose first word is the next one's address.
            chain.set(unsafe { block.cast::<*mut u8>().read() });
            cache.bytes.set(cache.bytes.get() - (class + 1) * STEP);
        }
        block
    });
    let block = if kept.is_null() { fresh(class) } else { kept };
    let place = block.cast::<T>();
    // SAFETY: a block of the class is large enough and aligned for a `T`.
    unsafe {
        place.write(value);
        NonNull::new_unchecked(place)
    }
}

#[cold]
fn fresh(class: usize) -> *mut u8 {
    let layout = layout_of(class);
    // SAFETY: the layout's size is not zero.
    let block = unsafe { alloc(layout) };
    if block.is_null() {
        handle_alloc_error(layout);
    }
    block
}

/// Drops a value that [`place`] put there, and keeps or frees its memory.
///
/// # Safety
/// The value came from `place::<T>`, and nobody uses it any more.
#[inline]
pub(crate) unsafe fn remove<T>(place: NonNull<T>) {
    if !is_cached::<T>() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(place.as_ptr()) });
        return;
    }
    let class = const { class_of(size_of::<T>()) };
    let block = place.as_ptr().cast::<u8>();
    // SAFETY: the caller's promise.
    unsafe { place.as_ptr().drop_in_place() };
    CACHE.with(|cache| {
        let bytes = cache.bytes.get() + (class + 1) * STEP;
        if bytes > KEPT {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(block, layout_of(class)) };
            return;
        }
        if !cache.guarded.replace(true) && GUARD.try_with(|_| ()).is_err() {
            // The thread is ending and would not give it back.
            cache.bytes.set(KEPT);
            // SAFETY: as above.
            unsafe { dealloc(block, layout_of(class)) };
            return;
        }
        cache.bytes.set(bytes);
        let chain = &cache.chains[class];
        // SAFETY: a block of at least a word, ours now.
        unsafe { block.cast::<*mut u8>().write(chain.get()) };
        chain.set(block);
    });
}
