//! Claims on resources that are not free, and whose turn it is: a pure state machine.
//!
//! Two kinds of claims. A *return* is a getter that has its value and wants back the CPU it gave up; returns are
//! urgent and served first, in order. A *start* is a task or an actor that asks for something other than one CPU;
//! starts are queued by what they ask for, each queue in order, the queues by the age of their heads. Smaller work
//! may pass a start that does not fit, but only for [`PATIENCE`]; after that the start is urgent too, so it cannot
//! starve. A start is never urgent while living actors hold what it needs: nothing else would start any more.
//!
//! A start that is no longer wanted (its task was cancelled, its actor killed or dropped) is withdrawn by its key, at a
//! cost that does not depend on how many claims there are. So every claim here belongs to work that is still to begin.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::base::resources::Resources;
use crate::sched::available::Available;

/// How long a start may be passed by smaller work.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// A claim that was served.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Grant<R, S> {
    Return(R),
    Start(S),
}

/// For how long a start wants what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Term {
    /// A task: until it ends.
    Body,
    /// An actor: until it dies.
    Life,
}

/// Names a start: the address of its task or actor, which cannot be used again while the claim keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) usize);

struct Waiting<S> {
    since: Instant,
    key: Key,
    start: S,
}

/// Starts that ask for the same, by their turns.
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
    /// Everything but CPU, which is in the pool.
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

    pub(crate) fn claim_return(&mut self, units: u64, who: R) {
        self.returns.push_back((units, who));
    }

    /// A getter wants its CPU back.
    pub(crate) fn has_returns(&self) -> bool {
        !self.returns.is_empty()
    }

    /// The first return, whatever there is of CPUs.
    pub(crate) fn take_return(&mut self) -> Option<(u64, R)> {
        self.returns.pop_front()
    }

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

    /// Takes a start back that is no longer wanted; none: it does not wait here, or was granted already.
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

    /// All claims, and those that must be served before unstarted work takes CPU; `room`: so many CPU units can be had for
    /// that term once no other start is let in.
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

    /// Getters that want their CPU back.
    pub(crate) fn returning(&self) -> usize {
        self.returns.len()
    }

    /// The starts in waiting: what they ask for, and how many.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Resources, usize)> {
        self.queues.values().map(|queue| (&queue.demand, queue.waiting.len()))
    }

    /// The next claim that can be served; `take` takes CPU units for that term.
    pub(crate) fn next(&mut self, mut take: impl FnMut(u64, Term) -> bool) -> Option<Grant<R, S>> {
        if let Some((units, _)) = self.returns.front() {
            if take(*units, Term::Body) {
                return self.returns.pop_front().map(|(_, who)| Grant::Return(who));
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
            debug_assert!(taken, "what fits can be taken");
            return self.remove(at, turn).map(Grant::Start);
        }
        None
    }

    /// All starts that wait, for a shutdown; nobody counts CPUs any more, so returns are forgotten.
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

    /// Serves claims from a pool, and gives the starts and returns in their order.
    fn serve(claims: &mut Claims<&'static str, usize>, free: &mut u64) -> Vec<String> {
        let mut granted = Vec::new();
        let mut take = |units, _| {
            let fits = units <= *free;
            *free -= if fits { units } else { 0 };
            fits
        };
        while let Some(grant) = claims.next(&mut take) {
            granted.push(match grant {
                Grant::Return(who) => who.to_owned(),
                Grant::Start(start) => start.to_string(),
            });
        }
        granted
    }

    #[test]
    fn a_withdrawn_start_is_counted_and_served_no_more() {
        let mut claims = claims();
        let now = Instant::now();
        for start in 0..4 {
            claims.claim_start(Key(start), cpus(2), Term::Body, start, now);
        }
        claims.claim_start(Key(9), cpus(3), Term::Life, 9, now);
        let late = now + PATIENCE;
        assert_eq!(claims.counts(late, |_, _| true), (5, 2));
        assert_eq!(claims.withdraw_start(Key(0)), Some(0));
        assert_eq!(claims.withdraw_start(Key(0)), None, "once");
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
        assert_eq!(serve(&mut claims, &mut free), ["1", "2"], "5 does not fit, and smaller ones pass it");
        free = 7;
        assert_eq!(serve(&mut claims, &mut free), ["0", "3"]);
    }

    #[test]
    fn returns_come_first_in_their_order() {
        let mut claims = claims();
        claims.claim_start(Key(1), cpus(1), Term::Body, 1, Instant::now());
        claims.claim_return(2, "first");
        claims.claim_return(1, "second");
        assert_eq!(serve(&mut claims, &mut 1), Vec::<String>::new(), "the first return is waited for");
        assert_eq!(serve(&mut claims, &mut 4), ["first", "second", "1"]);
    }

    #[test]
    fn all_that_waits_is_drained() {
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
