//! Where the ranks of a group are with their reports: a pure state machine. All must report equally often.

use super::door::RankReport;
use crate::faults::listed;

/// The ranks, and who waits at the report that is next.
pub(crate) struct Rendezvous {
    ranks: Vec<Rank>,
}

#[derive(Default)]
struct Rank {
    /// Reports that were made, with those of all others.
    made: u64,
    /// The one that it waits at.
    waiting: Option<RankReport>,
    returned: bool,
}

/// What follows from an arrival.
#[must_use]
#[derive(Debug)]
pub(crate) enum Step {
    /// Others are still to come.
    Wait,
    /// All have come: these are their reports, in the order of the ranks.
    Together(Vec<RankReport>),
    /// They cannot come together any more: which ranks are at fault, and how.
    Unequal(Vec<(usize, String)>),
}

impl Rendezvous {
    pub(crate) fn new(size: usize) -> Rendezvous {
        Rendezvous { ranks: (0..size).map(|_| Rank::default()).collect() }
    }

    /// A rank reports.
    pub(crate) fn arrive(&mut self, rank: usize, report: RankReport) -> Step {
        self.ranks[rank].waiting = Some(report);
        if self.ranks.iter().any(|rank| rank.returned) {
            return self.unequal();
        }
        if self.ranks.iter().any(|rank| rank.waiting.is_none()) {
            return Step::Wait;
        }
        let together = self.ranks.iter_mut().filter_map(|rank| {
            rank.made += 1;
            rank.waiting.take()
        });
        Step::Together(together.collect())
    }

    /// A rank's loop has returned.
    pub(crate) fn end(&mut self, rank: usize) -> Step {
        self.ranks[rank].returned = true;
        if self.is_waited_for() { self.unequal() } else { Step::Wait }
    }

    /// Whether somebody waits at a report.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.ranks.iter().any(|rank| rank.waiting.is_some())
    }

    /// The ranks that are missing at the report that others wait at.
    pub(crate) fn missing(&self) -> Vec<usize> {
        self.those(|rank| rank.waiting.is_none())
    }

    /// The ranks that wait, and at which report of this group, from 1.
    pub(crate) fn waiting(&self) -> (Vec<usize>, u64) {
        let waiting = self.those(|rank| rank.waiting.is_some());
        let next = waiting.first().map_or(0, |rank| self.ranks[*rank].made + 1);
        (waiting, next)
    }

    fn those(&self, are: impl Fn(&Rank) -> bool) -> Vec<usize> {
        (0..self.ranks.len()).filter(|rank| are(&self.ranks[*rank])).collect()
    }

    fn unequal(&self) -> Step {
        let (waiting, next) = self.waiting();
        let are = if waiting.len() == 1 { "is" } else { "are" };
        let waiting = listed(&waiting);
        let early = self.those(|rank| rank.returned);
        let fault = |rank: usize| {
            let made = self.ranks[rank].made;
            let reports = if made == 1 { "report" } else { "reports" };
            (
                rank,
                format!(
                    "its loop returned after {made} {reports}, but {waiting} {are} at report {next}: all ranks must report equally often"
                ),
            )
        };
        Step::Unequal(early.into_iter().map(fault).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    fn report(of: usize) -> RankReport {
        RankReport { metrics: Metrics::new().with("rank", of), checkpoint: None, mean: false, generator: 0 }
    }

    #[test]
    fn together_in_the_order_of_the_ranks() {
        let mut ranks = Rendezvous::new(2);
        assert!(matches!(ranks.arrive(1, report(1)), Step::Wait));
        assert_eq!((ranks.missing(), ranks.waiting()), (vec![0], (vec![1], 1)));
        let Step::Together(reports) = ranks.arrive(0, report(0)) else { panic!() };
        let order: Vec<_> = reports.iter().map(|report| report.metrics.number("rank")).collect();
        assert_eq!(order, [Some(0.0), Some(1.0)]);
        assert!(matches!(ranks.end(0), Step::Wait));
        assert!(matches!(ranks.end(1), Step::Wait));
    }

    #[test]
    fn whoever_returns_early_is_at_fault() {
        let mut ranks = Rendezvous::new(3);
        assert!(matches!(ranks.arrive(0, report(0)), Step::Wait));
        assert!(matches!(ranks.arrive(2, report(2)), Step::Wait));
        let Step::Unequal(faults) = ranks.end(1) else { panic!() };
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].0, 1);
        assert!(faults[0].1.contains("after 0 reports, but ranks 0 and 2 are at report 1"), "{}", faults[0].1);

        let mut ranks = Rendezvous::new(2);
        assert!(matches!(ranks.end(1), Step::Wait));
        let Step::Unequal(faults) = ranks.arrive(0, report(0)) else { panic!() };
        assert_eq!(faults[0].0, 1);
    }
}
