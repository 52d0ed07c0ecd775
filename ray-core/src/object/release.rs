//! Giving up references to an entry: the last one drops the value. Rules 2 and 4 are those of [`state`](crate::object::state).
//!
//! A value may hold references, whose values hold references, so that the drop of one value drops many. A long list of drops must
//! not become a deep stack: from a certain depth on, values are put on a list of the thread, which the outermost drop processes.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use crate::base::unread;
use crate::object::entry::{Header, Hold, drop_hold};
use crate::object::state::{DropRef, Phase};

/// Gives a ref back.
///
/// # Safety
/// The caller owns a ref, and does not use it afterwards.
#[inline]
pub(crate) unsafe fn drop_ref(entry: NonNull<Header>) {
    // SAFETY: the caller's ref keeps the entry alive.
    let header = unsafe { entry.as_ref() };
    let now = header.state.load();
    if now.is_exclusive() {
        match now.phase() {
            Phase::Ready => {
                // SAFETY: this is the only ref and the only hold, so no other thread can reach the entry: this thread owns the value
                // and the memory.
                unsafe { drop_ready(entry, true) };
                return;
            }
            Phase::Taken => {
                // SAFETY: this is the only ref and the only hold, so this thread owns the memory; the value was taken out.
                unsafe { (header.vtable.free)(entry) };
                return;
            }
            _ => {}
        }
    }
    if let DropRef::Last(phase, seen) = header.state.drop_ref() {
        // SAFETY: `Last` leaves the value of a ready entry (rule 2) and the common hold of the refs to this thread; the hold is
        // dropped last.
        unsafe {
            match phase {
                Phase::Ready => return drop_ready(entry, false),
                Phase::Failed if !seen => unread::unhandled(&header.error()),
                _ => {}
            }
            drop_hold(entry);
        }
    }
}

/// How deep drops of values may nest on the stack. Values may hold refs whose values hold refs; deeper drops are put on a list.
const MAX_DROP_DEPTH: u32 = 32;

thread_local! {
    static DROP_DEPTH: Cell<u32> = const { Cell::new(0) };
    static DROP_LATER: RefCell<Vec<(Hold, bool)>> = const { RefCell::new(Vec::new()) };
}

/// Drops a ready value, and then frees the memory (`alone`) or gives up the common hold of the refs.
///
/// # Safety
/// The caller owns the value and the common hold of the refs; with `alone`, that is the only hold, and no other thread has a ref.
#[inline]
unsafe fn drop_ready(entry: NonNull<Header>, alone: bool) {
    // SAFETY: the caller owns the value and the common hold, which keeps the entry alive. The list takes the hold over, and the
    // thread that pops it owns both again.
    unsafe {
        if !entry.as_ref().vtable.nested {
            release_ready(entry, alone);
            return;
        }
        let depth = DROP_DEPTH.get();
        if depth >= MAX_DROP_DEPTH {
            let mut rest = Some((Hold::adopt(entry), alone));
            let _ = DROP_LATER.try_with(|later| later.borrow_mut().push(rest.take().expect("`rest` is taken only here")));
            match rest {
                // The thread is ending and its list was dropped: nest deeper.
                Some((hold, alone)) => return release_ready(hold.into_entry(), alone),
                None => return,
            }
        }
        DROP_DEPTH.set(depth + 1);
        (entry.as_ref().vtable.drop_value)(entry);
        DROP_DEPTH.set(depth);
        release_dropped(entry, alone);
        if depth == 0 {
            while let Some((hold, alone)) = DROP_LATER.try_with(|later| later.borrow_mut().pop()).ok().flatten() {
                drop_ready(hold.into_entry(), alone);
            }
        }
    }
}

/// # Safety
/// As of [`drop_ready`].
unsafe fn release_ready(entry: NonNull<Header>, alone: bool) {
    // SAFETY: the caller owns the value and the common hold, which keeps the entry alive while the value is dropped.
    unsafe {
        (entry.as_ref().vtable.drop_value)(entry);
        release_dropped(entry, alone);
    }
}

/// # Safety
/// As of [`drop_ready`], but the value was dropped.
#[inline]
unsafe fn release_dropped(entry: NonNull<Header>, alone: bool) {
    // SAFETY: the caller owns the common hold; with `alone` it is the only one, so no other thread can reach the entry.
    unsafe {
        if alone {
            (entry.as_ref().vtable.free)(entry);
        } else {
            drop_hold(entry);
        }
    }
}
