//! Gets that wait for each other, and a node that stands still.
//!
//! A *wait* is an untimed get inside the engine that is about to park: these bodies (the frames of one thread) wait
//! for that entry. An entry waits in its turn for what must end before it can: a running body for what its own get
//! waits for; a queued actor call for the bodies that hold the actor's slots, or for its creation; a task with
//! arguments for those that are not ready, a call also for its caller's earlier ones. An entry is *stuck* if it is a
//! body of the asking thread, or what it waits for is stuck: any of it, but all of it where the end of one would do (a
//! slot among several). Then nobody involved can ever go on. Awaits, timed gets and `wait` are not judged, since they
//! may go on without it.
//!
//! Most cycles are closed by a get, and found by it. One that is closed by something else (a call that is not
//! admitted) is found when the getter looks again, about a second later.

use crate::task::blockers::{Blocker, Blockers};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::object::entry::{Header, Hold};
use crate::object::kind::Kind;
use crate::object::state::Phase;

/// A body that waits.
struct Wait {
    /// What it waits for.
    target: Hold,
    /// Its name, for reports.
    who: String,
    /// It is a body, not a thread of which the engine knows nothing.
    inside: bool,
}

/// The waits of now, by the address of the waiting body's entry.
#[derive(Default)]
pub(crate) struct Graph {
    waits: Mutex<HashMap<usize, Wait>>,
}

/// Takes the thread's waits off again.
pub(crate) struct Waiting<'a> {
    graph: &'a Graph,
    bodies: Vec<usize>,
    target: NonNull<Header>,
    who: String,
}

impl Waiting<'_> {
    /// Judges again, where something else than a get may have closed a cycle since: the target is a call that has not
    /// started.
    pub(crate) fn look_again(&self) -> Option<Error> {
        // SAFETY: the getter has a ref to its target for as long as it waits.
        let target = unsafe { Hold::new(self.target) };
        let in_line = target.task().is_some_and(|head| !head.vtable().kind.in_class_queue);
        if !in_line || !matches!(target.phase(), Phase::Waiting | Phase::Queued) {
            return None;
        }
        find(&self.graph.waits.lock(), &target, &self.bodies).map(|path| deadlock(&self.who, path))
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
    /// The bodies and drivers that wait, with what they wait for; none where that cannot be looked at within a time.
    pub(crate) fn snapshot(&self, patience: Duration) -> Option<Vec<(String, Hold)>> {
        let waits = self.waits.try_lock_for(patience)?;
        // SAFETY: held by the table, which is locked.
        Some(waits.values().map(|wait| (wait.who.clone(), unsafe { Hold::new(wait.target.entry()) })).collect())
    }

    /// A line for each wait, for reports.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |wait: &Wait| format!("  {} waits for {}", wait.who, name_of(wait.target.entry(), "an object"));
        self.waits.lock().values().map(line).collect()
    }

    /// What is waited for now, and whether a body waits for it.
    pub(crate) fn targets(&self) -> Vec<(Hold, bool)> {
        // SAFETY: held by the table, which is locked.
        self.waits.lock().values().map(|wait| (unsafe { Hold::new(wait.target.entry()) }, wait.inside)).collect()
    }

    /// Enters the wait of `bodies` for `target`, unless that closes a cycle. A thread that runs no body is not `inside`.
    ///
    /// # Errors
    /// `Deadlock`, naming the members.
    pub(super) fn enter(
        &self,
        bodies: Vec<usize>,
        names: Vec<String>,
        inside: bool,
        target: NonNull<Header>,
    ) -> Result<Waiting<'_>, Error> {
        let mut waits = self.waits.lock();
        // SAFETY: the getter has a ref to its target.
        let hold = unsafe { Hold::new(target) };
        let who = names.first().cloned().unwrap_or_default();
        if let Some(path) = find(&waits, &hold, &bodies) {
            return Err(deadlock(&who, path));
        }
        for (body, who) in bodies.iter().zip(names) {
            // SAFETY: as above.
            waits.insert(*body, Wait { target: unsafe { Hold::new(target) }, who, inside });
        }
        drop(waits);
        Ok(Waiting { graph: self, bodies, target, who })
    }
}

fn deadlock(who: &str, path: Vec<String>) -> Error {
    Error::new(
        ErrorKind::Deadlock,
        format!(
            "this get would wait for ever: {who} waits for {}; break the cycle by not getting a result that needs the getter's own end: pass the reference on, or await it in an `async fn`",
            path.join(" waits for ")
        ),
    )
}

pub(super) fn name_of(entry: NonNull<Header>, fallback: &str) -> String {
    // SAFETY: the caller knows it alive.
    let header = unsafe { entry.as_ref() };
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
            Self::Entry(entry) => name_of(entry.entry(), "an object"),
            Self::Actor(actor) => waits.get(actor).map_or_else(|| "a told call".to_owned(), |wait| wait.who.clone()),
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self, Self::Entry(entry) if entry.phase().is_settled())
    }

    /// What must end before this can, as far as it is certain.
    fn blockers(&self, waits: &HashMap<usize, Wait>) -> Blockers {
        if let Some(wait) = waits.get(&self.address()) {
            // SAFETY: held by the table, which is locked.
            return Blockers::each(vec![Self::Entry(unsafe { Hold::new(wait.target.entry()) })]);
        }
        let Self::Entry(entry) = self else { return Blockers::each(Vec::new()) };
        match entry.vtable.kind {
            Kind::Part => Blockers::each(
                crate::object::part::producer(entry)
                    // SAFETY: held by the part.
                    .map(|whole| Self::Entry(unsafe { Hold::new(whole.entry()) }))
                    .into_iter()
                    .collect(),
            ),
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

/// Something that the target waits for, directly or through others.
struct Node {
    at: Blocker,
    /// The nodes that must end before it can: each of them, or one.
    of: Vec<usize>,
    /// The nodes that wait for it, once for each edge.
    waiting: Vec<usize>,
    /// So many of its blockers must be found free before it is; of a body of the asking thread, more than there are.
    missing: usize,
    free: bool,
}

/// What the target waits for, in the order of distance; the target is the first.
struct Reach {
    nodes: Vec<Node>,
    known: HashMap<usize, usize>,
}

impl Reach {
    /// Walks along the edges, each once.
    fn of(waits: &HashMap<usize, Wait>, target: &Hold, bodies: &[usize]) -> Self {
        let mut reach = Self { nodes: Vec::new(), known: HashMap::new() };
        // SAFETY: held by the caller.
        reach.node(Blocker::Entry(unsafe { Hold::new(target.entry()) }));
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

    /// Finds all that can go on, from those that wait for nothing. The others wait for each other, or for a body of the asking
    /// thread.
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

    /// The way from the target, which is stuck, to the nearest body of the asking thread; or round a circle, if it waits for
    /// one that others have closed.
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

/// Whether `target` is stuck: then the names on a way to one of `bodies`, the last included.
fn find(waits: &HashMap<usize, Wait>, target: &Hold, bodies: &[usize]) -> Option<Vec<String>> {
    let reach = Reach::of(waits, target, bodies);
    if reach.nodes[0].free {
        return None;
    }
    Some(reach.way().into_iter().map(|index| reach.nodes[index].at.name(waits)).collect())
}
