//! Memory for entries and actors: freed blocks are used again.
//!
//! A call costs one allocation, and a general allocator makes that about a third of its price when many are in flight,
//! more where one thread makes what another frees. So blocks, which are cut from [regions](crate::object::region) of one size
//! class, are chained through their first word into *magazines* of [`ROUNDS`]. Each thread has two magazines a class: it frees into one and takes from it; with
//! both full it hands one to the [depot](crate::object::depot), with both empty it asks the depot for one, at the cost of one lock a
//! magazine. (Bonwick and Adams, Magazines and Vmem, USENIX 2001.)
//!
//! # State and rules
//!
//! A block is used, or in one chain. A chain belongs to its thread or, under the lock, to the depot. A thread that
//! ends gives its chains back to their regions.
//!
//! With debug assertions nothing is kept, so that sanitizers see every use after a free.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::object::depot::{CLASSES, Depot, Magazine, ROUNDS, STEP};
use crate::object::region;

struct Shelf {
    loaded: Cell<Magazine>,
    spare: Cell<Magazine>,
}

struct Cache {
    shelves: [Shelf; CLASSES],
    /// Whether [`GUARD`] will take it down; afterwards nothing is kept.
    guarded: Cell<Option<bool>>,
}

thread_local! {
    static CACHE: Cache = const {
        Cache {
            shelves: [const { Shelf { loaded: Cell::new(Magazine::EMPTY), spare: Cell::new(Magazine::EMPTY) } }; CLASSES],
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

/// loom's locks live as long as one run of a model: models have a depot of their own.
#[cfg(loom)]
fn depot() -> &'static Depot {
    unreachable!("nothing is cached in a model")
}

/// Gives back what an ending thread has kept.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        CACHE.with(|cache| {
            cache.guarded.set(Some(false));
            for shelf in &cache.shelves {
                shelf.loaded.replace(Magazine::EMPTY).free();
                shelf.spare.replace(Magazine::EMPTY).free();
            }
        });
    }
}

const fn class_of(size: usize) -> usize {
    if size == 0 { 0 } else { (size - 1) / STEP }
}

/// Whether values of the type come from the cache.
const fn is_cached<T>() -> bool {
    cfg!(all(any(test, not(debug_assertions)), not(loom))) && class_of(size_of::<T>()) < CLASSES && align_of::<T>() <= 16
}

/// Puts a value on the heap.
#[inline]
pub(crate) fn place<T>(value: T) -> NonNull<T> {
    if !is_cached::<T>() {
        return NonNull::from(Box::leak(Box::new(value)));
    }
    let class = const { class_of(size_of::<T>()) };
    let block = CACHE.with(|cache| {
        let shelf = &cache.shelves[class];
        let mut loaded = shelf.loaded.get();
        let block = loaded.pop(const { size_of::<T>() });
        shelf.loaded.set(loaded);
        block.unwrap_or_else(|| refill(cache, class))
    });
    let place = block.cast::<T>();
    // SAFETY: a block of the class is not null, large enough and aligned for a `T`.
    unsafe {
        place.write(value);
        NonNull::new_unchecked(place)
    }
}

/// The loaded magazine is empty: another one, or fresh blocks.
#[cold]
fn refill(cache: &Cache, class: usize) -> *mut u8 {
    if !is_guarded(cache) {
        return depot().cut_one(class);
    }
    let shelf = &cache.shelves[class];
    let mut next = shelf.spare.replace(Magazine::EMPTY);
    if next.rounds == 0 {
        next = depot().take(class);
    }
    let block = next.pop(0).expect("a magazine of the depot has blocks");
    shelf.loaded.set(next);
    block
}

/// Whether what the thread keeps is given back when it ends; it is not while it is ending.
fn is_guarded(cache: &Cache) -> bool {
    cache.guarded.get().unwrap_or_else(|| {
        let guarded = GUARD.try_with(|_| ()).is_ok();
        cache.guarded.set(Some(guarded));
        guarded
    })
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
        let shelf = &cache.shelves[class];
        let mut loaded = shelf.loaded.get();
        if loaded.rounds == ROUNDS || cache.guarded.get() != Some(true) {
            return keep(cache, class, block);
        }
        loaded.push(block);
        shelf.loaded.set(loaded);
    });
}

/// The loaded magazine is full, or the thread has not kept anything yet, or keeps nothing any more.
#[cold]
fn keep(cache: &Cache, class: usize, block: *mut u8) {
    if !is_guarded(cache) {
        // SAFETY: cut from a region, and the caller's.
        unsafe { region::give_back(block) };
        return;
    }
    let shelf = &cache.shelves[class];
    let mut loaded = shelf.loaded.get();
    if loaded.rounds == ROUNDS {
        let full = shelf.spare.replace(loaded);
        loaded = Magazine::EMPTY;
        if full.rounds > 0 {
            depot().put(full, class);
        }
    }
    loaded.push(block);
    shelf.loaded.set(loaded);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn blocks_made_here_and_freed_there_come_back() {
        let counted = Arc::new(());
        let (sender, receiver) = std::sync::mpsc::sync_channel::<(usize, usize)>(64);
        let freer = std::thread::spawn(move || {
            for (address, index) in receiver {
                let block = NonNull::new(std::ptr::with_exposed_provenance_mut::<(usize, Arc<()>)>(address)).unwrap();
                // SAFETY: sent once by the maker, who has forgotten it.
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
    fn a_thread_that_only_makes_gives_the_rest_back() {
        let block = std::thread::spawn(|| {
            let block = place([7u8; 100]);
            CACHE.with(|cache| assert_eq!(cache.guarded.get(), Some(true)));
            block.as_ptr().expose_provenance()
        });
        let block = NonNull::new(std::ptr::with_exposed_provenance_mut::<[u8; 100]>(block.join().unwrap())).unwrap();
        // SAFETY: made by the thread, and left to us.
        unsafe { remove(block) };
    }

    #[test]
    fn many_at_once_do_not_overlap() {
        let blocks: Vec<_> = (0..10 * ROUNDS as usize).map(|index| place([index; 5])).collect();
        for (index, block) in blocks.iter().enumerate() {
            // SAFETY: placed above.
            assert_eq!(unsafe { block.as_ref() }, &[index; 5]);
        }
        for block in blocks {
            // SAFETY: placed above, removed once.
            unsafe { remove(block) };
        }
    }
}
