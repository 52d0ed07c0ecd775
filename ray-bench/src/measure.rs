//! How a case is measured: contenders in turn, round after round, in one process.
//!
//! A [`Contender`] is one way of doing what a [`Case`] asks for. A case's contenders are built before its first round
//! (their runtimes and pools stay alive, idle, while the others have their turn) and dropped after its last. Each round
//! runs every contender once, starting with another one each time, so that a slow spell of the machine or the place in
//! the order hits all of them alike. One round more than asked for is run, first, and thrown away.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use crate::report::OURS;

/// That something went well, or what to tell the user.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// One question: the same work for every contender.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// The name on the command line and in the output.
    pub(crate) name: &'static str,
    /// One line that says what is measured.
    pub(crate) what: &'static str,
    /// The unit of every sample, unless its row has one of its own.
    pub(crate) unit: &'static str,
    /// Ours first, then the peers.
    pub(crate) contenders: fn() -> Vec<Contender>,
    /// The cases that a process has to itself: runs the named contender in this process, which was started for it,
    /// and returns its samples.
    pub(crate) child: Option<fn(who: &str) -> Vec<f64>>,
    /// The cases whose contenders have a process each that stays: is the named contender in this process, which was started
    /// for it, as [`child`](crate::child) says.
    pub(crate) serve: Option<fn(who: &str) -> Outcome>,
    /// Whether what the case needs is there; asked before anything is measured.
    pub(crate) ready: fn() -> Outcome,
    /// The rows whose medians the others are set against: a column of the table each.
    pub(crate) yardsticks: &'static [&'static str],
}

/// What most cases have in common.
pub(crate) const USUAL: Case =
    Case { name: "", what: "", unit: "", contenders: Vec::new, child: None, serve: None, ready: || Ok(()), yardsticks: &[OURS] };

/// The group of the rows whose caller is async code, in the cases whose other rows have a plain thread for a caller.
pub(crate) const ASYNC: &str = "async callers";

/// One way of doing a case's work.
pub(crate) struct Contender {
    whos: Vec<String>,
    /// Of the samples of each of `whos`, where it is not the case's.
    units: Vec<Option<&'static str>>,
    /// Of each of `whos`, what it has in common with the rows that it may be compared with.
    groups: Vec<&'static str>,
    round: Box<dyn FnMut() -> Vec<f64>>,
}

impl Contender {
    /// A contender whose `round` does the work once and returns one sample.
    pub(crate) fn new(who: impl Into<String>, mut round: impl FnMut() -> f64 + 'static) -> Self {
        Self::many([who.into()], move || vec![round()])
    }

    /// A contender whose caller is async code, in a case that is about plain threads too.
    pub(crate) fn awaiting(who: impl Into<String>, round: impl FnMut() -> f64 + 'static) -> Self {
        Self::new(who, round).among(ASYNC)
    }

    /// A contender whose `round` returns a sample for each of `whos`.
    pub(crate) fn many(whos: impl Into<Vec<String>>, round: impl FnMut() -> Vec<f64> + 'static) -> Self {
        let whos = whos.into();
        Contender { units: vec![None; whos.len()], groups: vec![""; whos.len()], whos, round: Box::new(round) }
    }

    /// Puts all rows into one group: the table sets them against rows of the same group.
    pub(crate) fn among(self, group: &'static str) -> Self {
        let groups = vec![group; self.whos.len()];
        self.in_groups(groups)
    }

    /// Puts each row into the group that stands at its place.
    pub(crate) fn in_groups(mut self, groups: impl Into<Vec<&'static str>>) -> Self {
        self.groups = groups.into();
        assert_eq!(self.groups.len(), self.whos.len());
        self
    }

    /// The samples of `who` are in a unit of their own: they are no times, but something else that the rounds tell.
    pub(crate) fn with_unit(mut self, who: &str, unit: &'static str) -> Self {
        let at = self.whos.iter().position(|name| name == who).expect("one of the contender's rows");
        self.units[at] = Some(unit);
        self
    }
}

/// What the rounds of one contender gave.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) who: String,
    pub(crate) unit: &'static str,
    /// The rows of one group do the same work for the same kind of caller.
    pub(crate) group: &'static str,
    samples: Vec<f64>,
}

impl Row {
    pub(crate) fn median(&self) -> f64 {
        let middle = self.samples.len() / 2;
        if self.samples.len() % 2 == 1 {
            self.samples[middle]
        } else {
            f64::midpoint(self.samples[middle - 1], self.samples[middle])
        }
    }

    pub(crate) fn min(&self) -> f64 {
        self.samples[0]
    }

    pub(crate) fn max(&self) -> f64 {
        self.samples[self.samples.len() - 1]
    }

    pub(crate) fn rounds(&self) -> usize {
        self.samples.len()
    }
}

/// Runs `case` for `rounds` rounds (at least one) and gives a row for each contender whose name begins with `who`, those of
/// one group together.
pub(crate) fn run(case: &Case, rounds: usize, who: &str) -> Vec<Row> {
    let mut contenders = (case.contenders)();
    contenders.retain(|contender| contender.whos.iter().any(|name| name.starts_with(who)));
    let mut samples: Vec<Vec<Vec<f64>>> =
        contenders.iter().map(|contender| vec![Vec::with_capacity(rounds); contender.whos.len()]).collect();
    for round in 0..=rounds.max(1) {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            let results = (contenders[index].round)();
            if round > 0 {
                for (row, sample) in samples[index].iter_mut().zip(results) {
                    row.push(sample);
                }
            }
        }
    }
    let mut rows = Vec::new();
    for (contender, samples) in contenders.iter().zip(samples) {
        for (index, mut samples) in samples.into_iter().enumerate() {
            samples.sort_by(f64::total_cmp);
            rows.push(Row {
                case: case.name,
                who: contender.whos[index].clone(),
                unit: contender.units[index].unwrap_or(case.unit),
                group: contender.groups[index],
                samples,
            });
        }
    }
    let mut groups: Vec<&str> = Vec::new();
    for row in &rows {
        if !groups.contains(&row.group) {
            groups.push(row.group);
        }
    }
    rows.sort_by_key(|row| groups.iter().position(|group| *group == row.group));
    rows
}

/// Nanoseconds that `body` takes for each of the `n` operations that it does.
pub(crate) fn ns_per(n: usize, body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    per(n, start.elapsed())
}

/// `elapsed` as nanoseconds for each of `n` operations.
pub(crate) fn per(n: usize, elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / n as f64
}

/// How many threads every pool and runtime here has, ours included: one a core.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
