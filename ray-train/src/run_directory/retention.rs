//! Which checkpoints of a run are kept, and which one is the best.

use std::cmp::Ordering;

use crate::config::{CheckpointConfig, Order};

/// The indices of the checkpoints to remove, given the scores of all checkpoints, the oldest first.
///
/// As in Ray, the best `num_to_keep` are kept, and the last one in addition, because the run continues from it. Without a score the
/// newest are the best.
pub(super) fn surplus(scores: &[f64], config: &CheckpointConfig) -> Vec<usize> {
    let Some(kept) = config.num_to_keep else { return Vec::new() };
    let order = config.score.as_ref().map(|(_, order)| *order);
    let mut worst_first: Vec<usize> = (0..scores.len()).collect();
    // Of equal scores the oldest comes first.
    worst_first.sort_by(|a, b| match order {
        Some(order) if order.is_better(scores[*a], scores[*b]) => Ordering::Greater,
        Some(order) if order.is_better(scores[*b], scores[*a]) => Ordering::Less,
        Some(_) | None => a.cmp(b),
    });
    worst_first.truncate(scores.len().saturating_sub(kept.max(1)));
    worst_first.retain(|index| index + 1 != scores.len());
    worst_first
}

/// The index of the best score, the first one if several are equal. NaN is never the best.
pub(crate) fn best(scores: impl Iterator<Item = f64>, order: Order) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, score) in scores.enumerate() {
        if !score.is_nan() && best.is_none_or(|(_, former)| order.is_better(score, former)) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_removed_and_the_last_is_kept() {
        let keep = |n: usize| CheckpointConfig::new().num_to_keep(n);
        assert_eq!(surplus(&[1.0, 2.0, 3.0], &CheckpointConfig::new()), [0; 0]);
        assert_eq!(surplus(&[1.0, 2.0, 3.0], &keep(2)), [0]);
        let last_is_worse = surplus(&[1.0, f64::NAN, 4.0, 2.0, 3.0], &keep(2).score("loss", Order::Min));
        assert_eq!(last_is_worse, [1, 2], "NaN is removed first, then the worst; the last is kept beside the two best");
        let last_is_best = surplus(&[3.0, 4.0, 2.0], &keep(2).score("loss", Order::Min));
        assert_eq!(last_is_best, [1], "the last is one of the two best");
        assert_eq!(surplus(&[1.0, f64::NAN], &keep(1).score("loss", Order::Min)), [0; 0], "the last is kept although it is NaN");
        assert_eq!(surplus(&[f64::NAN], &keep(1).score("loss", Order::Max)), [0; 0]);
        assert_eq!(surplus(&[2.0, 2.0, 1.0], &keep(1).score("loss", Order::Max)), [0], "of equal scores the oldest is removed");
    }

    #[test]
    fn nan_is_never_best() {
        assert_eq!(best([f64::NAN, 0.3, 0.2, f64::NAN].into_iter(), Order::Min), Some(2));
        assert_eq!(best([f64::NAN].into_iter(), Order::Max), None);
        assert_eq!(best([1.0, 1.0].into_iter(), Order::Max), Some(0));
    }
}
