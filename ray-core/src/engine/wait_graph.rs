//! The graph of gets that wait for each other, and the search for cycles.
//!
//! # Terms and rules
//!
//! 1. A *wait* is a get without a time-out that is about to park: the bodies of one thread (its frames) wait for an entry. Awaits,
//!    gets with a time-out and `wait` are not entered, because they may end otherwise.
//! 2. An entry waits for its *blockers*. A running body waits for the target of its own get. A queued call of an actor waits for
//!    the bodies that hold the actor's slots, or for the creation of the actor. A task waits for those of its arguments that are
//!    not ready, and a call also for the earlier calls of its caller.
//! 3. An entry is *stuck* if it is a body of the asking thread, or if its blockers are stuck: any of them, or all of them if the
//!    end of one suffices (one of several slots). A stuck entry never ends.
//! 4. A get whose target is stuck fails with `Deadlock`.
//!
//! Most cycles are closed by a get, which finds them. A cycle that something else closes (a call that is not admitted) is found
//! when a waiting getter looks again, about a second later.

use crate::task::blockers::{Blocker, Blockers};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::object::entry::{Header, Hold};
use crate::object::kind::Kind;
use crate::object::state::Phase;

/// The wait of a body or of a thread.
struct Wait {
    /// The entry that the body waits for.
    target: Hold,
    /// The name of the body, for reports.
    who: String,
    /// Whether this is a body, not a thread without one.
    inside: bool,
}

/// The current waits, by the address of the waiting body's entry.
#[derive(Default)]
pub(crate) struct Graph {
    waits: Mutex<HashMap<usize, Wait>>,
}

/// Removes the waits of a thread when it is dropped.
pub(crate) struct Waiting<'a> {
    graph: &'a Graph,
    bodies: Vec<usize>,
    target: Hold,
    who: String,
}

impl Waiting<'_> {
    /// Searches for a cycle again if the target is a call that has not started: something other than a get may have closed a cycle
    /// since.
    pub(crate) fn look_again(&self) -> Option<Error> {
        let target = &self.target;
        let in_line = target.task().is_some_and(|head| !head.vtable().kind.in_class_queue);
        if !in_line || !matches!(target.phase(), Phase::Waiting | Phase::Queued) {
            return None;
        }
        find(&self.graph.waits.lock(), target, &self.bodies).map(|path| deadlock(&self.who, path))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waits = self.graph.waits.lock();
        for body in &self.bodies {
            waits.remove(body);
        }
    }
}

pub(super) fn address(entry: NonNull<Header>) -> usize {
    entry.as_ptr().addr()
}

impl Graph {
    /// The waiting bodies and drivers, each with its target; none if the graph cannot be locked within `patience`.
    pub(crate) fn snapshot(&self, patience: Duration) -> Option<Vec<(String, Hold)>> {
        let waits = self.waits.try_lock_for(patience)?;
        Some(waits.values().map(|wait| (wait.who.clone(), wait.target.clone())).collect())
    }

    /// One line of text for each wait, for reports.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |wait: &Wait| format!("  {} waits for {}", wait.who, name_of(&wait.target, "an object"));
        self.waits.lock().values().map(line).collect()
    }

    /// The targets of all waits, each with whether a body waits for it.
    pub(crate) fn targets(&self) -> Vec<(Hold, bool)> {
        self.waits.lock().values().map(|wait| (wait.target.clone(), wait.inside)).collect()
    }

    /// Enters the wait of `bodies` for `target`, unless it closes a cycle. `inside` is false for a thread that runs no body.
    ///
    /// # Errors
    /// `Deadlock`, with the names of the members of the cycle.
    pub(super) fn enter(&self, bodies: Vec<usize>, names: Vec<String>, inside: bool, target: Hold) -> Result<Waiting<'_>, Error> {
        let mut waits = self.waits.lock();
        let who = names.first().cloned().unwrap_or_default();
        if let Some(path) = find(&waits, &target, &bodies) {
            return Err(deadlock(&who, path));
        }
        for (body, who) in bodies.iter().zip(names) {
            waits.insert(*body, Wait { target: target.clone(), who, inside });
        }
        drop(waits);
        Ok(Waiting { graph: self, bodies, target, who })
    }
}

fn deadlock(who: &str, path: Vec<String>) -> Error {
    Error::new(
        ErrorKind::Deadlock,
        format!(
            "this get would wait for ever: {who} waits for {}; break the cycle: do not get a result that needs the end of the getter itself, but pass the reference on, or await it in an `async fn`",
            path.join(" waits for ")
        ),
    )
}

pub(super) fn name_of(header: &Header, fallback: &str) -> String {
    header.task().map_or_else(|| format!("`{fallback}`"), |head| format!("`{}`", head.name()))
}

impl Blocker {
    fn address(&self) -> usize {
        match self {
            Self::Entry(entry) => address(entry.entry()),
            Self::Actor(actor) => *actor,
        }
    }

    fn name(&self, waits: &HashMap<usize, Wait>) -> String {
        match self {
            Self::Entry(entry) => name_of(entry, "an object"),
            Self::Actor(actor) => waits.get(actor).map_or_else(|| "a told call".to_owned(), |wait| wait.who.clone()),
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self, Self::Entry(entry) if entry.phase().is_settled())
    }

    /// The blockers of this one, as far as they are certain.
    fn blockers(&self, waits: &HashMap<usize, Wait>) -> Blockers {
        if let Some(wait) = waits.get(&self.address()) {
            return Blockers::each(vec![Self::Entry(wait.target.clone())]);
        }
        let Self::Entry(entry) = self else { return Blockers::each(Vec::new()) };
        match entry.vtable.kind {
            Kind::Part => {
                Blockers::each(crate::object::part::producer(entry).map(|whole| Self::Entry(whole.clone())).into_iter().collect())
            }
            Kind::Task => {
                let mut blockers = entry.task().map_or_else(Blockers::none, |head| (head.vtable().kind.blockers)(entry));
                if entry.phase() == Phase::Waiting {
                    blockers.of.extend(crate::task::dependency::pending_arguments(entry).into_iter().map(Self::Entry));
                }
                blockers
            }
            Kind::Put | Kind::Remote => Blockers::none(),
        }
    }
}

/// An entry that the target waits for, directly or through others.
struct Node {
    at: Blocker,
    /// The indices of its blockers: all of them must end before it can, or one.
    of: Vec<usize>,
    /// The indices of the nodes that wait for it, once for each edge.
    waiting: Vec<usize>,
    /// The number of blockers that must be found free before it is. For a body of the asking thread it is `usize::MAX`.
    missing: usize,
    free: bool,
}

/// All that the target waits for, in the order of distance. The target is the first node.
struct Reach {
    nodes: Vec<Node>,
    known: HashMap<usize, usize>,
}

impl Reach {
    /// Follows all edges, each once.
    fn of(waits: &HashMap<usize, Wait>, target: &Hold, bodies: &[usize]) -> Self {
        let mut reach = Self { nodes: Vec::new(), known: HashMap::new() };
        reach.node(Blocker::Entry(target.clone()));
        let mut next = 0;
        while let Some(node) = reach.nodes.get(next) {
            if bodies.contains(&node.at.address()) {
                reach.nodes[next].missing = usize::MAX;
            } else if !node.at.has_ended() {
                let Blockers { of, one } = node.at.blockers(waits);
                let of: Vec<usize> = of.into_iter().map(|blocker| reach.node(blocker)).collect();
                for &blocker in &of {
                    reach.nodes[blocker].waiting.push(next);
                }
                let node = &mut reach.nodes[next];
                node.missing = if one { of.len().min(1) } else { of.len() };
                node.of = of;
            }
            next += 1;
        }
        reach.free();
        reach
    }

    fn node(&mut self, at: Blocker) -> usize {
        let fresh = self.nodes.len();
        let index = *self.known.entry(at.address()).or_insert(fresh);
        if index == fresh {
            self.nodes.push(Node { at, of: Vec::new(), waiting: Vec::new(), missing: 0, free: false });
        }
        index
    }

    /// Finds the nodes that can end, beginning with those that wait for nothing. All other nodes wait for each other, or for a body
    /// of the asking thread.
    fn free(&mut self) {
        let mut todo: Vec<usize> = (0..self.nodes.len()).filter(|&index| self.nodes[index].missing == 0).collect();
        todo.iter().for_each(|&index| self.nodes[index].free = true);
        while let Some(free) = todo.pop() {
            for index in std::mem::take(&mut self.nodes[free].waiting) {
                let node = &mut self.nodes[index];
                node.missing = node.missing.saturating_sub(1);
                if node.missing == 0 && !node.free {
                    node.free = true;
                    todo.push(index);
                }
            }
        }
    }

    /// The path from the target, which is stuck, to the nearest body of the asking thread, or round a cycle if the target waits for
    /// a cycle that other threads have closed.
    fn way(&self) -> Vec<usize> {
        let stuck = |index: usize| self.nodes[index].of.iter().copied().filter(|&blocker| !self.nodes[blocker].free);
        let mut before = vec![usize::MAX; self.nodes.len()];
        let mut order = vec![0];
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            if self.nodes[index].missing == usize::MAX {
                let mut way = vec![index];
                while let Some(&last) = way.last().filter(|&&last| last != 0) {
                    way.push(before[last]);
                }
                way.reverse();
                return way;
            }
            for blocker in stuck(index) {
                if blocker != 0 && before[blocker] == usize::MAX {
                    before[blocker] = index;
                    order.push(blocker);
                }
            }
            next += 1;
        }
        let mut way = vec![0];
        while let Some(blocker) = way.last().and_then(|&last| stuck(last).next()) {
            let known = way.contains(&blocker);
            way.push(blocker);
            if known {
                break;
            }
        }
        way
    }
}

/// If `target` is stuck, the names on a path to one of `bodies`, the last included.
fn find(waits: &HashMap<usize, Wait>, target: &Hold, bodies: &[usize]) -> Option<Vec<String>> {
    let reach = Reach::of(waits, target, bodies);
    if reach.nodes[0].free {
        return None;
    }
    Some(reach.way().into_iter().map(|index| reach.nodes[index].at.name(waits)).collect())
}
