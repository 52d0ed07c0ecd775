//! The resources of the node with the claims on them: a pure state machine, apart from the CPUs, which are in a [`CpuPool`].

use std::collections::HashMap;
use std::time::Instant;

use smallvec::{SmallVec, smallvec};

use crate::base::resources::Resources;
use crate::sched::claims::{Claims, Grant, Key, Lack, Shape, Source, Term};
use crate::sched::cpu_pool::CpuPool;
use crate::sched::gpus::{self, Gpus, Share};
use crate::sched::pool::Pool;

/// See the [module](self). `R` stands for a returning getter, `S` for a start.
pub(crate) struct Node<R, S> {
    pub(crate) claims: Claims<R, S>,
    others: Pool,
    /// The GPUs of the tasks and actors that hold some.
    gpus: HashMap<Key, Share>,
}

impl<R, S> Node<R, S> {
    pub(crate) fn new(total: &Resources) -> Self {
        let others = Pool::new(total.without_cpu(), Gpus::of_node(total.gpu));
        Self { claims: Claims::new(), others, gpus: HashMap::new() }
    }

    /// The free resources other than CPUs.
    pub(crate) fn free(&self) -> Resources {
        self.others.free()
    }

    /// As [`Claims::counts`].
    pub(crate) fn counts(&mut self, now: Instant, cpu: &CpuPool) -> (usize, usize) {
        self.claims.counts(now, &NodeSource { cpu, others: &mut self.others })
    }

    /// Serves the next claim that can be served.
    pub(crate) fn next(&mut self, now: Instant, cpu: &CpuPool) -> Option<Grant<R, S>> {
        let mut grant = self.claims.next(now, &mut NodeSource { cpu, others: &mut self.others })?;
        if let Grant::Start(granted) = &mut grant
            && let [share] = &mut granted.shares[..]
            && !share.is_empty()
        {
            self.gpus.insert(granted.key, std::mem::take(share));
        }
        Some(grant)
    }

    /// The GPUs that a task or an actor holds.
    pub(crate) fn gpus(&self, key: Key) -> Share {
        self.gpus.get(&key).cloned().unwrap_or_default()
    }

    /// Gives back what a task or an actor was granted, except the CPUs.
    pub(crate) fn give_back(&mut self, key: Key, demand: &Resources, term: Term) {
        let share = if demand.gpu > 0 { self.gpus.remove(&key).unwrap_or_default() } else { Share::new() };
        self.others.give_back(&demand.without_cpu(), &share, term);
    }

    /// Gives back a part of what a placement group was granted, except the CPUs.
    pub(crate) fn give_back_part(&mut self, part: &Resources, share: &Share) {
        self.others.give_back(&part.without_cpu(), share, Term::Life);
    }
}

struct NodeSource<'a> {
    cpu: &'a CpuPool,
    others: &'a mut Pool,
}

impl Source for NodeSource<'_> {
    fn take_return(&mut self, _place: usize, units: u64) -> bool {
        self.cpu.take_for(units, Term::Body)
    }

    fn take(
        &mut self,
        shape: &Shape,
        parts: Option<&[Resources]>,
        is_barred: &dyn Fn(usize) -> bool,
    ) -> Option<(usize, SmallVec<[Share; 1]>)> {
        let Shape { demand, term, .. } = shape;
        let others = demand.without_cpu();
        if is_barred(0) || !self.fits(&others, *term, parts) {
            return None;
        }
        let shares = match parts {
            None => smallvec![self.others.take(&others, *term)?],
            Some(parts) => self.take_parts(parts)?,
        };
        if self.cpu.take_for(demand.cpu(), *term) {
            return Some((0, shares));
        }
        match parts {
            None => self.others.give_back(&others, &shares[0], *term),
            Some(parts) => self.give_parts_back(parts, &shares),
        }
        None
    }

    fn lacks(&self, shape: &Shape, parts: Option<&[Resources]>) -> Option<(usize, Lack)> {
        let Shape { demand, term, .. } = shape;
        let others = demand.without_cpu();
        if self.fits(&others, *term, parts) {
            return self.cpu.has_room(demand.cpu(), *term).then_some((0, Lack::Cpu));
        }
        let has_room = match parts {
            None => self.others.has_room(&others),
            Some(parts) => self.others.has_room_for_bundles(&others, parts),
        };
        has_room.then_some((0, Lack::Others))
    }
}

impl NodeSource<'_> {
    /// Whether the resources other than CPUs can be taken now. Those of a group need not fit one GPU together.
    fn fits(&self, others: &Resources, term: Term, parts: Option<&[Resources]>) -> bool {
        match parts {
            None => self.others.fits(others, term),
            Some(parts) => self.others.fits_bundles(others, parts),
        }
    }

    /// Takes every part, or nothing.
    fn take_parts(&mut self, parts: &[Resources]) -> Option<SmallVec<[Share; 1]>> {
        let mut taken: Vec<(usize, Share)> = Vec::new();
        for at in gpus::order(parts) {
            match self.others.take(&parts[at].without_cpu(), Term::Life) {
                Some(share) => taken.push((at, share)),
                None => {
                    for (at, share) in taken {
                        self.others.give_back(&parts[at].without_cpu(), &share, Term::Life);
                    }
                    return None;
                }
            }
        }
        taken.sort_unstable_by_key(|(at, _)| *at);
        Some(taken.into_iter().map(|(_, share)| share).collect())
    }

    fn give_parts_back(&mut self, parts: &[Resources], shares: &[Share]) {
        for (part, share) in parts.iter().zip(shares) {
            self.others.give_back(&part.without_cpu(), share, Term::Life);
        }
    }
}
