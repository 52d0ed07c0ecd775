//! The concurrency groups of an actor: the calls that wait for a slot of their group.
//!
//! The runner moves the calls of the mailbox to the *lines* of their groups, so that a full group does not keep the calls of
//! the others back. The first call of a line enters as soon as fewer calls of its group run than the group's size. A call of a
//! `&mut self` method needs the instance for itself: when it is the first of its line, no other call enters until it has run.
//!
//! The transitions are those of every concurrent actor ([`run_state`](crate::actor::run_state)): `WAITING` says that no call
//! of the lines could enter. So the next body that leaves, or a thread that cancels a call, has the runner look again.
//!
//! The actor's head refers to its groups, and every call to the head. So a call stands here as the hold on its entry, with the two
//! facts that decide when it enters.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::actor::run_state::{Admit, Guard, RunState};
use crate::base::concurrency_group::GroupSizes;
use crate::object::entry::Hold;

/// See the [module](self). The number of a group is that of
/// [`Group`](crate::base::concurrency_group::Group); the first is the default group.
pub(crate) struct Groups {
    sizes: Box<[u32]>,
    /// Lock order: this lock is taken after that of the running calls, and before that of the actor's state.
    lines: Mutex<Lines>,
    /// A call stands in a line. Written by the runner, and by the thread that has ended the actor.
    waits: AtomicBool,
}

struct Lines {
    /// The calls of each group.
    calls: Box<[VecDeque<Waiting>]>,
    /// The number of the next call.
    next: u64,
}

/// A call in a line.
struct Waiting {
    /// The calls are numbered in the order of the mailbox.
    number: u64,
    exclusive: bool,
    call: Hold,
}

/// A call that has a slot.
pub(crate) struct Running {
    pub(super) call: Hold,
    /// The number of its group; 0 for an actor without groups.
    pub(super) group: usize,
}

impl Groups {
    /// The groups of a class, with the size of the default group.
    pub(crate) fn new(default: u32, groups: GroupSizes) -> Self {
        let sizes: Box<[u32]> = std::iter::once(default).chain(groups.iter().map(|(_, size)| *size)).collect();
        let calls = sizes.iter().map(|_| VecDeque::new()).collect();
        Self { sizes, lines: Mutex::new(Lines { calls, next: 0 }), waits: AtomicBool::new(false) }
    }

    /// The size of a group.
    pub(super) fn size_of(&self, group: usize) -> u32 {
        self.sizes[group]
    }

    /// Whether calls wait for slots.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Puts a call of the mailbox in the line of its group. `Err`: the actor is dead, and the caller fails the call. The caller is
    /// the runner.
    pub(super) fn line_up(&self, state: &RunState, call: Hold, group: usize, exclusive: bool) -> Result<(), Hold> {
        let mut lines = self.lines.lock();
        // Under the lock: the thread that ends the actor changes the state first, and then empties the lines.
        if state.life().is_dead() {
            return Err(call);
        }
        let number = lines.next;
        lines.next += 1;
        lines.calls[group].push_back(Waiting { number, exclusive, call });
        self.waits.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes the next call that may enter out of its line, and takes its slot. Calls that were cancelled are moved to `gone`.
    /// The caller is the runner, and has the lock of the running calls.
    pub(super) fn enter(&self, state: &RunState, running: &[Running], gone: &mut Vec<Hold>) -> Option<Running> {
        let mut lines = self.lines.lock();
        let states = state.lock();
        for line in &mut lines.calls {
            // Checked under the lock of the state: a thread that cancels a call later has the runner look again.
            while line.front().is_some_and(|first| first.call.phase().is_settled()) {
                gone.extend(line.pop_front().map(|first| first.call));
            }
        }
        let group = self.next_group(&lines, &states, running);
        drop(states);
        let entered = group.and_then(|group| Some(Running { call: lines.calls[group].pop_front()?.call, group }));
        let waits = lines.calls.iter().any(|line| !line.is_empty());
        self.waits.store(waits, Ordering::Release);
        entered
    }

    /// The group whose first call has just got a slot.
    fn next_group(&self, lines: &Lines, states: &Guard<'_>, running: &[Running]) -> Option<usize> {
        let first = |group: &usize| lines.calls[*group].front();
        let earliest = |group: &usize| first(group).map(|first| first.number);
        let all = || (0..lines.calls.len()).filter(|group| first(group).is_some());
        let exclusive = all().filter(|group| first(group).is_some_and(|first| first.exclusive)).min_by_key(earliest);
        if let Some(group) = exclusive {
            return (states.admit(true, 0) == Admit::Enter).then_some(group);
        }
        let has_slot =
            |group: &usize| running.iter().filter(|running| running.group == *group).count() < self.sizes[*group] as usize;
        match all().filter(has_slot).min_by_key(earliest) {
            Some(group) => (states.admit(false, u32::MAX) == Admit::Enter).then_some(group),
            None => {
                if all().next().is_some() {
                    // All groups with calls are full: this records that a call waits.
                    let _ = states.admit(false, 0);
                }
                None
            }
        }
    }

    /// Takes all calls out of the lines, of an actor that has just been ended.
    pub(super) fn take_waiting(&self) -> Vec<Hold> {
        let mut lines = self.lines.lock();
        self.waits.store(false, Ordering::Release);
        lines.calls.iter_mut().flat_map(std::mem::take).map(|waiting| waiting.call).collect()
    }

    /// The number of calls that wait for slots; none if the lines are locked.
    pub(crate) fn waiting(&self) -> Option<usize> {
        self.lines.try_lock().map(|lines| lines.calls.iter().map(VecDeque::len).sum())
    }
}
