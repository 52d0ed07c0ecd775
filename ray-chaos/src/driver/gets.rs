//! Operations that get, wait, and register callbacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ray::{ObjectRef, TakeError};

use super::{Driver, Errors, is_excused};
use crate::program::{Thing, add, dawdle, make};
use crate::state::{ASKED, CALLED, ending, few_threads, give_up};

/// The maximum number of calls of `wait` that do not return a certain ready object.
const PASSED_OVER: usize = 300;

/// The number of times in a process that objects may come in another order than that in which they were settled.
const EXCUSED: u32 = 2;
static MISORDERED: AtomicU32 = AtomicU32::new(0);

impl Driver {
    pub(super) fn get_one(&mut self) {
        let (node, object) = self.pick();
        let how = self.chance.below(6);
        self.note("get", [node as i64, how as i64]);
        let outcome = match how {
            0 => object.view().map(|thing| thing.value()),
            1 => match object.try_get() {
                Ok(None) => return,
                Ok(Some(thing)) => Ok(thing.value()),
                Err(error) => Err(error),
            },
            2 => match object.take() {
                Ok(thing) => Ok(thing.value()),
                Err(TakeError::Shared(object)) => object.view().map(|thing| thing.value()),
                Err(TakeError::Failed(error)) => Err(error),
            },
            _ => ray::get(&object).map(|thing| thing.value()),
        };
        self.observe(node, outcome);
    }

    pub(super) fn timeout(&mut self) {
        let (node, object) = self.pick();
        let timeout = Duration::from_micros(self.chance.below(300) as u64);
        self.note("get with a time-out", [node as i64, timeout.as_micros() as i64]);
        match ray::get_timeout(object, timeout) {
            Err(error) if error.is_timeout() => {}
            outcome => self.observe(node, outcome.map(|thing| thing.value())),
        }
    }

    pub(super) fn get_many(&mut self) {
        let many: Vec<_> = (0..1 + self.chance.below(12)).map(|_| self.pick()).collect();
        let (nodes, objects): (Vec<usize>, Vec<_>) = many.into_iter().unzip();
        self.note("get many", [nodes.len() as i64, nodes[0] as i64]);
        match ray::get(objects) {
            Ok(things) => {
                for (node, thing) in nodes.iter().zip(things) {
                    self.observe(*node, Ok(thing.value()));
                }
            }
            Err(error) => {
                let together = self.model.add(&nodes, Errors::NONE, None, |values| Some(values[0]));
                self.observe(together, Err(error));
            }
        }
    }

    pub(super) fn wait(&mut self) {
        let (nodes, objects) = self.some(15);
        let count = 1 + self.chance.below(objects.len());
        let timeout = self.chance.one_in(2).then(|| Duration::from_micros(self.chance.below(300) as u64));
        self.note("wait", [count as i64, nodes.len() as i64, timeout.map_or(-1, |timeout| timeout.as_micros() as i64)]);
        let mut options = ray::first(count);
        if let Some(timeout) = timeout {
            options = options.timeout(timeout);
        }
        match ray::wait(&objects, options) {
            Ok((ready, rest)) => {
                assert!(ready.len() == count || timeout.is_some() && ready.len() < count, "{} of {count}", ready.len());
                assert!(ready.iter().all(ObjectRef::is_ready), "the references that `wait` returns as ready are ready");
                let mut rest: Vec<_> = rest.iter().collect();
                let mut ready = ready.iter().peekable();
                for object in &objects {
                    if ready.peek().is_some_and(|next| *next == object) {
                        ready.next();
                    } else {
                        assert!(rest.remove(0) == object, "both lists are in the order of the input");
                    }
                }
            }
            Err(error) => assert!(is_excused(&error) || ending(), "{error}"),
        }
    }

    pub(super) fn as_completed(&mut self) {
        let (nodes, objects) = self.some(10);
        self.note("as completed", [nodes.len() as i64, nodes[0] as i64]);
        let (count, streamed) = (objects.len(), self.chance.one_in(2));
        let done: Vec<ObjectRef<Thing>> = if streamed {
            use futures::StreamExt;
            futures::executor::block_on(ray::as_completed(objects).stream().collect())
        } else if few_threads() {
            // The iterator panics if no thread is left to run a task; `wait` returns that as an error.
            match ray::wait(&objects, count) {
                Ok((ready, _)) => ready,
                Err(error) => return assert!(is_excused(&error) || ending(), "{error}"),
            }
        } else {
            ray::as_completed(objects).collect()
        };
        assert_eq!(done.len(), count);
        assert!(ending() || few_threads() || done.iter().all(ObjectRef::is_ready));
    }

    /// A loop that inserts a new ready object at the front for each object that `wait` returns. `wait` must return the old
    /// object at some time.
    pub(super) fn refill(&mut self) {
        let old = ray::put(Thing::new(-1));
        self.note("refill", []);
        let mut all: Vec<_> = (0..self.chance.below(4)).map(|value| make.remote(value as i64)).collect();
        all.push(old.clone());
        for _ in 0..PASSED_OVER {
            all.insert(0, ray::put(Thing::new(1)));
            match ray::wait(&all, 1) {
                Ok((ready, _)) if ready[0] == old => return,
                Ok((ready, _)) => all.retain(|object| *object != ready[0]),
                Err(error) if is_excused(&error) || ending() => return,
                Err(error) => give_up(&format!("wait: {error}")),
            }
        }
        give_up(&format!("{PASSED_OVER} calls of `wait` did not return a ready object"));
    }

    /// `wait` and `as_completed` return objects that were settled some milliseconds apart in the order of their completion.
    pub(super) fn order(&mut self) {
        let pause = || std::thread::park_timeout(Duration::from_millis(3));
        let mut order = Vec::new();
        for value in 0..3 {
            let object = make.remote(value);
            if ray::get(&object).is_err() {
                return;
            }
            order.push(object);
            let end = std::time::Instant::now() + Duration::from_millis(3);
            while std::time::Instant::now() < end {
                pause();
            }
        }
        let mut mixed = order.clone();
        mixed.rotate_left(1 + self.chance.below(2));
        if self.chance.one_in(2) {
            mixed.swap(0, 1);
        }
        self.note("order", []);
        let got: Vec<_> = if self.chance.one_in(2) {
            ray::as_completed(mixed).collect()
        } else {
            let mut rest = ray::Pending::from(mixed);
            let mut got = Vec::new();
            while !rest.is_empty() {
                let Ok((ready, others)) = ray::wait(rest, 1) else { return };
                got.extend(ready);
                rest = others;
            }
            got
        };
        // A thread of the engine updates its clock. On a busy machine that thread may be delayed for longer than the
        // pauses.
        let excused = ending() || got == order || MISORDERED.fetch_add(1, Ordering::Relaxed) < EXCUSED;
        assert!(excused, "objects are returned in the order of their completion");
    }

    pub(super) fn callback(&mut self) {
        let (node, object) = self.pick();
        self.note("callback", [node as i64]);
        ASKED.fetch_add(1, Ordering::SeqCst);
        object.on_ready(|| {
            CALLED.fetch_add(1, Ordering::SeqCst);
        });
    }

    /// A callback that gets an object: an independent one, or one that depends on the callback's object.
    pub(super) fn callback_get(&mut self) {
        let (node, object) = self.pick();
        let other = match self.chance.below(3) {
            0 => add.remote(&object, Thing::new(1)),
            1 => make.remote(1),
            _ => dawdle.remote(Thing::new(1), 50),
        };
        self.note("callback that gets", [node as i64]);
        ASKED.fetch_add(1, Ordering::SeqCst);
        object.on_ready(move || {
            let _ = ray::get(other);
            CALLED.fetch_add(1, Ordering::SeqCst);
        });
    }

    /// A callback that takes a lock while the getter of its object holds this lock.
    pub(super) fn callback_lock(&mut self) {
        let lock = Arc::new(Mutex::new(()));
        let (value, turns) = (self.chance.below(100) as i64, self.chance.below(200) as u32);
        self.note("callback that locks", [value]);
        let object = dawdle.remote(Thing::new(value), turns);
        let guard = lock.lock();
        ASKED.fetch_add(1, Ordering::SeqCst);
        let theirs = Arc::clone(&lock);
        object.on_ready(move || {
            drop(theirs.lock());
            CALLED.fetch_add(1, Ordering::SeqCst);
        });
        // `get_timeout` does not run the task on this thread. So a worker settles the object and runs the callback, and the
        // callback can wait for the lock.
        let outcome = ray::get_timeout(&object, crate::state::plan().watchdog).map(|thing| thing.value());
        drop(guard);
        self.expect("an object whose callback takes a lock", outcome, value);
    }
}
