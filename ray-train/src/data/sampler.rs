//! Divides the items of an epoch among the ranks.

use super::random::SplitMix64;

/// The share of one rank: every `world`-th index of an epoch's order, starting at the rank's number.
///
/// It divides the items as torch's `DistributedSampler` does. All ranks get the same number of indices, because they synchronise in
/// every step. If the number of items is not a multiple of the number of ranks, the order is extended with its own beginning
/// (several times if there are fewer items than ranks); with [`drop_last`](Sampler::drop_last) its end is dropped instead. A
/// shuffled order is derived from seed + epoch, so each epoch has its own order, and a resumed run repeats it.
///
/// ```
/// use ray_train::data::Sampler;
/// let rank = |rank| Sampler::new(5).rank(rank, 2);
/// assert_eq!(rank(0).indices(0).collect::<Vec<_>>(), [0, 2, 4]);
/// assert_eq!(rank(1).indices(0).collect::<Vec<_>>(), [1, 3, 0]); // 0 again, so that both have three
/// assert_eq!(rank(1).drop_last(true).indices(0).collect::<Vec<_>>(), [1, 3]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampler {
    len: usize,
    rank: usize,
    world: usize,
    seed: Option<u64>,
    drop_last: bool,
}

impl Sampler {
    /// All of `len` items in their order, for a single rank.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Sampler::new(3).indices(0).collect::<Vec<_>>(), [0, 1, 2]);
    /// ```
    pub fn new(len: usize) -> Sampler {
        Sampler { len, rank: 0, world: 1, seed: None, drop_last: false }
    }

    /// The share of rank `rank` of `world` ranks.
    ///
    /// # Panics
    /// If `rank` is not below `world`.
    ///
    /// ```
    /// let second = ray_train::data::Sampler::new(4).rank(1, 2);
    /// assert_eq!(second.indices(0).collect::<Vec<_>>(), [1, 3]);
    /// ```
    #[must_use]
    pub fn rank(mut self, rank: usize, world: usize) -> Sampler {
        assert!(rank < world, "rank {rank} of {world}: a rank is below the number of ranks");
        (self.rank, self.world) = (rank, world);
        self
    }

    /// Shuffles the order of each epoch. Seed and epoch determine the order. The ranks divide one order among them, so all ranks need
    /// the same seed.
    ///
    /// ```
    /// let shuffled = ray_train::data::Sampler::new(100).shuffle(7);
    /// assert!(shuffled.indices(0).eq(shuffled.indices(0)) && !shuffled.indices(0).eq(shuffled.indices(1)));
    /// let mut all: Vec<usize> = shuffled.indices(1).collect();
    /// all.sort();
    /// assert!(all.into_iter().eq(0..100));
    /// ```
    #[must_use]
    pub fn shuffle(mut self, seed: u64) -> Sampler {
        self.seed = Some(seed);
        self
    }

    /// Whether the end of the order is dropped if the items do not divide evenly among the ranks. Otherwise the beginning of the
    /// order is used again.
    ///
    /// ```
    /// let even = ray_train::data::Sampler::new(7).rank(0, 2).drop_last(true);
    /// assert_eq!(even.len(), 3);
    /// ```
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Sampler {
        self.drop_last = drop_last;
        self
    }

    /// The number of indices of each rank in an epoch; it is the same for all ranks.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Sampler::new(5).rank(1, 4).len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        if self.drop_last { self.len / self.world } else { self.len.div_ceil(self.world) }
    }

    /// Whether an epoch has no indices.
    ///
    /// ```
    /// assert!(ray_train::data::Sampler::new(0).is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The indices of this rank in an epoch, in order.
    ///
    /// ```
    /// assert!(ray_train::data::Sampler::new(6).rank(2, 3).indices(0).eq([2, 5]));
    /// ```
    pub fn indices(&self, epoch: u64) -> Indices {
        let order = self.seed.map(|seed| {
            let mut order: Vec<u32> = (0..u32::try_from(self.len).expect("only fewer than 2^32 items can be shuffled")).collect();
            SplitMix64::new(seed.wrapping_add(epoch)).shuffle(&mut order);
            (0..self.len()).map(|nth| order[self.position(nth)]).collect()
        });
        Indices { sampler: self.clone(), order, next: 0 }
    }

    /// The position of this rank's `nth` index in the order of all ranks.
    fn position(&self, nth: usize) -> usize {
        (self.rank + nth * self.world) % self.len
    }
}

/// The indices of one rank in one epoch, see [`Sampler::indices`].
///
/// ```
/// let indices: ray_train::data::Indices = ray_train::data::Sampler::new(2).indices(0);
/// assert_eq!(indices.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Indices {
    sampler: Sampler,
    /// The rank's own indices, if the order is shuffled.
    order: Option<Vec<u32>>,
    next: usize,
}

impl Iterator for Indices {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.nth(0)
    }

    fn nth(&mut self, skipped: usize) -> Option<usize> {
        let at = self.next.saturating_add(skipped);
        if at >= self.sampler.len() {
            self.next = self.sampler.len();
            return None;
        }
        self.next = at + 1;
        Some(match &self.order {
            Some(order) => order[at] as usize,
            None => self.sampler.position(at),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.sampler.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Indices {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn more_ranks_than_items() {
        let taken: Vec<Vec<usize>> = (0..7).map(|rank| Sampler::new(3).rank(rank, 7).indices(0).collect()).collect();
        assert_eq!(taken, [[0], [1], [2], [0], [1], [2], [0]]);
        assert!((0..7).all(|rank| Sampler::new(3).rank(rank, 7).drop_last(true).is_empty()));
        assert_eq!(Sampler::new(0).rank(1, 2).shuffle(3).indices(9).count(), 0);
    }

    proptest! {
        /// Together the ranks take the whole order, extended with its beginning, as torch's sampler does.
        #[test]
        fn the_ranks_take_all_items(len in 1usize..60, world in 1usize..9, shuffled: bool, drop_last: bool, epoch in 0u64..4) {
            let sampler = |rank| {
                let sampler = Sampler::new(len).rank(rank, world).drop_last(drop_last);
                if shuffled { sampler.shuffle(11) } else { sampler }
            };
            let ranks: Vec<Vec<usize>> = (0..world).map(|rank| sampler(rank).indices(epoch).collect()).collect();
            let each = sampler(0).len();
            prop_assert!(ranks.iter().all(|indices| indices.len() == each));
            let together: Vec<usize> = (0..each * world).map(|at| ranks[at % world][at / world]).collect();
            let order: Vec<usize> =
                if shuffled { Sampler::new(len).shuffle(11).indices(epoch).collect() } else { (0..len).collect() };
            prop_assert!(together.iter().eq(order.iter().cycle().take(each * world)));
            let taken = each * world;
            prop_assert_eq!(taken <= len && len < taken + world, drop_last || taken == len);
            prop_assert!(taken < len + world);
        }

        #[test]
        fn a_resumed_epoch_keeps_its_order(skipped in 0usize..40, shuffled: bool) {
            let sampler = Sampler::new(61).rank(1, 2);
            let sampler = if shuffled { sampler.shuffle(5) } else { sampler };
            let mut resumed = sampler.indices(3);
            if skipped > 0 {
                resumed.nth(skipped - 1);
            }
            prop_assert!(resumed.eq(sampler.indices(3).skip(skipped)));
        }
    }
}
