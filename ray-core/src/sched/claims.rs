//! Claims on resources that are not free, and the order in which they are served: a pure state machine.
//!
//! The node has claims, and each placement group has claims on its bundles. What is served, and from where, is decided by a [`Source`];
//! a *place* is one of its pools: a bundle, or the node.
//!
//! There are two kinds of claims. A *return* belongs to a getter that has its value and wants back the CPU that it gave up;
//! returns are urgent and served first, in order. A *start* belongs to a task, to an actor or to a placement group. On the node, tasks
//! for exactly one CPU make no claims. Starts with the same demand are in one queue, in order, and the queues are served by the age of
//! their heads.
//!
//! # How long others may overtake
//!
//! 1. Smaller work may overtake a start that does not fit, but only for [`PATIENCE`]. If the start then lacks only CPUs of the node,
//!    it is urgent: no task for one CPU gets a CPU before it. Bodies that wait lend their CPUs, so those become free.
//! 2. Younger starts for what it lacks wait, too, but only at intervals that grow with its age, because a body that holds a resource
//!    may wait for one of them. A younger start is served between two intervals at the latest, and the older one in the first interval
//!    that is longer than the bodies.
//! 3. A start makes no other work wait while living actors hold what it lacks: the others could not start until the actors die.
//!
//! A start that is no longer wanted (its task was cancelled, its actor killed or dropped, its group removed) is withdrawn by its key,
//! in logarithmic time. So every start here belongs to work that is still to begin.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::base::resources::Resources;
use crate::sched::gpus::Share;

/// How long smaller work may overtake a start.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// A claim that was served.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Grant<R, S> {
    Return(R),
    Start(Granted<S>),
}

/// A start that was served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Granted<S> {
    pub(crate) start: S,
    pub(crate) key: Key,
    pub(crate) demand: Resources,
    pub(crate) term: Term,
    /// The place that it was served from.
    pub(crate) place: usize,
    /// The GPUs: of a group those of each bundle, otherwise one share.
    pub(crate) shares: SmallVec<[Share; 1]>,
}

/// How long a start holds its resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Term {
    /// A task: until it ends.
    Body,
    /// An actor or a placement group: until it dies or is removed.
    Life,
}

/// The key of a start: the address of its task, actor or group. The claim keeps that alive, so no other start has the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) usize);

/// The demand of a start. Starts of the same shape are in one queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) demand: Resources,
    pub(crate) term: Term,
    /// The only place that may serve it; none: any place may.
    pub(crate) place: Option<usize>,
}

impl Shape {
    /// A demand on the node.
    pub(crate) fn of(demand: Resources, term: Term) -> Self {
        Self { demand, term, place: None }
    }
}

/// What a start lacks that bodies will give back when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Only CPUs.
    Cpu,
    /// Other resources.
    Others,
}

/// The pools that serve claims.
pub(crate) trait Source {
    /// Takes the CPU of a return, if it is free.
    fn take_return(&mut self, place: usize, units: u64) -> bool;

    /// Takes the demand of a start as a whole, or nothing, from a place for which it is not barred. `parts` are the bundles of a group.
    fn take(
        &mut self,
        shape: &Shape,
        parts: Option<&[Resources]>,
        is_barred: &dyn Fn(usize) -> bool,
    ) -> Option<(usize, SmallVec<[Share; 1]>)>;

    /// What a start lacks, and at which place; none: living actors hold what it lacks.
    fn lacks(&self, shape: &Shape, parts: Option<&[Resources]>) -> Option<(usize, Lack)>;
}

struct Waiting<S> {
    since: Instant,
    key: Key,
    parts: Option<Arc<[Resources]>>,
    start: S,
}

/// Starts of the same shape, by their turns.
struct Queue<S> {
    shape: Shape,
    waiting: BTreeMap<u64, Waiting<S>>,
}

/// The claims. `R` stands for a returning getter, `S` for a start.
pub(crate) struct Claims<R, S> {
    /// Place, units and getter of each return.
    returns: VecDeque<(usize, u64, R)>,
    queues: BTreeMap<u64, Queue<S>>,
    /// The queue of each shape.
    shapes: HashMap<Shape, u64>,
    /// Queue and turn of each start.
    places: HashMap<Key, (u64, u64)>,
    /// The next turn of a claim, or the next number of a queue.
    next: u64,
}

impl<R, S> Claims<R, S> {
    pub(crate) fn new() -> Self {
        Self { returns: VecDeque::new(), queues: BTreeMap::new(), shapes: HashMap::new(), places: HashMap::new(), next: 0 }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Adds the claim of a getter that wants its CPU units back, from that place.
    pub(crate) fn claim_return(&mut self, place: usize, units: u64, getter: R) {
        self.returns.push_back((place, units, getter));
    }

    /// Whether a getter waits for its CPU.
    pub(crate) fn has_returns(&self) -> bool {
        !self.returns.is_empty()
    }

    /// Whether a getter waits for its CPU of that place.
    pub(crate) fn has_return_at(&self, place: usize) -> bool {
        self.returns.iter().any(|(its, ..)| *its == place)
    }

    /// Takes the first return of that place out, whether or not its CPU is free.
    pub(crate) fn take_return_at(&mut self, place: usize) -> Option<(u64, R)> {
        let at = self.returns.iter().position(|(its, ..)| *its == place)?;
        self.returns.remove(at).map(|(_, units, getter)| (units, getter))
    }

    /// Takes the first return out, whether or not its CPU is free.
    pub(crate) fn take_return(&mut self) -> Option<(u64, R)> {
        self.returns.pop_front().map(|(_, units, getter)| (units, getter))
    }

    /// Adds the claim of a task, of an actor, or of a placement group with these bundles.
    pub(crate) fn claim_start(&mut self, key: Key, shape: Shape, parts: Option<Arc<[Resources]>>, start: S, now: Instant) {
        let turn = self.number();
        let at = match self.shapes.get(&shape) {
            Some(at) => *at,
            None => {
                let at = self.number();
                self.queues.insert(at, Queue { shape: shape.clone(), waiting: BTreeMap::new() });
                self.shapes.insert(shape, at);
                at
            }
        };
        let former = self.places.insert(key, (at, turn));
        debug_assert!(former.is_none(), "a start claims once at a time");
        if let Some(queue) = self.queues.get_mut(&at) {
            queue.waiting.insert(turn, Waiting { since: now, key, parts, start });
        }
    }

    /// Whether a start has such a shape.
    pub(crate) fn has_start(&self, is_such: impl Fn(&Shape) -> bool) -> bool {
        self.shapes.keys().any(is_such)
    }

    /// Takes the oldest start of such a shape out, whether or not its resources are free: one that goes first, if there is one.
    pub(crate) fn take_start(
        &mut self,
        is_such: impl Fn(&Shape) -> bool,
        goes_first: impl Fn(&S) -> bool,
    ) -> Option<(Key, Shape, S)> {
        let such = self.queues.iter().filter(|(_, queue)| is_such(&queue.shape));
        let starts = such.flat_map(|(at, queue)| queue.waiting.iter().map(|(turn, waiting)| (waiting, *turn, *at)));
        let (_, turn, at) = starts.map(|(waiting, turn, at)| (!goes_first(&waiting.start), turn, at)).min()?;
        self.remove(at, turn).map(|(waiting, shape)| (waiting.key, shape, waiting.start))
    }

    /// Removes a start that is no longer wanted; none: it has no claim, or was granted already.
    pub(crate) fn withdraw_start(&mut self, key: Key) -> Option<S> {
        let (at, turn) = *self.places.get(&key)?;
        self.remove(at, turn).map(|(waiting, _)| waiting.start)
    }

    fn remove(&mut self, at: u64, turn: u64) -> Option<(Waiting<S>, Shape)> {
        let queue = self.queues.get_mut(&at)?;
        let waiting = queue.waiting.remove(&turn)?;
        let shape = queue.shape.clone();
        self.places.remove(&waiting.key);
        if queue.waiting.is_empty()
            && let Some(queue) = self.queues.remove(&at)
        {
            self.shapes.remove(&queue.shape);
        }
        Some((waiting, shape))
    }

    /// The number of claims, and of those that must be served before unstarted work takes a CPU.
    pub(crate) fn counts(&self, now: Instant, source: &impl Source) -> (usize, usize) {
        let overdue = self
            .queues
            .values()
            .filter(|Queue { shape, waiting }| {
                waiting.first_key_value().is_some_and(|(_, head)| {
                    now.duration_since(head.since) >= PATIENCE
                        && shape.demand.cpu() > 0
                        && matches!(source.lacks(shape, head.parts.as_deref()), Some((_, Lack::Cpu)))
                })
            })
            .count();
        (self.returns.len() + self.places.len(), self.returns.len() + overdue)
    }

    /// How many getters wait for their CPU.
    pub(crate) fn returning(&self) -> usize {
        self.returns.len()
    }

    /// The waiting starts: each demand, and how many ask for it.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Resources, usize)> {
        self.queues.values().map(|queue| (&queue.shape.demand, queue.waiting.len()))
    }

    /// Serves the next claim that can be served.
    pub(crate) fn next(&mut self, now: Instant, source: &mut impl Source) -> Option<Grant<R, S>> {
        let mut bars = Bars::default();
        for at in 0..self.returns.len() {
            let (place, units, _) = self.returns[at];
            let cpu = Resources::of_cpu(units);
            if !bars.bar(place, &cpu) && source.take_return(place, units) {
                return self.returns.remove(at).map(|(_, _, getter)| Grant::Return(getter));
            }
            bars.add(place, cpu);
        }
        let heads = self.queues.iter().filter_map(|(at, queue)| Some((*queue.waiting.first_key_value()?.0, *at)));
        let mut order: Vec<(u64, u64)> = heads.collect();
        order.sort_unstable();
        for (turn, at) in order {
            let Some(Queue { shape, waiting }) = self.queues.get(&at) else { continue };
            let Some(head) = waiting.get(&turn) else { continue };
            let is_barred = |place| bars.bar(place, &shape.demand);
            if let Some((place, shares)) = source.take(shape, head.parts.as_deref(), &is_barred) {
                return self.remove(at, turn).map(|(waiting, shape)| {
                    let Waiting { key, start, .. } = waiting;
                    Grant::Start(Granted { start, key, demand: shape.demand, term: shape.term, place, shares })
                });
            }
            if !bars_younger(now.saturating_duration_since(head.since)) {
                continue;
            }
            match source.lacks(shape, head.parts.as_deref()) {
                Some((place, Lack::Cpu)) => bars.add(place, Resources::of_cpu(shape.demand.cpu())),
                Some((place, Lack::Others)) => bars.add(place, shape.demand.without_cpu()),
                None => {}
            }
        }
        None
    }

    /// Removes all starts, and returns them.
    pub(crate) fn take_starts(&mut self) -> Vec<S> {
        self.shapes.clear();
        self.places.clear();
        let queues = std::mem::take(&mut self.queues);
        queues.into_values().flat_map(|queue| queue.waiting.into_values().map(|waiting| waiting.start)).collect()
    }

    /// Removes all claims, for a shutdown, and returns the starts. CPUs are not counted any more, so returns are dropped.
    pub(crate) fn drain(&mut self) -> Vec<S> {
        self.returns.clear();
        self.take_starts()
    }
}

/// Whether a start of that age makes younger ones wait: from 1 to 2 times [`PATIENCE`], from 4 to 8 times,
/// from 16 to 32 times, and so on.
fn bars_younger(age: Duration) -> bool {
    let times = age.as_nanos() / PATIENCE.as_nanos();
    times.checked_ilog2().is_some_and(|power| power.is_multiple_of(2))
}

/// The resources that starts and returns keep from younger starts.
#[derive(Default)]
struct Bars(SmallVec<[(usize, Resources); 2]>);

impl Bars {
    fn add(&mut self, place: usize, kinds: Resources) {
        self.0.push((place, kinds));
    }

    /// Whether something in the demand is barred at that place.
    fn bar(&self, place: usize, demand: &Resources) -> bool {
        self.0.iter().any(|(barred, kinds)| *barred == place && kinds.overlaps(demand))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sched::cpu_pool::CpuPool;
    use crate::sched::node::Node;

    fn cpus(units: u64) -> Resources {
        Resources::of_cpu(units)
    }

    fn node(others: &Resources) -> Node<&'static str, usize> {
        Node::new(others)
    }

    fn start(node: &mut Node<&'static str, usize>, number: usize, demand: Resources, now: Instant) {
        node.claims.claim_start(Key(number), Shape::of(demand, Term::Body), None, number, now);
    }

    /// Serves claims, and returns the granted ones in order.
    fn serve(node: &mut Node<&'static str, usize>, cpu: &CpuPool, now: Instant) -> Vec<String> {
        let mut granted = Vec::new();
        while let Some(grant) = node.next(now, cpu) {
            granted.push(match grant {
                Grant::Return(getter) => getter.to_owned(),
                Grant::Start(granted) => granted.start.to_string(),
            });
        }
        granted
    }

    #[test]
    fn a_withdrawn_start_is_neither_counted_nor_served() {
        let (mut node, cpu) = (node(&Resources::NONE), CpuPool::new(6));
        let now = Instant::now();
        for number in 0..4 {
            start(&mut node, number, cpus(2), now);
        }
        node.claims.claim_start(Key(9), Shape::of(cpus(3), Term::Life), None, 9, now);
        let late = now + PATIENCE;
        assert_eq!(node.counts(late, &cpu), (5, 2));
        assert_eq!(node.claims.withdraw_start(Key(0)), Some(0));
        assert_eq!(node.claims.withdraw_start(Key(0)), None, "it is withdrawn only once");
        assert_eq!(node.claims.withdraw_start(Key(9)), Some(9));
        assert_eq!(node.counts(late, &cpu), (3, 1));
        assert_eq!(node.claims.withdraw_start(Key(2)), Some(2));
        assert_eq!(serve(&mut node, &cpu, now), ["1", "3"]);
        assert_eq!(node.claims.withdraw_start(Key(3)), None, "it was granted");
        assert_eq!(node.counts(late, &cpu), (0, 0));
        assert_eq!(node.claims.waiting().count(), 0);
    }

    #[test]
    fn the_oldest_head_that_fits_is_served_first() {
        let (mut node, cpu) = (node(&Resources::NONE), CpuPool::new(7));
        let now = Instant::now();
        for (number, units) in [(0, 5), (1, 2), (2, 1), (3, 2)] {
            start(&mut node, number, cpus(units), now);
        }
        assert!(cpu.take_ahead(3));
        assert_eq!(serve(&mut node, &cpu, now), ["1", "2"], "5 does not fit, and smaller starts overtake it");
        assert!(!cpu.give(6));
        assert_eq!(serve(&mut node, &cpu, now), ["0", "3"]);
    }

    #[test]
    fn a_start_that_lacks_cpus_is_not_overtaken_for_long() {
        let (mut node, cpu) = (node(&Resources::NONE), CpuPool::new(4));
        let now = Instant::now();
        start(&mut node, 0, cpus(4), now);
        start(&mut node, 1, cpus(2), now);
        start(&mut node, 2, Resources::NONE, now);
        assert!(cpu.take_ahead(1));
        assert_eq!(serve(&mut node, &cpu, now + PATIENCE), ["2"], "work that needs no CPU goes on");
        assert!(!cpu.give(1));
        assert_eq!(serve(&mut node, &cpu, now + PATIENCE), ["0"]);
    }

    #[test]
    fn a_start_that_lacks_others_bars_younger_ones_at_times() {
        let licence = |units| Resources::new(0, 0, 0, [("licence".into(), units)]);
        let (mut node, cpu) = (node(&licence(4)), CpuPool::new(0));
        let now = Instant::now();
        start(&mut node, 0, licence(1), now);
        assert_eq!(serve(&mut node, &cpu, now), ["0"]);
        start(&mut node, 1, licence(4), now);
        for number in 2..5 {
            start(&mut node, number, licence(1), now);
        }
        assert_eq!(serve(&mut node, &cpu, now + PATIENCE), Vec::<String>::new());
        assert_eq!(serve(&mut node, &cpu, now + 4 * PATIENCE), Vec::<String>::new());
        node.give_back(Key(0), &licence(1), Term::Body);
        assert_eq!(serve(&mut node, &cpu, now + 4 * PATIENCE), ["1"]);
        node.give_back(Key(1), &licence(4), Term::Body);
        assert_eq!(serve(&mut node, &cpu, now + 4 * PATIENCE), ["2", "3", "4"]);
        // What an actor holds does not become free soon.
        for number in 2..4 {
            node.give_back(Key(number), &licence(1), Term::Body);
        }
        node.claims.claim_start(Key(5), Shape::of(licence(1), Term::Life), None, 5, now);
        assert_eq!(serve(&mut node, &cpu, now), ["5"]);
        start(&mut node, 6, licence(4), now);
        start(&mut node, 7, licence(1), now);
        assert_eq!(serve(&mut node, &cpu, now + PATIENCE), ["7"]);
    }

    #[test]
    fn the_times_of_a_bar_grow() {
        let barred: Vec<u32> = (0..40).filter(|times| bars_younger(PATIENCE * *times)).collect();
        let expected: Vec<u32> = [1].into_iter().chain(4..8).chain(16..32).collect();
        assert_eq!(barred, expected);
    }

    #[test]
    fn returns_are_served_first_and_in_order() {
        let (mut node, cpu) = (node(&Resources::NONE), CpuPool::new(4));
        assert!(cpu.take_ahead(3));
        let now = Instant::now();
        start(&mut node, 1, cpus(1), now);
        node.claims.claim_return(0, 2, "first");
        node.claims.claim_return(0, 1, "second");
        assert_eq!(serve(&mut node, &cpu, now), Vec::<String>::new(), "no other claim overtakes the first return");
        assert!(!cpu.give(3));
        assert_eq!(serve(&mut node, &cpu, now), ["first", "second", "1"]);
    }

    #[test]
    fn drain_removes_all_starts() {
        let (mut node, cpu) = (node(&Resources::NONE), CpuPool::new(4));
        let now = Instant::now();
        for number in 0..3 {
            start(&mut node, number, cpus(number as u64 + 1), now);
        }
        let mut drained = node.claims.drain();
        drained.sort_unstable();
        assert_eq!(drained, [0, 1, 2]);
        assert_eq!(node.counts(now, &cpu), (0, 0));
        assert_eq!(node.claims.withdraw_start(Key(1)), None);
    }

    #[test]
    fn the_parts_of_a_group_are_taken_together_or_not_at_all() {
        use crate::base::resources::UNITS;
        let gpus = |units| Resources::new(0, units, 0, []);
        let (mut node, cpu) = (node(&gpus(2 * UNITS)), CpuPool::new(0));
        let now = Instant::now();
        start(&mut node, 1, gpus(UNITS / 2), now);
        assert_eq!(serve(&mut node, &cpu, now), ["1"]);
        let parts: Arc<[Resources]> = [gpus(UNITS), gpus(UNITS / 4), gpus(UNITS / 4)].into();
        let whole: Arc<[Resources]> = [gpus(UNITS), gpus(UNITS / 2), gpus(UNITS / 2)].into();
        let group = |total, parts: &Arc<[Resources]>| (Shape::of(gpus(total), Term::Life), Some(Arc::clone(parts)));
        let (shape, all) = group(2 * UNITS, &whole);
        node.claims.claim_start(Key(2), shape, all, 2, now);
        assert_eq!(serve(&mut node, &cpu, now), Vec::<String>::new());
        assert_eq!(node.free(), gpus(3 * UNITS / 2));
        let (shape, all) = group(3 * UNITS / 2, &parts);
        node.claims.claim_start(Key(3), shape, all, 3, now);
        let Some(Grant::Start(granted)) = node.next(now, &cpu) else { panic!("the second group fits") };
        assert_eq!(granted.shares[..], [vec![(1, UNITS)], vec![(0, UNITS / 4)], vec![(0, UNITS / 4)]]);
        assert!(node.free().is_none());
        for (part, share) in parts.iter().zip(&granted.shares) {
            node.give_back_part(part, share);
        }
        node.give_back(Key(1), &gpus(UNITS / 2), Term::Body);
        assert_eq!(serve(&mut node, &cpu, now), ["2"]);
    }
}
