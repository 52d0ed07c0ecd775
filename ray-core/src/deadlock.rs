//! Gets that wait for each other, and a node that stands still.
//!
//! A *wait* is an untimed get inside the engine that is about to park: these bodies (the frames of one thread) wait
//! for that entry. An entry waits in its turn for what must end before it can: a running body for what its own get
//! waits for; a queued actor call for the bodies that hold all the actor's slots, or for earlier calls; a task with
//! arguments for those that are not ready. A way from an entry back to a body of the asking thread is a cycle: nobody
//! on it can ever go on. Awaits, timed gets and `wait` are not judged, since they may go on without it.

use std::collections::{HashMap, HashSet};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::event::Notice;
use crate::runtime::{Engine, lock};
use crate::store::entry::{Header, Hold, Kind};
use crate::store::state::Phase;
use crate::thread::ThreadState;

/// What must end before something else can.
pub(crate) enum Blocker {
    Entry(Hold),
    /// The told call that an actor runs, which has no entry: by the address of the actor.
    Actor(usize),
}

/// A body that waits.
struct Wait {
    /// What it waits for.
    target: Hold,
    /// Its name, for reports.
    who: String,
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
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waits = lock(&self.graph.waits);
        for body in &self.bodies {
            waits.remove(body);
        }
    }
}

fn address(entry: NonNull<Header>) -> usize {
    entry.as_ptr().addr()
}

impl Graph {
    /// Enters the wait of this thread's bodies for `target`, unless that closes a cycle.
    ///
    /// # Errors
    /// `Deadlock`, naming the members.
    pub(crate) fn enter<'a>(&'a self, state: &ThreadState, target: NonNull<Header>) -> Result<Waiting<'a>, Error> {
        let mut bodies = Vec::new();
        let mut names = Vec::new();
        let mut frame = state.frame();
        while let Some(body) = frame {
            match (body.entry, body.actor) {
                (Some(entry), _) => {
                    bodies.push(address(entry));
                    names.push(name_of(entry, body.spec.name()));
                }
                (None, Some(actor)) => {
                    bodies.push(actor.as_ptr().addr());
                    names.push(format!("`{}`", body.spec.name()));
                }
                (None, None) => {}
            }
            // SAFETY: frames below are on this thread's stack.
            frame = unsafe { body.below.as_ref() };
        }
        let mut waits = lock(&self.waits);
        // SAFETY: the getter has a ref to its target.
        let hold = unsafe { Hold::new(target) };
        if let Some(path) = find(&waits, &hold, &bodies) {
            let mut members = vec![names.first().cloned().unwrap_or_default()];
            members.extend(path);
            return Err(Error::new(
                ErrorKind::Deadlock,
                format!(
                    "this get would wait for ever: {}; break the cycle by not getting a result that needs the getter's own end: pass the reference on, or await it in an `async fn`",
                    members.join(" waits for ")
                ),
            ));
        }
        for (body, who) in bodies.iter().zip(names) {
            // SAFETY: as above.
            waits.insert(*body, Wait { target: unsafe { Hold::new(target) }, who });
        }
        drop(waits);
        Ok(Waiting { graph: self, bodies })
    }
}

fn name_of(entry: NonNull<Header>, fallback: &str) -> String {
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
    fn blockers(&self, waits: &HashMap<usize, Wait>) -> Vec<Self> {
        if let Some(wait) = waits.get(&self.address()) {
            // SAFETY: held by the table, which is locked.
            return vec![Self::Entry(unsafe { Hold::new(wait.target.entry()) })];
        }
        let Self::Entry(entry) = self else { return Vec::new() };
        match entry.vtable.kind {
            Kind::Part => crate::task::parts::producer(entry)
                // SAFETY: held by the part.
                .map(|whole| Self::Entry(unsafe { Hold::new(whole.entry()) }))
                .into_iter()
                .collect(),
            Kind::Task | Kind::Call if entry.phase() == Phase::Waiting => {
                crate::task::dependency::pending_arguments(entry).into_iter().map(Self::Entry).collect()
            }
            Kind::Call => crate::actor::run::holders(entry),
            Kind::Put | Kind::Task => Vec::new(),
        }
    }
}

/// The names on a way from `target` to one of `bodies`, the last included.
fn find(waits: &HashMap<usize, Wait>, target: &Hold, bodies: &[usize]) -> Option<Vec<String>> {
    // SAFETY: held by the caller.
    let start = Blocker::Entry(unsafe { Hold::new(target.entry()) });
    if bodies.contains(&start.address()) {
        return Some(vec![start.name(waits)]);
    }
    let mut seen = HashSet::new();
    let next = start.blockers(waits).into_iter();
    let mut path = vec![(start, next)];
    while let Some((_, next)) = path.last_mut() {
        let Some(blocker) = next.next() else {
            path.pop();
            continue;
        };
        if bodies.contains(&blocker.address()) {
            let mut names: Vec<_> = path.iter().map(|(passed, _)| passed.name(waits)).collect();
            names.push(blocker.name(waits));
            return Some(names);
        }
        if blocker.has_ended() || !seen.insert(blocker.address()) {
            continue;
        }
        let next = blocker.blockers(waits).into_iter();
        path.push((blocker, next));
    }
    None
}

/// Says who waits for what while nothing moves.
pub(crate) fn report_stall(engine: &Engine, still: Duration) {
    let mut lines = vec![format!("nothing has started or ended for {:.0} s, and work is waiting:", still.as_secs_f64())];
    for (demand, count) in lock(&engine.claims).waiting() {
        lines.push(format!("  {count} task(s) or actor(s) ask for {demand}"));
    }
    if engine.has_cpu_work() {
        lines.push("  tasks wait for a CPU".to_owned());
    }
    if !engine.free.is_empty() {
        lines.push("  work that asks for no CPU waits for a thread".to_owned());
    }
    lines.push(format!(
        "  free now: {} of {} CPU; the node has {}",
        engine.cpu.free() as f64 / crate::resources::UNITS as f64,
        engine.cpu.total() as f64 / crate::resources::UNITS as f64,
        engine.total()
    ));
    for name in engine.running_bodies() {
        lines.push(format!("  running: {name}"));
    }
    for wait in lock(&engine.waits.waits).values() {
        lines.push(format!("  {} waits for {}", wait.who, name_of(wait.target.entry(), "an object")));
    }
    crate::event::warn(Notice::Stall, &lines.join("\n"));
}
