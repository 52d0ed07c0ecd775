//! Unstarted tasks that a thread waits for, which go before all other tasks.
//!
//! A getter that parks enters what it waits for, and takes it off when it goes on. A task stands here beside its place in an
//! ordinary queue: whichever entry is taken first claims the task, and the other finds it claimed.
//!
//! Without this queue a getter's CPU would go to fresh work. If that work blocks on a lock that the getter holds, the awaited
//! task never has a CPU.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::object::entry::{Header, Hold};
use crate::object::kind::Kind;
use crate::object::state::Phase;
use crate::task::head::Class;

/// A getter enters at most so many objects, and for each of them at most so many tasks.
pub(crate) const MOST: usize = 256;
/// Every so many turns the oldest task goes first.
const OLDEST_EVERY: usize = 16;

/// Where the getter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Getter {
    /// In a body, which may hold something that other bodies wait for.
    InABody,
    /// On a thread of which the engine knows nothing.
    Outside,
}

struct Awaited {
    task: Hold,
    from: Getter,
}

/// The queue.
#[derive(Default)]
pub(crate) struct AwaitedQueue {
    count: AtomicUsize,
    turn: AtomicUsize,
    tasks: Mutex<VecDeque<Awaited>>,
    /// The engine has ended: nothing is entered any more, for a task that stayed here would live as long as the engine's last
    /// thread. Changed under the lock.
    closed: AtomicBool,
}

impl AwaitedQueue {
    /// There is none, as far as can be seen without the lock.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// What `entry` needs to begin and a thread could run now: itself, if it is a task for one CPU that has not begun; else
    /// the tasks that it waits for.
    pub(crate) fn startable(entry: &Header) -> Vec<Hold> {
        // SAFETY: the caller has a ref.
        let mut todo = vec![unsafe { Hold::new(std::ptr::NonNull::from(entry)) }];
        let mut found = Vec::new();
        while let Some(entry) = todo.pop() {
            if todo.len() + found.len() > MOST {
                break;
            }
            match (entry.vtable.kind, entry.phase()) {
                (Kind::Part, phase) if !phase.is_settled() => {
                    // SAFETY: held by the part.
                    todo.extend(crate::object::part::producer(&entry).map(|whole| unsafe { Hold::new(whole.entry()) }));
                }
                (Kind::Task, Phase::Waiting) => todo.extend(crate::task::dependency::pending_arguments(&entry)),
                (Kind::Task, Phase::Queued) if is_for_one_cpu(&entry) => found.push(entry),
                _ => {}
            }
        }
        found
    }

    /// Enters what `entry` needs to begin.
    pub(crate) fn enter(&self, entry: &Header, from: Getter) {
        let found = Self::startable(entry);
        if found.is_empty() {
            return;
        }
        let mut tasks = self.tasks.lock();
        if self.closed.load(Ordering::Relaxed) {
            drop(tasks);
            drop(found);
            return;
        }
        tasks.extend(found.into_iter().map(|task| Awaited { task, from }));
        self.count.store(tasks.len(), Ordering::SeqCst);
    }

    /// As [`enter`](Self::enter), for an await, which may be polled often and given up: once, and only while few stand here.
    pub(crate) fn enter_once(&self, entry: &Header, from: Getter) {
        if self.count.load(Ordering::Relaxed) >= MOST {
            return;
        }
        let found = Self::startable(entry);
        if found.is_empty() {
            return;
        }
        let mut known = Vec::new();
        let mut tasks = self.tasks.lock();
        for task in found {
            if self.closed.load(Ordering::Relaxed) || tasks.iter().any(|other| other.task.entry() == task.entry()) {
                known.push(task);
            } else {
                tasks.push_back(Awaited { task, from });
            }
        }
        self.count.store(tasks.len(), Ordering::SeqCst);
        drop(tasks);
        // A last hold frees memory when the lock is open.
        drop(known);
    }

    /// A task that is not claimed yet: the newest, so that a recursion goes down and not wide, with a thread for each body that
    /// waits; now and then the oldest, so that none waits for ever.
    pub(crate) fn take(&self) -> Option<Hold> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if turn.is_multiple_of(OLDEST_EVERY) {
            return self.take_if(|_| true);
        }
        let mut stale = Vec::new();
        let mut tasks = self.tasks.lock();
        let mut taken = None;
        while let Some(next) = tasks.pop_back() {
            if next.task.phase() == Phase::Queued {
                taken = Some(next.task);
                break;
            }
            stale.push(next);
        }
        self.count.store(tasks.len(), Ordering::SeqCst);
        drop(tasks);
        drop(stale);
        taken
    }

    /// The oldest of those that a body awaits.
    pub(crate) fn take_of_bodies(&self) -> Option<Hold> {
        self.take_if(|from| from == Getter::InABody)
    }

    fn take_if(&self, wanted: impl Fn(Getter) -> bool) -> Option<Hold> {
        let mut stale = Vec::new();
        let mut tasks = self.tasks.lock();
        let mut taken = None;
        let mut at = 0;
        while let Some(next) = tasks.get(at) {
            let queued = next.task.phase() == Phase::Queued;
            if queued && !wanted(next.from) {
                at += 1;
                continue;
            }
            let Some(next) = tasks.remove(at) else { break };
            if queued {
                taken = Some(next.task);
                break;
            }
            stale.push(next);
        }
        self.count.store(tasks.len(), Ordering::SeqCst);
        drop(tasks);
        // A last hold frees memory, and drops what lies in it, when the lock is open.
        drop(stale);
        taken
    }

    /// Whether a task waits that a body awaits, and whether any does.
    pub(crate) fn waiting(&self) -> (bool, bool) {
        if self.is_empty() {
            return (false, false);
        }
        let tasks = self.tasks.lock();
        let mut queued = tasks.iter().filter(|next| next.task.phase() == Phase::Queued).peekable();
        let any = queued.peek().is_some();
        (queued.any(|next| next.from == Getter::InABody), any)
    }

    /// A getter goes on: what it entered and nobody took goes.
    pub(crate) fn leave(&self) {
        if self.is_empty() {
            return;
        }
        let mut stale = Vec::new();
        let mut tasks = self.tasks.lock();
        let mut at = 0;
        while at < tasks.len() {
            if tasks[at].task.phase() == Phase::Queued {
                at += 1;
            } else {
                stale.extend(tasks.remove(at));
            }
        }
        self.count.store(tasks.len(), Ordering::SeqCst);
        drop(tasks);
        drop(stale);
    }

    /// Takes all out, for a shutdown, and lets none in again.
    pub(crate) fn close(&self) {
        let tasks = {
            let mut tasks = self.tasks.lock();
            self.closed.store(true, Ordering::Relaxed);
            self.count.store(0, Ordering::SeqCst);
            std::mem::take(&mut *tasks)
        };
        drop(tasks);
    }
}

/// It stands in the queue of tasks for one CPU.
fn is_for_one_cpu(entry: &Header) -> bool {
    entry.task().is_some_and(|head| head.vtable().kind.in_class_queue && head.class() == Class::OneCpu)
}
