//! The bundles of a placement group, from which claims are served: a pure state machine.

use smallvec::{SmallVec, smallvec};

use crate::base::resources::Resources;
use crate::sched::claims::{Lack, Shape, Source, Term};
use crate::sched::gpus::{Gpus, Share};
use crate::sched::pool::Pool;

/// The pool of each bundle. A group that has no resources yet has none.
#[derive(Debug, Default)]
pub(crate) struct Bundles(Vec<Pool>);

impl Bundles {
    /// The bundles, with the GPUs that were taken for each of them.
    pub(crate) fn new(specs: &[Resources], gpus: impl IntoIterator<Item = Share>) -> Self {
        let pools = specs.iter().zip(gpus);
        Self(pools.map(|(spec, share)| Pool::new(spec.clone(), Gpus::of_share(share))).collect())
    }

    /// The pool of a bundle.
    pub(crate) fn pool(&mut self, place: usize) -> Option<&mut Pool> {
        self.0.get_mut(place)
    }

    /// The free resources of each bundle.
    pub(crate) fn free(&self) -> Vec<Resources> {
        self.0.iter().map(Pool::free).collect()
    }

    /// Takes everything that is free out of the bundles: the resources, the GPUs, and the overdrawn CPU units of each.
    pub(crate) fn take_all(&mut self) -> Vec<(Resources, Share, u64)> {
        self.0.iter_mut().map(Pool::take_all).collect()
    }

    /// Whether a task of this shape may be served from that place, and lacks only CPUs there that bodies give back.
    pub(crate) fn lacks_only_cpu(&self, shape: &Shape, place: usize) -> bool {
        let Some(pool) = self.0.get(place).filter(|_| self.places(shape).contains(&place)) else { return false };
        let others = shape.demand.without_cpu();
        shape.term == Term::Body
            && pool.has_room(&shape.demand)
            && pool.fits(&others, Term::Body)
            && !pool.fits(&shape.demand, Term::Body)
    }

    /// The places that a start may be served from.
    fn places(&self, shape: &Shape) -> std::ops::Range<usize> {
        match shape.place {
            Some(place) => place..(place + 1).min(self.0.len()),
            None => 0..self.0.len(),
        }
    }
}

impl Source for Bundles {
    fn take_return(&mut self, place: usize, units: u64) -> bool {
        self.0.get_mut(place).is_some_and(|pool| pool.take_cpu(units))
    }

    fn take(
        &mut self,
        shape: &Shape,
        _parts: Option<&[Resources]>,
        is_barred: &dyn Fn(usize) -> bool,
    ) -> Option<(usize, SmallVec<[Share; 1]>)> {
        self.places(shape).filter(|place| !is_barred(*place)).find_map(|place| {
            let share = self.0[place].take(&shape.demand, shape.term)?;
            Some((place, smallvec![share]))
        })
    }

    fn lacks(&self, shape: &Shape, _parts: Option<&[Resources]>) -> Option<(usize, Lack)> {
        let place = self.places(shape).find(|place| self.0[*place].has_room(&shape.demand))?;
        let others = self.0[place].fits(&shape.demand.without_cpu(), Term::Body);
        Some((place, if others { Lack::Cpu } else { Lack::Others }))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::base::resources::UNITS;
    use crate::sched::claims::{Claims, Grant, Key, PATIENCE};

    fn cpus(count: u64) -> Resources {
        Resources::of_cpu(count * UNITS)
    }

    fn served(claims: &mut Claims<u32, u32>, bundles: &mut Bundles, now: Instant) -> Vec<(u32, Option<usize>)> {
        let mut served = Vec::new();
        while let Some(grant) = claims.next(now, bundles) {
            served.push(match grant {
                Grant::Return(number) => (number, None),
                Grant::Start(granted) => (granted.start, Some(granted.place)),
            });
        }
        served
    }

    #[test]
    fn a_start_gets_its_bundle_or_the_first_one_with_room() {
        let mut bundles = Bundles::new(&[cpus(1), cpus(2)], [vec![], vec![]]);
        let mut claims = Claims::new();
        let now = Instant::now();
        let shape = |count, place| Shape { demand: cpus(count), term: Term::Body, place };
        for (number, count, place) in [(1, 1, Some(1)), (2, 1, None), (3, 2, None), (4, 1, Some(0)), (5, 1, Some(1))] {
            claims.claim_start(Key(number), shape(count, place), None, number as u32, now);
        }
        assert_eq!(served(&mut claims, &mut bundles, now), [(1, Some(1)), (2, Some(0)), (5, Some(1))]);
        bundles.pool(0).unwrap().give_back(&cpus(1), &vec![], Term::Body);
        bundles.pool(1).unwrap().give_back(&cpus(1), &vec![], Term::Body);
        claims.claim_start(Key(6), shape(1, None), None, 6, now);
        claims.claim_return(0, UNITS, 7);
        assert_eq!(served(&mut claims, &mut bundles, now + PATIENCE), [(7, None)], "3 is urgent, and the return goes before 4");
        bundles.pool(1).unwrap().give_back(&cpus(1), &vec![], Term::Body);
        assert_eq!(served(&mut claims, &mut bundles, now + PATIENCE), [(3, Some(1))]);
    }

    proptest! {
        /// Whatever is taken, lent and given back, everything is free at the end, and no GPU is given out twice.
        #[test]
        fn nothing_is_lost(
            steps in prop::collection::vec((0..5_u64, 0..3_u64, prop::option::of(0..3_usize), any::<bool>(), any::<bool>()), 1..60)
        ) {
            let spec = Resources::new(2 * UNITS, 2 * UNITS, 0, [("disk".into(), 3)]);
            let specs = [spec.clone(), cpus(1), spec];
            let mut bundles = Bundles::new(&specs, [vec![(4, UNITS), (5, UNITS)], vec![], vec![(6, UNITS), (7, UNITS)]]);
            let mut claims = Claims::<u32, u32>::new();
            let now = Instant::now();
            let mut held = Vec::new();
            for (number, (cpu, gpu, place, life, end)) in steps.into_iter().enumerate() {
                let units = [0, UNITS / 2, UNITS, 2 * UNITS][gpu as usize];
                let demand = Resources::new(cpu * UNITS / 2, units, 0, [("disk".into(), gpu)]);
                let term = if life { Term::Life } else { Term::Body };
                claims.claim_start(Key(number), Shape { demand, term, place }, None, number as u32, now);
                while let Some(Grant::Start(granted)) = claims.next(now, &mut bundles) {
                    held.push(granted);
                }
                for gpu in 4..8 {
                    let of = |share: &Share| share.iter().filter(|(taken, _)| *taken == gpu).map(|(_, units)| *units).sum::<u64>();
                    prop_assert!(held.iter().map(|granted| of(&granted.shares[0])).sum::<u64>() <= UNITS);
                }
                if end && !held.is_empty() {
                    let granted = held.swap_remove(number % held.len());
                    let pool = bundles.pool(granted.place).unwrap();
                    // Its body waits in a get first.
                    pool.give_cpu(granted.demand.cpu());
                    prop_assert!(pool.take_cpu(granted.demand.cpu()));
                    pool.give_back(&granted.demand, &granted.shares[0], granted.term);
                }
            }
            for granted in held {
                bundles.pool(granted.place).unwrap().give_back(&granted.demand, &granted.shares[0], granted.term);
            }
            prop_assert_eq!(bundles.free(), specs.to_vec());
            let gpus: Vec<Share> = bundles.take_all().into_iter().map(|(_, share, _)| share).collect();
            prop_assert_eq!(gpus, vec![vec![(4, UNITS), (5, UNITS)], vec![], vec![(6, UNITS), (7, UNITS)]]);
        }
    }
}
