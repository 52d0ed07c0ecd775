//! Who waits for resources that are not free: a pure state machine.
//!
//! Two kinds of claims. A *return* is a getter that has its value and wants back the CPU it gave up; returns are
//! urgent and served first, in order. A *start* is a task or an actor that asks for something other than one CPU;
//! starts are queued by what they ask for, each queue in order, the queues by the age of their heads. Smaller work
//! may pass a start that does not fit, but only for [`PATIENCE`]; after that the start is urgent too, so it cannot
//! starve. One for which actors leave no room, as long as they live, is not: nothing would start any more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::resources::{Available, Resources};

/// How long a start may be passed by smaller work.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What a claim was granted to.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Grant<R, S> {
    Return(R),
    Start(S, Resources),
}

struct Waiting<S> {
    since: Instant,
    start: S,
}

/// For how long a start wants what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// A task: until it ends.
    Body,
    /// An actor: until it dies.
    Life,
}

/// Starts that ask for the same.
struct Queue<S> {
    demand: Resources,
    term: Term,
    waiting: VecDeque<Waiting<S>>,
}

/// The claims. `R` stands for a returning getter, `S` for a start.
pub(crate) struct Claims<R, S> {
    returns: VecDeque<(u64, R)>,
    starts: Vec<Queue<S>>,
    /// Everything but CPU, which is in the pool.
    pub(crate) others: Available,
}

impl<R: PartialEq, S> Claims<R, S> {
    pub(crate) fn new(others: Available) -> Self {
        Self { returns: VecDeque::new(), starts: Vec::new(), others }
    }

    pub(crate) fn claim_return(&mut self, units: u64, who: R) {
        self.returns.push_back((units, who));
    }

    /// Takes a return back (its getter gave up); `false`: it was granted already.
    pub(crate) fn withdraw(&mut self, who: &R) -> bool {
        let before = self.returns.len();
        self.returns.retain(|(_, other)| other != who);
        self.returns.len() < before
    }

    /// A getter wants its CPU back.
    pub(crate) fn has_returns(&self) -> bool {
        !self.returns.is_empty()
    }

    /// The first return, whatever there is of CPUs.
    pub(crate) fn take_return(&mut self) -> Option<(u64, R)> {
        self.returns.pop_front()
    }

    pub(crate) fn claim_start(&mut self, demand: Resources, term: Term, start: S, now: Instant) {
        let waiting = Waiting { since: now, start };
        match self.starts.iter_mut().find(|queue| queue.demand == demand && queue.term == term) {
            Some(queue) => queue.waiting.push_back(waiting),
            None => self.starts.push(Queue { demand, term, waiting: VecDeque::from([waiting]) }),
        }
    }

    /// All claims, and those that must be served before unstarted work takes CPU; `room`: so many CPU units can be had for
    /// that term once no other start is let in.
    pub(crate) fn counts(&self, now: Instant, room: impl Fn(u64, Term) -> bool) -> (usize, usize) {
        let starts: usize = self.starts.iter().map(|queue| queue.waiting.len()).sum();
        let overdue = self
            .starts
            .iter()
            .filter(|Queue { demand, term, waiting }| {
                waiting.front().is_some_and(|head| now.duration_since(head.since) >= PATIENCE)
                    && demand.cpu() > 0
                    && room(demand.cpu(), *term)
                    && self.others.fits(&demand.without_cpu())
            })
            .count();
        (self.returns.len() + starts, self.returns.len() + overdue)
    }

    /// The starts in waiting: what they ask for, and how many.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Resources, usize)> {
        self.starts.iter().map(|queue| (&queue.demand, queue.waiting.len()))
    }

    /// The next claim that can be served; `take` takes CPU units for that term.
    pub(crate) fn next(&mut self, mut take: impl FnMut(u64, Term) -> bool) -> Option<Grant<R, S>> {
        if let Some((units, _)) = self.returns.front() {
            if take(*units, Term::Body) {
                return self.returns.pop_front().map(|(_, who)| Grant::Return(who));
            }
            return None;
        }
        let mut order: Vec<usize> = (0..self.starts.len()).collect();
        order.sort_by_key(|&at| self.starts[at].waiting.front().map(|head| head.since));
        for at in order {
            let Queue { demand, term, waiting } = &mut self.starts[at];
            let others = demand.without_cpu();
            if !self.others.fits(&others) || !take(demand.cpu(), *term) {
                continue;
            }
            let taken = self.others.take(&others);
            debug_assert!(taken, "what fits can be taken");
            let demand = demand.clone();
            let start = waiting.pop_front()?.start;
            if waiting.is_empty() {
                self.starts.swap_remove(at);
            }
            return Some(Grant::Start(start, demand));
        }
        None
    }

    /// Everything that waits, for a shutdown.
    pub(crate) fn drain(&mut self) -> Vec<S> {
        self.starts.drain(..).flat_map(|queue| queue.waiting.into_iter().map(|waiting| waiting.start)).collect()
    }
}
