//! Checks the order of events.

use std::collections::{HashMap, HashSet};

use ray::__private::{Event, EventKind};
use ray::TaskId;

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Submitted,
    Ready,
    Running,
    /// Its body waits, on that thread.
    Waiting(u64),
    Settled,
}

/// Sorts the events by time. `told` has them in the order of the calls of the listener. Every task is settled.
///
/// # Panics
/// If an event is not in its place.
#[track_caller]
pub(super) fn ordered(told: &[Event]) -> Vec<Event> {
    let mut last = HashMap::new();
    for event in told {
        let before = last.insert(event.thread, event.time).unwrap_or_default();
        assert!(event.time > before, "a thread goes back to an earlier time: {event:?}");
    }
    let mut events = told.to_vec();
    events.sort_unstable_by_key(|event| event.time);
    let times: HashSet<u64> = events.iter().map(|event| event.time).collect();
    assert_eq!(times.len(), events.len(), "each event has a time of its own");
    let mut tasks: HashMap<TaskId, State> = HashMap::new();
    for event in &events {
        if let Some(parent) = event.parent {
            assert!(event.kind == EventKind::Submitted && tasks.contains_key(&parent), "no such parent: {event:?}");
        }
        let state = tasks.get(&event.task).copied();
        let next = after(state, event).unwrap_or_else(|| {
            let history: Vec<_> = events.iter().filter(|other| other.task == event.task).collect();
            panic!("{event:?} cannot come after {state:?}: {history:#?}")
        });
        tasks.insert(event.task, next);
    }
    assert!(tasks.values().all(|state| *state == State::Settled), "every task is settled");
    events
}

/// The state of a task after an event; `None` if the event cannot come in the state before it.
fn after(state: Option<State>, event: &Event) -> Option<State> {
    Some(match (state, event.kind) {
        (None, EventKind::Submitted) => State::Submitted,
        (Some(State::Submitted), EventKind::Ready) => State::Ready,
        (Some(State::Ready | State::Running), EventKind::Started) => State::Running,
        (Some(State::Running), EventKind::Blocked) => State::Waiting(event.thread),
        (Some(State::Waiting(thread)), EventKind::Resumed) if thread == event.thread => State::Running,
        (Some(State::Running), EventKind::Settled { failed: false }) => State::Settled,
        (Some(state), EventKind::Settled { failed: true }) if state != State::Settled => State::Settled,
        _ => return None,
    })
}
