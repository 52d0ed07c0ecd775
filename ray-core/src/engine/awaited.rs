//! Unstarted tasks that a thread waits for; they go before all other tasks.
//!
//! # Rules
//!
//! 1. A getter that is about to park enters the tasks that it waits for. When the wait is over, the getter removes all tasks that
//!    have begun or were cancelled meanwhile, also those of other getters.
//! 2. A task here is also in an ordinary queue. The thread that takes it from either place claims it; a thread that takes it from
//!    the other place finds it claimed, and ignores it.
//!
//! Without this queue the CPU of a waiting body would go to new work. If that work blocks on a lock that the waiting body holds,
//! the awaited task never gets a CPU.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::object::entry::{Header, Hold};
use crate::object::kind::Kind;
use crate::object::state::Phase;
use crate::task::head::Class;

/// The most tasks that are entered for one object, and the most objects that one getter enters.
pub(crate) const MOST: usize = 256;
/// In one of so many turns the oldest task goes first.
const OLDEST_EVERY: usize = 16;

/// The place of the getter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Getter {
    /// In a body, which may hold a lock that other bodies wait for.
    InABody,
    /// On a thread that runs no body.
    Outside,
}

struct Awaited {
    task: Hold,
    from: Getter,
}

/// The queue of awaited tasks.
#[derive(Default)]
pub(crate) struct AwaitedQueue {
    count: AtomicUsize,
    turn: AtomicUsize,
    tasks: Mutex<VecDeque<Awaited>>,
    /// Whether the engine has ended. Then nothing is entered any more, since a task in this queue would live as long as the
    /// engine's last thread. Written under the lock.
    closed: AtomicBool,
}

impl AwaitedQueue {
    /// Whether the queue is empty, as far as can be seen without the lock.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// The tasks that must begin before `entry` can be settled and that a thread could run now: `entry` itself if it is a queued
    /// task for one CPU, otherwise the queued tasks among those that it waits for.
    pub(crate) fn startable(entry: &Header) -> Vec<Hold> {
        let mut todo = vec![Hold::of(entry)];
        let mut found = Vec::new();
        while let Some(entry) = todo.pop() {
            if todo.len() + found.len() > MOST {
                break;
            }
            match (entry.vtable.kind, entry.phase()) {
                (Kind::Part, phase) if !phase.is_settled() => {
                    todo.extend(crate::object::part::producer(&entry).cloned());
                }
                (Kind::Task, Phase::Waiting) => todo.extend(crate::task::dependency::pending_arguments(&entry)),
                (Kind::Task, Phase::Queued) if is_for_one_cpu(&entry) => found.push(entry),
                _ => {}
            }
        }
        found
    }

    /// Enters the startable tasks that `entry` needs.
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

    /// Like [`enter`](Self::enter), for an await, which may be polled often and then be dropped. A task is entered once, and only
    /// while the queue has fewer than [`MOST`] tasks.
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
        // Dropping a last hold frees memory, so it happens after the lock is released.
        drop(known);
    }

    /// Takes a task that has not been claimed. It is the newest one, so that a recursion goes deep before it goes wide, which would
    /// need a thread for each waiting body; sometimes it is the oldest one, so that no task waits for ever.
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

    /// Takes the oldest task that a body awaits.
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
        // Dropping a last hold frees memory and drops the arguments, so it happens after the lock is released.
        drop(stale);
        taken
    }

    /// Whether there is a queued task that a body awaits, and whether there is any queued task.
    pub(crate) fn waiting(&self) -> (bool, bool) {
        if self.is_empty() {
            return (false, false);
        }
        let tasks = self.tasks.lock();
        let mut queued = tasks.iter().filter(|next| next.task.phase() == Phase::Queued).peekable();
        let any = queued.peek().is_some();
        (queued.any(|next| next.from == Getter::InABody), any)
    }

    /// Removes all tasks that are no longer queued; called by a getter whose wait is over.
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

    /// Empties the queue for a shutdown, and closes it.
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

/// Whether the entry belongs in the queues of tasks for one CPU.
fn is_for_one_cpu(entry: &Header) -> bool {
    entry.task().is_some_and(|head| head.vtable().kind.in_class_queue && head.class() == Class::OneCpu)
}
