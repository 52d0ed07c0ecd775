//! A pool of resources, of the node or of a bundle: amounts, and the numbers of its GPUs. It knows which of them living actors hold. A
//! pure state machine.

use crate::base::resources::Resources;
use crate::sched::available::Available;
use crate::sched::claims::Term;
use crate::sched::gpus::{Gpus, Share};

/// See the [module](self). The pool of the node has no CPUs: they are in [`CpuPool`](crate::sched::cpu_pool::CpuPool).
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    free: Available,
    gpus: Gpus,
    /// What no living actor holds.
    not_for_life: Available,
    gpus_not_for_life: Gpus,
    /// The CPU units that were taken although they were not free.
    overdrawn: u64,
}

impl Pool {
    /// A pool in which everything is free.
    pub(crate) fn new(total: Resources, gpus: Gpus) -> Self {
        let free = Available::new(total);
        Self { not_for_life: free.clone(), gpus_not_for_life: gpus.clone(), free, gpus, overdrawn: 0 }
    }

    pub(crate) fn free(&self) -> Resources {
        self.free.free()
    }

    /// Whether the demand can be met now.
    pub(crate) fn fits(&self, demand: &Resources, term: Term) -> bool {
        self.free.fits(demand) && self.gpus.fits(demand.gpu) && (term == Term::Body || self.has_room(demand))
    }

    /// Whether the demand can be met when bodies end, while living actors keep what they hold.
    pub(crate) fn has_room(&self, demand: &Resources) -> bool {
        self.not_for_life.fits(demand) && self.gpus_not_for_life.fits(demand.gpu)
    }

    /// Whether all bundles of a group, whose sum is `total`, can be taken now.
    pub(crate) fn fits_bundles(&self, total: &Resources, bundles: &[Resources]) -> bool {
        self.free.fits(total) && self.gpus.fit_all(bundles)
    }

    /// Whether they can when bodies end, while living actors keep what they hold.
    pub(crate) fn has_room_for_bundles(&self, total: &Resources, bundles: &[Resources]) -> bool {
        self.not_for_life.fits(total) && self.gpus_not_for_life.fit_all(bundles)
    }

    /// Takes the whole demand, or nothing. What is taken for life leaves each actor that lends its CPUs room to take them again.
    pub(crate) fn take(&mut self, demand: &Resources, term: Term) -> Option<Share> {
        if !self.fits(demand, term) {
            return None;
        }
        let share = self.gpus.take(demand.gpu)?;
        let mut taken = self.free.take(demand);
        if term == Term::Life {
            taken &= self.not_for_life.take(demand);
            self.gpus_not_for_life.remove(&share);
        }
        debug_assert!(taken, "a demand that fits can be taken");
        Some(share)
    }

    /// Gives back what was taken for that term.
    pub(crate) fn give_back(&mut self, demand: &Resources, share: &Share, term: Term) {
        let cpu = self.repay(demand.cpu());
        self.free.give_back(&demand.with_cpu(cpu));
        self.gpus.give_back(share);
        if term == Term::Life {
            self.not_for_life.give_back(demand);
            self.gpus_not_for_life.give_back(share);
        }
    }

    /// Takes CPU units that a body has lent, if so many are free.
    pub(crate) fn take_cpu(&mut self, units: u64) -> bool {
        self.free.take(&Resources::of_cpu(units))
    }

    /// Gives CPU units back that a body lends.
    pub(crate) fn give_cpu(&mut self, units: u64) {
        let kept = self.repay(units);
        self.free.give_back(&Resources::of_cpu(kept));
    }

    /// Takes CPU units that are not free. The next units that are given back balance it.
    pub(crate) fn overdraw(&mut self, units: u64) {
        self.overdrawn += units;
    }

    /// Takes the demand of a task with CPU units that are not free, or nothing.
    pub(crate) fn take_overdrawn(&mut self, demand: &Resources) -> Option<Share> {
        let share = self.take(&demand.without_cpu(), Term::Body)?;
        self.overdraw(demand.cpu());
        Some(share)
    }

    /// The CPU units that are taken of so many.
    pub(crate) fn taken_cpu(&self, total: u64) -> u64 {
        (total + self.overdrawn).saturating_sub(self.free.free().cpu())
    }

    /// Uses the units to reduce the overdraft of the pool; returns the units that remain.
    fn repay(&mut self, units: u64) -> u64 {
        let repaid = units.min(self.overdrawn);
        self.overdrawn -= repaid;
        units - repaid
    }

    /// Takes everything that is free, and returns also the CPU units that are overdrawn.
    pub(crate) fn take_all(&mut self) -> (Resources, Share, u64) {
        let free = self.free.free();
        let taken = self.free.take(&free);
        debug_assert!(taken, "what is free can be taken");
        (free, self.gpus.take_all(), std::mem::take(&mut self.overdrawn))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::resources::UNITS;

    #[test]
    fn an_actor_takes_no_cpu_that_another_one_has_lent() {
        let mut pool = Pool::new(Resources::new(UNITS, UNITS, 0, []), Gpus::of_node(UNITS));
        let cpu = Resources::of_cpu(UNITS);
        let actor = pool.take(&cpu, Term::Life).unwrap();
        pool.give_cpu(UNITS);
        assert!(pool.take(&cpu, Term::Life).is_none() && !pool.has_room(&cpu));
        let body = pool.take(&cpu, Term::Body).unwrap();
        assert!(!pool.take_cpu(UNITS));
        pool.give_back(&cpu, &body, Term::Body);
        assert!(pool.take_cpu(UNITS));
        pool.give_back(&cpu, &actor, Term::Life);
        assert_eq!(pool.take_all(), (Resources::new(UNITS, UNITS, 0, []), vec![(0, UNITS)], 0));
        assert!(pool.free().is_none());
    }

    #[test]
    fn what_is_overdrawn_is_balanced_first() {
        let mut pool = Pool::new(Resources::of_cpu(UNITS), Gpus::default());
        let share = pool.take(&Resources::of_cpu(UNITS), Term::Body).unwrap();
        pool.overdraw(UNITS);
        pool.give_cpu(UNITS);
        assert!(!pool.take_cpu(1));
        pool.give_back(&Resources::of_cpu(UNITS), &share, Term::Body);
        assert_eq!(pool.free(), Resources::of_cpu(UNITS));
    }

    #[test]
    fn a_task_with_an_extra_cpu_takes_the_rest_of_its_demand() {
        let demand = Resources::new(UNITS, UNITS, 0, []);
        let mut pool = Pool::new(Resources::new(UNITS, 2 * UNITS, 0, []), Gpus::of_node(2 * UNITS));
        let first = pool.take(&demand, Term::Body).unwrap();
        assert_eq!(pool.taken_cpu(UNITS), UNITS);
        assert!(!pool.fits(&demand, Term::Body));
        let extra = pool.take_overdrawn(&demand).unwrap();
        assert_eq!((pool.taken_cpu(UNITS), pool.free()), (2 * UNITS, Resources::NONE));
        assert!(pool.take_overdrawn(&demand).is_none() && pool.taken_cpu(UNITS) == 2 * UNITS, "no GPU is free");
        pool.give_back(&demand, &first, Term::Body);
        assert_eq!((pool.taken_cpu(UNITS), pool.free()), (UNITS, Resources::new(0, UNITS, 0, [])));
        pool.give_back(&demand, &extra, Term::Body);
        assert_eq!(pool.take_all(), (Resources::new(UNITS, 2 * UNITS, 0, []), vec![(0, UNITS), (1, UNITS)], 0));
    }
}
