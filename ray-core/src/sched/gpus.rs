//! Which GPUs are free, by their numbers: a pure state machine. As in Ray, a whole number of GPUs has GPUs of its own, and a
//! fraction has a part of one GPU, beside other fractions.

use std::cmp::Reverse;

use crate::base::resources::{Resources, UNITS};

/// The order in which the GPUs of bundles are taken: the largest amounts first, since these find the fewest places.
pub(crate) fn order(bundles: &[Resources]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..bundles.len()).collect();
    order.sort_by_key(|at| Reverse(bundles[*at].gpu));
    order
}

/// GPUs that were taken: the number of each, and the units of it.
pub(crate) type Share = Vec<(u32, u64)>;

/// The free units of each GPU, by its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gpus(Vec<(u32, u64)>);

impl Gpus {
    /// The GPUs of a node, numbered from 0; all are free.
    pub(crate) fn of_node(units: u64) -> Gpus {
        let whole = u32::try_from(units / UNITS).unwrap_or(u32::MAX);
        Gpus((0..whole).map(|number| (number, UNITS)).collect())
    }

    /// The GPUs of a share that was taken; all are free.
    pub(crate) fn of_share(share: Share) -> Gpus {
        Gpus(share)
    }

    /// Whether so many units can be taken now.
    pub(crate) fn fits(&self, units: u64) -> bool {
        if units > UNITS {
            let whole = self.0.iter().filter(|(_, free)| *free == UNITS).count() as u64;
            return whole >= units / UNITS;
        }
        units == 0 || self.0.iter().any(|(_, free)| *free >= units)
    }

    /// Takes whole GPUs, or a fraction of one: of the GPU with the least room that suffices, so that whole GPUs stay free.
    pub(crate) fn take(&mut self, units: u64) -> Option<Share> {
        if units == 0 {
            return Some(Share::new());
        }
        let share: Share = if units < UNITS {
            let best = self.0.iter().filter(|(_, free)| *free >= units).min_by_key(|(number, free)| (*free, *number))?;
            vec![(best.0, units)]
        } else {
            let wanted = usize::try_from(units / UNITS).ok()?;
            let whole: Share = self.0.iter().copied().filter(|(_, free)| *free == UNITS).take(wanted).collect();
            if whole.len() < wanted || !units.is_multiple_of(UNITS) {
                return None;
            }
            whole
        };
        self.remove(&share);
        Some(share)
    }

    /// Whether the GPUs of all bundles can be taken, one bundle after the other in their [`order`].
    pub(crate) fn fit_all(&self, bundles: &[Resources]) -> bool {
        let mut left = self.clone();
        order(bundles).into_iter().all(|at| left.take(bundles[at].gpu).is_some())
    }

    /// Takes a given share, which is free.
    pub(crate) fn remove(&mut self, share: &Share) {
        self.each(share, |free, units| {
            debug_assert!(*free >= units, "a GPU is taken that is not free");
            *free = free.saturating_sub(units);
        });
    }

    /// Gives a share back that was taken.
    pub(crate) fn give_back(&mut self, share: &Share) {
        self.each(share, |free, units| *free += units);
    }

    /// Takes all that is free.
    pub(crate) fn take_all(&mut self) -> Share {
        let share: Share = self.0.iter().copied().filter(|(_, free)| *free > 0).collect();
        self.remove(&share);
        share
    }

    fn each(&mut self, share: &Share, mut change: impl FnMut(&mut u64, u64)) {
        for (number, units) in share {
            let known = self.0.iter_mut().find(|(known, _)| known == number);
            debug_assert!(known.is_some(), "no GPU {number}");
            if let Some((_, free)) = known {
                change(free, *units);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn whole_gpus_are_distinct_and_fractions_share_one() {
        let mut gpus = Gpus::of_node(3 * UNITS);
        let half = gpus.take(UNITS / 2).unwrap();
        let pair = gpus.take(2 * UNITS).unwrap();
        assert_eq!((half.clone(), pair.clone()), (vec![(0, UNITS / 2)], vec![(1, UNITS), (2, UNITS)]));
        assert!(!gpus.fits(UNITS) && gpus.take(UNITS).is_none(), "a half is left");
        let other = gpus.take(UNITS / 2).unwrap();
        assert_eq!(other, half, "fractions share a GPU");
        assert!(gpus.take(1).is_none());
        gpus.give_back(&pair);
        gpus.give_back(&half);
        assert_eq!(gpus.take(UNITS / 4).unwrap(), vec![(0, UNITS / 4)], "the GPU with the least room that suffices");
        assert!(gpus.take(3 * UNITS).is_none());
        assert_eq!(gpus.take(0), Some(vec![]));
    }

    #[test]
    fn the_bundles_of_a_group_are_packed() {
        let gpus = |tenths: u64| Resources::new(0, tenths * UNITS / 10, 0, []);
        let node = Gpus::of_node(2 * UNITS);
        assert!(node.fit_all(&[gpus(4), gpus(4), gpus(6), gpus(6)]));
        assert!(node.fit_all(&[gpus(5), gpus(10), gpus(5)]));
        assert!(!node.fit_all(&[gpus(6), gpus(6), gpus(6)]), "the sum fits, but each of them needs a part of one GPU");
    }

    #[test]
    fn a_share_is_a_pool_of_its_own() {
        let mut node = Gpus::of_node(2 * UNITS);
        let mut bundle = Gpus::of_share(node.take(UNITS / 2).unwrap());
        assert!(!bundle.fits(UNITS));
        let part = bundle.take(UNITS / 4).unwrap();
        assert_eq!(bundle.take_all(), vec![(0, UNITS / 4)]);
        bundle.give_back(&part);
        node.give_back(&bundle.take_all());
        assert_eq!(node.take_all(), vec![(0, 3 * UNITS / 4), (1, UNITS)]);
    }
}
