//! Future waiters, and the order of firing: a future is polled, polled again and dropped while its object is settled.

use std::ptr::NonNull;
use std::task::{Wake, Waker};

use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::object::entry;
use crate::object::entry::{Header, VTable};
use crate::object::future_waiter::FutureWaiter;
use crate::object::kind::{Kind, ValueType};
use crate::object::release;
use crate::object::state::{Phase, State};
use crate::object::waiter::Waiter;

static TABLE: VTable = VTable {
    value: 0,
    adopted: false,
    holds: ValueType::of::<()>(),
    kind: Kind::Put,
    remote: None,
    nested: false,
    drop_value: nothing,
    free,
    task: None,
};

unsafe fn nothing(_entry: NonNull<Header>) {}

unsafe fn free(entry: NonNull<Header>) {
    drop(unsafe { Box::from_raw(entry.as_ptr()) });
}

#[derive(Clone, Copy)]
struct Entry(NonNull<Header>);

unsafe impl Send for Entry {}

impl Entry {
    /// An entry in `Running`, with `refs` refs and one hold for the runner.
    fn new(refs: u64) -> Self {
        let header = Header::new(State::new(Phase::Running, refs, 1), &TABLE, 0);
        header.state.set_seen();
        Self(NonNull::from(Box::leak(Box::new(header))))
    }

    fn header(&self) -> &Header {
        unsafe { self.0.as_ref() }
    }

    fn publish(self) {
        unsafe { entry::publish(self.0, true) };
    }

    fn drop_ref(self) {
        unsafe { release::drop_ref(self.0) };
    }
}

/// A waker that counts its wakes and its drop.
struct Counter {
    woken: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Wake for Counter {
    fn wake(self: std::sync::Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct Counts {
    woken: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Counts {
    fn new() -> Self {
        Self { woken: Arc::new(AtomicUsize::new(0)), dropped: Arc::new(AtomicUsize::new(0)) }
    }

    fn waker(&self) -> Waker {
        Waker::from(std::sync::Arc::new(Counter { woken: self.woken.clone(), dropped: self.dropped.clone() }))
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// A future that is not dropped is woken with the waker of its last poll.
#[test]
fn the_last_poll_is_woken() {
    check(|| {
        let entry = Entry::new(1);
        let runner = thread::spawn(move || entry.publish());
        let (first, second) = (Counts::new(), Counts::new());
        if let Ok(waiter) = FutureWaiter::link(entry.header(), first.waker()) {
            assert!(!waiter.set(&second.waker()));
            // A future, too, looks again before it waits.
            if !entry.header().phase().is_settled() {
                while second.woken() == 0 {
                    thread::yield_now();
                }
            }
            unsafe { FutureWaiter::give_up(&waiter) };
        }
        runner.join().unwrap();
        assert!(first.woken() + second.woken() <= 1);
        assert_eq!(first.dropped(), 1);
        entry.drop_ref();
    });
}

/// After a future has given its waiter up, neither the waiter nor the waker exists, whether the object is settled before or after.
#[test]
fn given_up_while_it_fires() {
    check(|| {
        let entry = Entry::new(2);
        let counts = Counts::new();
        let future = {
            let counts = counts.clone();
            thread::spawn(move || {
                let made = FutureWaiter::link(entry.header(), counts.waker()).ok();
                let weak = made.as_ref().map(std::sync::Arc::downgrade);
                if let Some(waiter) = made {
                    unsafe { FutureWaiter::give_up(&waiter) };
                }
                entry.drop_ref();
                weak
            })
        };
        entry.publish();
        let weak = future.join().unwrap();
        assert!(weak.is_none_or(|weak| weak.strong_count() == 0), "the waiter is freed");
        assert_eq!(counts.dropped(), 1);
        assert!(counts.woken() <= 1);
        entry.drop_ref();
    });
}

/// Of two futures of one object, one gives its waiter up: the other is woken.
#[test]
fn given_up_beside_another() {
    check(|| {
        let entry = Entry::new(1);
        let (stays, goes) = (Counts::new(), Counts::new());
        let first = FutureWaiter::link(entry.header(), goes.waker()).expect("the entry is in `Running`");
        let second = FutureWaiter::link(entry.header(), stays.waker()).expect("the entry is in `Running`");
        let runner = thread::spawn(move || entry.publish());
        unsafe { FutureWaiter::give_up(&first) };
        runner.join().unwrap();
        assert_eq!((stays.woken(), stays.dropped(), goes.dropped()), (1, 1, 1));
        unsafe { FutureWaiter::give_up(&second) };
        entry.drop_ref();
    });
}

#[repr(C)]
struct Node {
    waiter: Waiter,
    order: Arc<AtomicUsize>,
    /// Its place in the order of firing, from 1.
    at: AtomicUsize,
}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    let node = unsafe { &*node.cast::<Node>() };
    node.at.store(node.order.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    node.waiter.done.store(true, crate::base::sync::Ordering::Release);
}

/// The callbacks of an entry are fired after all other waiters, wherever they are in the list.
#[test]
fn callbacks_are_fired_last() {
    check(|| {
        let entry = Entry::new(1);
        let order = Arc::new(AtomicUsize::new(0));
        let node = |waiter| Node { waiter, order: order.clone(), at: AtomicUsize::new(0) };
        let nodes = [node(Waiter::new(fire)), node(Waiter::late(fire)), node(Waiter::new(fire))];
        let linked = nodes.each_ref().map(|node| {
            let place = std::ptr::from_ref(node).cast_mut().cast::<Waiter>();
            unsafe { entry.header().link(place) }.is_ok()
        });
        assert_eq!(linked, [true; 3]);
        let runner = thread::spawn(move || entry.publish());
        let at = |index: usize| {
            while !nodes[index].waiter.is_done() {
                thread::yield_now();
            }
            nodes[index].at.load(Ordering::SeqCst)
        };
        assert_eq!(at(1), 3);
        assert_eq!((at(0), at(2)), (1, 2));
        runner.join().unwrap();
        entry.drop_ref();
    });
}
