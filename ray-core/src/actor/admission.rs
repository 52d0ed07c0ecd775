//! The slots of a concurrent actor: how many calls may use its instance at once, and which calls use it now.

use parking_lot::Mutex;

use crate::actor::groups::{Groups, Running};
use crate::actor::run_state::{Admit, Left, RunState};
use crate::base::concurrency_group::GroupSizes;
use crate::object::entry::Hold;
use crate::task::blockers::{Blocker, Blockers};

/// The slots of an actor. The actor's [`RunState`] counts them.
pub(crate) struct Admission {
    /// Of an actor with groups: the size of the default group.
    limit: u32,
    /// None for a class without concurrency groups.
    pub(crate) groups: Option<Box<Groups>>,
    /// The calls that have a slot. Lock order: this lock is taken before the lock of the actor's state.
    running: Mutex<Vec<Running>>,
}

impl Admission {
    pub(crate) fn new(limit: u32, groups: GroupSizes) -> Self {
        let groups = (!groups.is_empty()).then(|| Box::new(Groups::new(limit, groups)));
        Self { limit, groups, running: Mutex::new(Vec::new()) }
    }

    /// Takes a slot for a call, if one is free; `None`: the call was cancelled.
    #[inline]
    pub(crate) fn enter(&self, state: &RunState, call: &Hold, exclusive: bool) -> Option<Admit> {
        // Under both locks: a killer changes the state first, and then finds the call in the list.
        let mut running = self.running.lock();
        let states = state.lock();
        if call.phase().is_settled() {
            // Checked under the lock: a thread that cancels the call later makes the runner look again.
            return None;
        }
        let admit = states.admit(exclusive, self.limit);
        drop(states);
        if admit == Admit::Enter {
            running.push(Running { call: call.clone(), group: 0 });
        }
        Some(admit)
    }

    /// Takes a slot for the next call of the groups, if one of them may enter. Calls that were cancelled are moved to `gone`.
    /// The caller is the runner.
    pub(super) fn enter_group(&self, groups: &Groups, state: &RunState, gone: &mut Vec<Hold>) -> Option<Hold> {
        let mut running = self.running.lock();
        let entered = groups.enter(state, &running, gone)?;
        let call = entered.call.clone();
        running.push(entered);
        Some(call)
    }

    /// Takes the calls out that wait for a slot of their group. The caller has ended the actor.
    pub(super) fn take_waiting(&self) -> Vec<Hold> {
        self.groups.as_ref().map_or_else(Vec::new, |groups| groups.take_waiting())
    }

    /// Gives the slot of a call back.
    #[inline]
    pub(crate) fn leave(&self, state: &RunState, call: &Hold) -> Left {
        let mut running = self.running.lock();
        let place = running.iter().position(|other| other.call.entry() == call.entry());
        // Removes one place only: another attempt of the same call may have been admitted already.
        let hold = place.map(|place| running.swap_remove(place));
        let left = state.lock().leave();
        drop(running);
        drop(hold);
        left
    }

    /// The bodies that must end before a queued call can begin: all running bodies, if the call is exclusive or waits
    /// behind an exclusive call; one of them, if they have all slots, or all slots of the call's group.
    pub(crate) fn holders(&self, state: &RunState, call: &Hold, group: usize, exclusive: bool) -> Blockers {
        let running = self.running.lock();
        if running.iter().any(|running| running.call.entry() == call.entry()) {
            // The call was admitted after the caller had looked at it.
            return Blockers::none();
        }
        let alone = {
            let states = state.lock();
            states.is_exclusive() || states.waits_alone()
        };
        let bodies = |which: &dyn Fn(&&Running) -> bool| -> Vec<Blocker> {
            running.iter().filter(which).map(|running| Blocker::Entry(running.call.clone())).collect()
        };
        if exclusive || alone {
            return Blockers::each(bodies(&|_| true));
        }
        let (limit, beside) = match &self.groups {
            Some(groups) => (groups.size_of(group), bodies(&|running| running.group == group)),
            None => (self.limit, bodies(&|_| true)),
        };
        if beside.len() >= limit as usize { Blockers::one(beside) } else { Blockers::none() }
    }

    /// The calls that run.
    pub(crate) fn running(&self) -> Vec<Hold> {
        self.running.lock().iter().map(|running| running.call.clone()).collect()
    }

    /// Passes the calls that run to `look`. None of them can end before it returns.
    pub(crate) fn with_running<R>(&self, look: impl FnOnce(&[Running]) -> R) -> R {
        look(&self.running.lock())
    }
}
