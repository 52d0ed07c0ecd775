//! The depot of free blocks: a block has one owner at a time, and goes from owner to owner in order.

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;

use super::check;
use crate::object::depot::{CLASSES, Depot, Magazine};

const CLASS: usize = CLASSES - 1;

/// What an owner does with its block, behind the word that chains the free ones.
#[repr(C)]
struct Owned {
    _chain: usize,
    touched: UnsafeCell<usize>,
}

/// Uses each block of a magazine.
fn touch(mut magazine: Magazine, fresh: bool) -> Magazine {
    let mut used = Magazine::EMPTY;
    while let Some(block) = magazine.pop(0) {
        let owned = block.cast::<Owned>();
        unsafe {
            if fresh {
                (&raw mut (*owned).touched).write(UnsafeCell::new(0));
            }
            // loom fails if another owner has it, or had it without an order between the two.
            (*owned).touched.with_mut(|touched| *touched += 1);
        }
        used.push(block);
    }
    used
}

/// Two threads use the magazines that they find; a third one may go to either. Then all go back to their regions.
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

/// With the depot full, a magazine of another size makes room: it takes one that a third thread may want too.
#[test]
fn a_magazine_makes_room() {
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
