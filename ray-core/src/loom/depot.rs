//! The depot of free blocks: a block has one owner at a time, and the accesses of its owners are ordered.

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;

use super::check;
use crate::object::depot::{CLASSES, Depot, Magazine};

const CLASS: usize = CLASSES - 1;

/// A block in use, with a field that its owner accesses, after the word that chains free blocks.
#[repr(C)]
struct Owned {
    _chain: usize,
    touched: UnsafeCell<usize>,
}

/// Accesses each block of a magazine.
fn touch(mut magazine: Magazine, fresh: bool) -> Magazine {
    let mut used = Magazine::EMPTY;
    while let Some(block) = magazine.pop(0) {
        let owned = block.cast::<Owned>();
        unsafe {
            if fresh {
                (&raw mut (*owned).touched).write(UnsafeCell::new(0));
            }
            // loom fails the model if another thread accesses it at the same time, or without an order between the two.
            (*owned).touched.with_mut(|touched| *touched += 1);
        }
        used.push(block);
    }
    used
}

/// Two threads take magazines and put them back. Then all blocks are given back to their regions.
#[test]
fn magazines_go_from_thread_to_thread() {
    assert!(size_of::<Owned>() <= (CLASS + 1) * 32);
    check(|| {
        let depot = Arc::new(Depot::new());
        let fresh: Vec<_> = (0..2).map(|_| touch(depot.take(CLASS), true)).collect();
        fresh.into_iter().for_each(|magazine| depot.put(magazine, CLASS));
        let other = depot.clone();
        let turn = move |depot: &Depot| depot.put(touch(depot.take(CLASS), false), CLASS);
        let thread = thread::spawn(move || turn(&other));
        turn(&depot);
        thread.join().unwrap();
        let all: Vec<_> = (0..2).map(|_| touch(depot.take(CLASS), false)).collect();
        all.into_iter().for_each(Magazine::free);
    });
}

/// The depot is full, so a magazine of another size class frees one, which another thread may want to take.
#[test]
fn a_full_depot_frees_a_magazine_for_another() {
    check(|| {
        let depot = Arc::new(Depot::new());
        let fresh: Vec<_> = (0..2).map(|_| touch(depot.take(CLASS), true)).collect();
        fresh.into_iter().for_each(|magazine| depot.put(magazine, CLASS));
        let (small, other) = (depot.take(CLASS - 1), depot.clone());
        let thread = thread::spawn(move || touch(other.take(CLASS), false).free());
        depot.put(small, CLASS - 1);
        thread.join().unwrap();
        depot.take(CLASS - 1).free();
        depot.take(CLASS).free();
    });
}
