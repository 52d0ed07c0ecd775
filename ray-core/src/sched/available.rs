//! A pool from which resources are taken, and to which they are given back: a pure state machine.

use crate::base::resources::Resources;

/// The total of the pool, and the part of it that is free. [`claims`](crate::sched::claims) decides which claim is served next.
#[derive(Clone, Debug)]
pub(crate) struct Available {
    total: Resources,
    cpu: u64,
    gpu: u64,
    memory: u64,
    /// Free amounts, in the order of the total's names.
    custom: Vec<u64>,
}

impl Available {
    /// A pool in which everything is free.
    pub(crate) fn new(total: Resources) -> Available {
        let custom = total.custom().iter().map(|(_, units)| *units).collect();
        Available { cpu: total.cpu, gpu: total.gpu, memory: total.memory, custom, total }
    }

    /// The total.
    #[cfg(test)]
    pub(crate) fn total(&self) -> &Resources {
        &self.total
    }

    /// The free resources.
    pub(crate) fn free(&self) -> Resources {
        let names = self.total.custom().iter().map(|(name, _)| name.clone());
        Resources::new(self.cpu, self.gpu, self.memory, names.zip(self.custom.iter().copied()))
    }

    /// Whether the demand can be met now.
    pub(crate) fn fits(&self, demand: &Resources) -> bool {
        demand.cpu <= self.cpu
            && demand.gpu <= self.gpu
            && demand.memory <= self.memory
            && demand.custom().iter().all(|(name, units)| self.index(name).is_some_and(|at| *units <= self.custom[at]))
    }

    /// Takes the whole demand, or nothing; returns whether it was taken.
    #[must_use]
    pub(crate) fn take(&mut self, demand: &Resources) -> bool {
        if !self.fits(demand) {
            return false;
        }
        self.cpu -= demand.cpu;
        self.gpu -= demand.gpu;
        self.memory -= demand.memory;
        for (name, units) in demand.custom() {
            let at = self.index(name).expect("a demand that fits names resources of the pool");
            self.custom[at] -= units;
        }
        true
    }

    /// Gives back a demand that was taken.
    pub(crate) fn give_back(&mut self, demand: &Resources) {
        self.cpu += demand.cpu;
        self.gpu += demand.gpu;
        self.memory += demand.memory;
        for (name, units) in demand.custom() {
            let at = self.index(name).expect("a demand that was taken names resources of the pool");
            self.custom[at] += units;
            debug_assert!(self.custom[at] <= self.total.custom()[at].1, "more {name} given back than taken");
        }
        debug_assert!(self.cpu <= self.total.cpu, "more CPUs given back than taken");
        debug_assert!(self.gpu <= self.total.gpu, "more GPUs given back than taken");
        debug_assert!(self.memory <= self.total.memory, "more memory given back than taken");
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.total.custom().binary_search_by(|(known, _)| (**known).cmp(name)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::base::resources::UNITS;

    fn custom(list: &[(&'static str, u64)]) -> Vec<(Cow<'static, str>, u64)> {
        list.iter().map(|(name, units)| (Cow::Borrowed(*name), *units)).collect()
    }

    #[test]
    fn a_demand_is_taken_as_a_whole_or_not_at_all() {
        let mut pool = Available::new(Resources::new(2 * UNITS, 0, 0, custom(&[("licence", UNITS)])));
        let demand = Resources::new(UNITS, 0, 0, custom(&[("licence", UNITS)]));
        assert!(pool.take(&demand));
        assert!(!pool.take(&demand), "no licence is left");
        assert_eq!(pool.free(), Resources::ONE_CPU);
        pool.give_back(&demand);
        assert_eq!(&pool.free(), pool.total());
        let error = pool.total().check_covers(&Resources::new(0, 0, 0, custom(&[("gold", 1)])), &"task `f`").unwrap_err();
        assert!(error.is_infeasible() && error.to_string().contains("gold 0.0001 is more than 0"), "{error}");
    }
}
