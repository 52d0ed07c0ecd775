//! The memory allocator of entries and actors. It uses freed blocks again.
//!
//! A call makes one allocation. Blocks are cut from [regions](crate::object::region), each of which has one size class. Free blocks
//! are chained through their first word into *magazines* of [`ROUNDS`] blocks. Each thread has two magazines for each class: it
//! takes blocks from one of them and frees blocks into it. When both are full it puts one into the
//! [depot](crate::object::depot); when both are empty it takes one from the depot. So it takes the depot's lock once for a magazine.
//! The scheme is that of Bonwick and Adams, "Magazines and Vmem", USENIX 2001.
//!
//! It is kept because the program chooses the global allocator, and most programs use the system's. With `Box` and the malloc of
//! glibc in its place, a round trip takes 10% more processor time, a batch of 1,000 tasks 35%, an actor's creation and end 34%,
//! and pipelined calls of an actor 47%, or ten times as much in a heap with many holes. With mimalloc as the global allocator
//! the differences are 3% to 8%, and a factor of two in such a heap. A task whose result is held takes 142 bytes instead of 137.
//!
//! # State and rules
//!
//! A block is in use, or in one chain. A chain belongs to its thread or, under the lock, to the depot. A thread that ends gives
//! the blocks of its chains back to their regions.
//!
//! With debug assertions the allocator is not used, outside of the crate's unit tests, so that sanitizers see every use after a
//! free.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::object::depot::{CLASSES, Depot, Magazine, ROUNDS, STEP};
use crate::object::region;

/// The two magazines of a size class in a thread.
struct Magazines {
    /// The magazine that blocks are taken from and freed into.
    loaded: Cell<Magazine>,
    spare: Cell<Magazine>,
}

struct Cache {
    classes: [Magazines; CLASSES],
    /// Whether [`GUARD`] will empty the cache at the end of the thread. None: not asked yet. `Some(false)`: the thread is ending, and
    /// keeps no blocks.
    guarded: Cell<Option<bool>>,
}

thread_local! {
    static CACHE: Cache = const {
        Cache {
            classes: [const { Magazines { loaded: Cell::new(Magazine::EMPTY), spare: Cell::new(Magazine::EMPTY) } }; CLASSES],
            guarded: Cell::new(None),
        }
    };
    static GUARD: Guard = const { Guard };
}

#[cfg(not(loom))]
fn depot() -> &'static Depot {
    static DEPOT: Depot = Depot::new();
    &DEPOT
}

/// loom's locks live only as long as one run of a model, so each model makes a depot of its own.
#[cfg(loom)]
fn depot() -> &'static Depot {
    unreachable!("the allocator is not used in models")
}

/// Gives the blocks of an ending thread back.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        CACHE.with(|cache| {
            cache.guarded.set(Some(false));
            for magazines in &cache.classes {
                magazines.loaded.replace(Magazine::EMPTY).free();
                magazines.spare.replace(Magazine::EMPTY).free();
            }
        });
    }
}

const fn class_of(size: usize) -> usize {
    if size == 0 { 0 } else { (size - 1) / STEP }
}

/// Whether values of the type come from this allocator.
const fn is_cached<T>() -> bool {
    cfg!(all(any(test, not(debug_assertions)), not(loom))) && class_of(size_of::<T>()) < CLASSES && align_of::<T>() <= 16
}

/// Moves a value to the heap.
#[inline]
pub(crate) fn place<T>(value: T) -> NonNull<T> {
    if !is_cached::<T>() {
        return NonNull::from(Box::leak(Box::new(value)));
    }
    let class = const { class_of(size_of::<T>()) };
    let block = CACHE.with(|cache| {
        let magazines = &cache.classes[class];
        let mut loaded = magazines.loaded.get();
        let block = loaded.pop(const { size_of::<T>() });
        magazines.loaded.set(loaded);
        block.unwrap_or_else(|| refill(cache, class))
    });
    let place = block.cast::<T>();
    // SAFETY: a block of the class is not null, is in no chain, has room for a `T`, and is aligned to 16 bytes (`is_cached`).
    unsafe {
        place.write(value);
        NonNull::new_unchecked(place)
    }
}

/// Takes a block when the loaded magazine is empty: from the spare one, from the depot, or a fresh block.
#[cold]
fn refill(cache: &Cache, class: usize) -> *mut u8 {
    if !is_guarded(cache) {
        return depot().cut_one(class);
    }
    let magazines = &cache.classes[class];
    let mut next = magazines.spare.replace(Magazine::EMPTY);
    if next.rounds == 0 {
        next = depot().take(class);
    }
    let block = next.pop(0).expect("a magazine of the depot is not empty");
    magazines.loaded.set(next);
    block
}

/// Whether the thread may keep blocks, which [`GUARD`] gives back at its end. It may not while it is ending.
fn is_guarded(cache: &Cache) -> bool {
    cache.guarded.get().unwrap_or_else(|| {
        let guarded = GUARD.try_with(|_| ()).is_ok();
        cache.guarded.set(Some(guarded));
        guarded
    })
}

/// Drops a value that [`place`] has moved to the heap, and keeps or frees its memory.
///
/// # Safety
/// The pointer came from `place::<T>`, and is not used any more.
#[inline]
pub(crate) unsafe fn remove<T>(place: NonNull<T>) {
    if !is_cached::<T>() {
        // SAFETY: the pointer came from `place::<T>`, which has boxed the value, and is not used any more.
        drop(unsafe { Box::from_raw(place.as_ptr()) });
        return;
    }
    let class = const { class_of(size_of::<T>()) };
    let block = place.as_ptr().cast::<u8>();
    // SAFETY: the pointer came from `place::<T>`, so it has a value, which is not used any more.
    unsafe { place.as_ptr().drop_in_place() };
    CACHE.with(|cache| {
        let magazines = &cache.classes[class];
        let mut loaded = magazines.loaded.get();
        if loaded.rounds == ROUNDS || cache.guarded.get() != Some(true) {
            return keep(cache, class, block);
        }
        loaded.push(block);
        magazines.loaded.set(loaded);
    });
}

/// Keeps or frees a block when the loaded magazine is full, when the thread has kept no block yet, or when it is ending.
#[cold]
fn keep(cache: &Cache, class: usize, block: *mut u8) {
    if !is_guarded(cache) {
        // SAFETY: the block was cut from a region, and `remove` has dropped its value.
        unsafe { region::give_back(block) };
        return;
    }
    let magazines = &cache.classes[class];
    let mut loaded = magazines.loaded.get();
    if loaded.rounds == ROUNDS {
        let full = magazines.spare.replace(loaded);
        loaded = Magazine::EMPTY;
        if full.rounds > 0 {
            depot().put(full, class);
        }
    }
    loaded.push(block);
    magazines.loaded.set(loaded);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn blocks_that_another_thread_frees_are_used_again() {
        let counted = Arc::new(());
        let (sender, receiver) = std::sync::mpsc::sync_channel::<(usize, usize)>(64);
        let freer = std::thread::spawn(move || {
            for (address, index) in receiver {
                let block = NonNull::new(std::ptr::with_exposed_provenance_mut::<(usize, Arc<()>)>(address)).unwrap();
                // SAFETY: the other thread has placed the value, sends the address once, and does not use it any more.
                unsafe {
                    assert_eq!(block.as_ref().0, index);
                    remove(block);
                }
            }
        });
        for index in 0..100_000 {
            let block = place((index, Arc::clone(&counted)));
            sender.send((block.as_ptr().expose_provenance(), index)).unwrap();
        }
        drop(sender);
        freer.join().unwrap();
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn an_ending_thread_gives_its_free_blocks_back() {
        let block = std::thread::spawn(|| {
            let block = place([7u8; 100]);
            CACHE.with(|cache| assert_eq!(cache.guarded.get(), Some(true)));
            block.as_ptr().expose_provenance()
        });
        let block = NonNull::new(std::ptr::with_exposed_provenance_mut::<[u8; 100]>(block.join().unwrap())).unwrap();
        // SAFETY: the thread has placed the value, and returned its address.
        unsafe { remove(block) };
    }

    #[test]
    fn blocks_in_use_do_not_overlap() {
        let blocks: Vec<_> = (0..10 * ROUNDS as usize).map(|index| place([index; 5])).collect();
        for (index, block) in blocks.iter().enumerate() {
            // SAFETY: the value was placed above, and is not removed yet.
            assert_eq!(unsafe { block.as_ref() }, &[index; 5]);
        }
        for block in blocks {
            // SAFETY: the value was placed above, and is removed once.
            unsafe { remove(block) };
        }
    }
}
