//! The counter of a task's arguments: the task is queued once, by the thread that settles the last one or by its submitter. The
//! model repeats the steps of `task::dependency::register` and `fire`, on the engine's entries.

use std::ptr::NonNull;

use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::object::entry;
use crate::object::entry::{Header, VTable};
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
    drop_value: no_value,
    free,
    task: None,
};

unsafe fn no_value(_: NonNull<Header>) {}

unsafe fn free(entry: NonNull<Header>) {
    drop(unsafe { Box::from_raw(entry.as_ptr()) });
}

#[derive(Clone, Copy)]
struct Object(NonNull<Header>);

unsafe impl Send for Object {}

impl Object {
    fn new() -> Self {
        let header = Header::new(State::new(Phase::Running, 1, 1), &TABLE, 0);
        header.state.set_seen();
        Self(NonNull::from(Box::leak(Box::new(header))))
    }

    fn publish(self) {
        unsafe { entry::publish(self.0, true) };
    }

    fn drop_ref(self) {
        unsafe { release::drop_ref(self.0) };
    }
}

struct Task {
    header: Header,
    queued: AtomicUsize,
}

#[repr(C)]
struct Edge {
    waiter: Waiter,
    task: Arc<Task>,
}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    let edge = unsafe { Box::from_raw(node.cast::<Edge>()) };
    edge.task.settled();
}

impl Task {
    fn settled(&self) {
        if self.header.pending_args().fetch_sub(1, Ordering::AcqRel) == 1 && self.header.state.step(Phase::Waiting, Phase::Queued)
        {
            self.queued.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn register(this: &Arc<Self>, objects: &[Object]) {
        this.header.pending_args().store(1, Ordering::Relaxed);
        if this.header.state.lock_if(|phase| phase == Phase::Waiting).is_err() {
            return;
        }
        for object in objects {
            let header = unsafe { object.0.as_ref() };
            if header.phase() == Phase::Ready {
                continue;
            }
            this.header.pending_args().fetch_add(1, Ordering::Relaxed);
            let edge = Box::into_raw(Box::new(Edge { waiter: Waiter::new(fire), task: this.clone() }));
            if unsafe { header.link(edge.cast()) }.is_err() {
                drop(unsafe { Box::from_raw(edge) });
                this.header.pending_args().fetch_sub(1, Ordering::Relaxed);
            }
        }
        this.header.state.unlock_keeping();
        this.settled();
    }
}

fn task() -> Arc<Task> {
    let header = Header::new(State::new(Phase::Waiting, 1, 1), &TABLE, 0);
    Arc::new(Task { header, queued: AtomicUsize::new(0) })
}

#[test]
fn two_arguments() {
    check(|| {
        let (task, objects) = (task(), [Object::new(), Object::new()]);
        let threads: Vec<_> = objects.into_iter().map(|object| thread::spawn(move || object.publish())).collect();
        Task::register(&task, &objects);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(task.queued.load(Ordering::Relaxed), 1);
        assert_eq!((task.header.phase(), task.header.pending_args().load(Ordering::Relaxed)), (Phase::Queued, 0));
        objects.into_iter().for_each(Object::drop_ref);
    });
}

/// A canceller wants the arguments while they are being registered, and waits for the lock. It ends the task.
#[test]
fn a_canceller_beside_the_registration() {
    check(|| {
        let (task, object) = (task(), Object::new());
        let other = task.clone();
        let canceller = thread::spawn(move || {
            let state = &other.header.state;
            // As `Header::abort`: it tries again if the phase has changed meanwhile.
            while !state.step(Phase::Waiting, Phase::Running) && !state.step(Phase::Queued, Phase::Running) {
                thread::yield_now();
            }
        });
        Task::register(&task, &[object]);
        object.publish();
        canceller.join().unwrap();
        assert!(task.queued.load(Ordering::Relaxed) <= 1);
        assert_eq!(task.header.phase(), Phase::Running);
        object.drop_ref();
    });
}
