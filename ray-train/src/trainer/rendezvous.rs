//! The positions of the ranks of a group in the sequence of reports: a pure state machine. All ranks must report equally often.

use super::rank_report::RankReport;
use crate::error::rank_list;

/// The state of each rank, and its report if the rank waits at the next one.
pub(crate) struct Rendezvous {
    ranks: Vec<RankState>,
}

#[derive(Default)]
struct RankState {
    /// The number of reports that the rank has made together with all other ranks.
    completed: u64,
    /// The report at which the rank waits.
    waiting: Option<RankReport>,
    returned: bool,
}

/// The result of an event.
#[must_use]
#[derive(Debug)]
pub(crate) enum Step {
    /// Other ranks have not reached the report yet.
    Wait,
    /// All ranks have reached the report: their reports, in the order of the ranks.
    Complete(Vec<RankReport>),
    /// Not all ranks can reach the report any more: the ranks at fault, each with the reason.
    Mismatch(Vec<(usize, String)>),
}

impl Rendezvous {
    pub(crate) fn new(size: usize) -> Rendezvous {
        Rendezvous { ranks: (0..size).map(|_| RankState::default()).collect() }
    }

    /// A rank has reached a report.
    pub(crate) fn arrive(&mut self, rank: usize, report: RankReport) -> Step {
        self.ranks[rank].waiting = Some(report);
        if self.ranks.iter().any(|rank| rank.returned) {
            return self.mismatch();
        }
        if self.ranks.iter().any(|rank| rank.waiting.is_none()) {
            return Step::Wait;
        }
        let reports = self.ranks.iter_mut().filter_map(|rank| {
            rank.completed += 1;
            rank.waiting.take()
        });
        Step::Complete(reports.collect())
    }

    /// The loop of a rank has returned.
    pub(crate) fn rank_returned(&mut self, rank: usize) -> Step {
        self.ranks[rank].returned = true;
        if self.has_waiting_ranks() { self.mismatch() } else { Step::Wait }
    }

    /// Whether a rank waits at a report.
    pub(crate) fn has_waiting_ranks(&self) -> bool {
        self.ranks.iter().any(|rank| rank.waiting.is_some())
    }

    /// The ranks that have not reached the report at which others wait.
    pub(crate) fn missing(&self) -> Vec<usize> {
        self.ranks_where(|rank| rank.waiting.is_none())
    }

    /// The ranks that wait, and the number of the report at which they wait: from 1, counted in this group.
    pub(crate) fn waiting(&self) -> (Vec<usize>, u64) {
        let waiting = self.ranks_where(|rank| rank.waiting.is_some());
        let next = waiting.first().map_or(0, |rank| self.ranks[*rank].completed + 1);
        (waiting, next)
    }

    fn ranks_where(&self, condition: impl Fn(&RankState) -> bool) -> Vec<usize> {
        (0..self.ranks.len()).filter(|rank| condition(&self.ranks[*rank])).collect()
    }

    fn mismatch(&self) -> Step {
        let (waiting, next) = self.waiting();
        let are = if waiting.len() == 1 { "is" } else { "are" };
        let waiting = rank_list(&waiting);
        let fault = |rank: usize| {
            let completed = self.ranks[rank].completed;
            let reports = if completed == 1 { "report" } else { "reports" };
            (
                rank,
                format!(
                    "its loop returned after {completed} {reports}, but {waiting} {are} at report {next}: all ranks must report equally often"
                ),
            )
        };
        Step::Mismatch(self.ranks_where(|rank| rank.returned).into_iter().map(fault).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    fn report(rank: usize) -> RankReport {
        RankReport { metrics: Metrics::new().with("rank", rank), checkpoint: None, mean: false, generator: 0 }
    }

    #[test]
    fn complete_reports_are_in_the_order_of_the_ranks() {
        let mut ranks = Rendezvous::new(2);
        assert!(matches!(ranks.arrive(1, report(1)), Step::Wait));
        assert_eq!((ranks.missing(), ranks.waiting()), (vec![0], (vec![1], 1)));
        let Step::Complete(reports) = ranks.arrive(0, report(0)) else { panic!() };
        let order: Vec<_> = reports.iter().map(|report| report.metrics.number("rank")).collect();
        assert_eq!(order, [Some(0.0), Some(1.0)]);
        assert!(matches!(ranks.rank_returned(0), Step::Wait));
        assert!(matches!(ranks.rank_returned(1), Step::Wait));
    }

    #[test]
    fn a_rank_that_returns_early_is_at_fault() {
        let mut ranks = Rendezvous::new(3);
        assert!(matches!(ranks.arrive(0, report(0)), Step::Wait));
        assert!(matches!(ranks.arrive(2, report(2)), Step::Wait));
        let Step::Mismatch(faults) = ranks.rank_returned(1) else { panic!() };
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].0, 1);
        assert!(faults[0].1.contains("after 0 reports, but ranks 0 and 2 are at report 1"), "{}", faults[0].1);

        let mut ranks = Rendezvous::new(2);
        assert!(matches!(ranks.rank_returned(1), Step::Wait));
        let Step::Mismatch(faults) = ranks.arrive(0, report(0)) else { panic!() };
        assert_eq!(faults[0].0, 1);
    }
}
