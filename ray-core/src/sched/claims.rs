//! Claims on resources that are not free, and the order in which they are served: a pure state machine.
//!
//! There are two kinds of claims. A *return* belongs to a getter that has its value and wants back the CPU that it gave up;
//! returns are urgent and served first, in order. A *start* belongs to a task or an actor that asks for something other than
//! one CPU; starts with the same demand are in one queue, in order, and the queues are served by the age of their heads. Smaller
//! work may overtake a start that does not fit, but only for [`PATIENCE`]; then the start is urgent too, so it cannot starve. A
//! start is never urgent while living actors hold what it needs: it would keep all other work from starting until they die.
//!
//! A start that is no longer wanted (its task was cancelled, its actor killed or dropped) is withdrawn by its key, in logarithmic
//! time. So every start here belongs to work that is still to begin.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::base::resources::Resources;
use crate::sched::available::Available;

/// How long smaller work may overtake a start.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// A claim that was served.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Grant<R, S> {
    Return(R),
    Start(S),
}

/// How long a start holds its resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Term {
    /// A task: until it ends.
    Body,
    /// An actor: until it dies.
    Life,
}

/// The key of a start: the address of its task or actor. The claim keeps that alive, so no other start has the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) usize);

struct Waiting<S> {
    since: Instant,
    key: Key,
    start: S,
}

/// Starts with the same demand and term, by their turns.
struct Queue<S> {
    demand: Resources,
    term: Term,
    waiting: BTreeMap<u64, Waiting<S>>,
}

/// The claims. `R` stands for a returning getter, `S` for a start.
pub(crate) struct Claims<R, S> {
    returns: VecDeque<(u64, R)>,
    queues: BTreeMap<u64, Queue<S>>,
    /// The queue of each demand.
    shapes: HashMap<(Resources, Term), u64>,
    /// Queue and turn of each start.
    places: HashMap<Key, (u64, u64)>,
    /// The next turn of a claim, or the next number of a queue.
    next: u64,
    /// The resources other than CPUs; the CPUs are in [`CpuPool`](crate::sched::cpu_pool::CpuPool).
    pub(crate) others: Available,
}

impl<R, S> Claims<R, S> {
    pub(crate) fn new(others: Available) -> Self {
        Self {
            returns: VecDeque::new(),
            queues: BTreeMap::new(),
            shapes: HashMap::new(),
            places: HashMap::new(),
            next: 0,
            others,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Adds the claim of a getter that wants its CPU units back.
    pub(crate) fn claim_return(&mut self, units: u64, getter: R) {
        self.returns.push_back((units, getter));
    }

    /// Whether a getter waits for its CPU.
    pub(crate) fn has_returns(&self) -> bool {
        !self.returns.is_empty()
    }

    /// Takes the first return out, whether or not its CPU is free.
    pub(crate) fn take_return(&mut self) -> Option<(u64, R)> {
        self.returns.pop_front()
    }

    /// Adds the claim of a task or an actor.
    pub(crate) fn claim_start(&mut self, key: Key, demand: Resources, term: Term, start: S, now: Instant) {
        let turn = self.number();
        let shape = (demand, term);
        let at = match self.shapes.get(&shape) {
            Some(at) => *at,
            None => {
                let at = self.number();
                self.queues.insert(at, Queue { demand: shape.0.clone(), term, waiting: BTreeMap::new() });
                self.shapes.insert(shape, at);
                at
            }
        };
        let former = self.places.insert(key, (at, turn));
        debug_assert!(former.is_none(), "a start claims once at a time");
        if let Some(queue) = self.queues.get_mut(&at) {
            queue.waiting.insert(turn, Waiting { since: now, key, start });
        }
    }

    /// Removes a start that is no longer wanted; none: it has no claim, or was granted already.
    pub(crate) fn withdraw_start(&mut self, key: Key) -> Option<S> {
        let (at, turn) = *self.places.get(&key)?;
        self.remove(at, turn)
    }

    fn remove(&mut self, at: u64, turn: u64) -> Option<S> {
        let queue = self.queues.get_mut(&at)?;
        let Waiting { key, start, .. } = queue.waiting.remove(&turn)?;
        self.places.remove(&key);
        if queue.waiting.is_empty()
            && let Some(queue) = self.queues.remove(&at)
        {
            self.shapes.remove(&(queue.demand, queue.term));
        }
        Some(start)
    }

    /// The number of claims, and of those that must be served before unstarted work takes a CPU. `room` returns whether so many CPU
    /// units can become free for that term if no other start gets any.
    pub(crate) fn counts(&self, now: Instant, room: impl Fn(u64, Term) -> bool) -> (usize, usize) {
        let overdue = self
            .queues
            .values()
            .filter(|Queue { demand, term, waiting }| {
                waiting.first_key_value().is_some_and(|(_, head)| now.duration_since(head.since) >= PATIENCE)
                    && demand.cpu() > 0
                    && room(demand.cpu(), *term)
                    && self.others.fits(&demand.without_cpu())
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
        self.queues.values().map(|queue| (&queue.demand, queue.waiting.len()))
    }

    /// Serves the next claim that can be served; `take` takes CPU units for that term.
    pub(crate) fn next(&mut self, mut take: impl FnMut(u64, Term) -> bool) -> Option<Grant<R, S>> {
        if let Some((units, _)) = self.returns.front() {
            if take(*units, Term::Body) {
                return self.returns.pop_front().map(|(_, getter)| Grant::Return(getter));
            }
            return None;
        }
        let heads = self.queues.iter().filter_map(|(at, queue)| Some((*queue.waiting.first_key_value()?.0, *at)));
        let mut order: Vec<(u64, u64)> = heads.collect();
        order.sort_unstable();
        for (turn, at) in order {
            let Some(Queue { demand, term, .. }) = self.queues.get(&at) else { continue };
            let others = demand.without_cpu();
            if !self.others.fits(&others) || !take(demand.cpu(), *term) {
                continue;
            }
            let taken = self.others.take(&others);
            debug_assert!(taken, "a demand that fits can be taken");
            return self.remove(at, turn).map(Grant::Start);
        }
        None
    }

    /// Removes all claims, for a shutdown, and returns the starts. CPUs are not counted any more, so returns are dropped.
    pub(crate) fn drain(&mut self) -> Vec<S> {
        self.returns.clear();
        self.shapes.clear();
        self.places.clear();
        let queues = std::mem::take(&mut self.queues);
        queues.into_values().flat_map(|queue| queue.waiting.into_values().map(|waiting| waiting.start)).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn cpus(units: u64) -> Resources {
        Resources::new(units, 0, 0, [])
    }

    fn claims() -> Claims<&'static str, usize> {
        Claims::new(Available::new(Resources::NONE))
    }

    /// Serves claims from `free` CPU units, and returns the granted ones in order.
    fn serve(claims: &mut Claims<&'static str, usize>, free: &mut u64) -> Vec<String> {
        let mut granted = Vec::new();
        let mut take = |units, _| {
            let fits = units <= *free;
            *free -= if fits { units } else { 0 };
            fits
        };
        while let Some(grant) = claims.next(&mut take) {
            granted.push(match grant {
                Grant::Return(getter) => getter.to_owned(),
                Grant::Start(start) => start.to_string(),
            });
        }
        granted
    }

    #[test]
    fn a_withdrawn_start_is_neither_counted_nor_served() {
        let mut claims = claims();
        let now = Instant::now();
        for start in 0..4 {
            claims.claim_start(Key(start), cpus(2), Term::Body, start, now);
        }
        claims.claim_start(Key(9), cpus(3), Term::Life, 9, now);
        let late = now + PATIENCE;
        assert_eq!(claims.counts(late, |_, _| true), (5, 2));
        assert_eq!(claims.withdraw_start(Key(0)), Some(0));
        assert_eq!(claims.withdraw_start(Key(0)), None, "it is withdrawn only once");
        assert_eq!(claims.withdraw_start(Key(9)), Some(9));
        assert_eq!(claims.counts(late, |_, _| true), (3, 1));
        assert_eq!(claims.withdraw_start(Key(2)), Some(2));
        assert_eq!(serve(&mut claims, &mut 6), ["1", "3"]);
        assert_eq!(claims.withdraw_start(Key(3)), None, "it was granted");
        assert_eq!(claims.counts(late, |_, _| true), (0, 0));
        assert_eq!(claims.waiting().count(), 0);
    }

    #[test]
    fn the_oldest_head_that_fits_is_served_first() {
        let mut claims = claims();
        let now = Instant::now();
        for (start, units) in [(0, 5), (1, 2), (2, 1), (3, 2)] {
            claims.claim_start(Key(start), cpus(units), Term::Body, start, now);
        }
        let mut free = 4;
        assert_eq!(serve(&mut claims, &mut free), ["1", "2"], "5 does not fit, and smaller starts overtake it");
        free = 7;
        assert_eq!(serve(&mut claims, &mut free), ["0", "3"]);
    }

    #[test]
    fn returns_are_served_first_and_in_order() {
        let mut claims = claims();
        claims.claim_start(Key(1), cpus(1), Term::Body, 1, Instant::now());
        claims.claim_return(2, "first");
        claims.claim_return(1, "second");
        assert_eq!(serve(&mut claims, &mut 1), Vec::<String>::new(), "no other claim overtakes the first return");
        assert_eq!(serve(&mut claims, &mut 4), ["first", "second", "1"]);
    }

    #[test]
    fn drain_removes_all_starts() {
        let mut claims = claims();
        for start in 0..3 {
            claims.claim_start(Key(start), cpus(start as u64 + 1), Term::Body, start, Instant::now());
        }
        let mut drained = claims.drain();
        drained.sort_unstable();
        assert_eq!(drained, [0, 1, 2]);
        assert_eq!(claims.counts(Instant::now(), |_, _| true), (0, 0));
        assert_eq!(claims.withdraw_start(Key(1)), None);
    }
}
