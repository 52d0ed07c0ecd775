//! The measurement of a case: its contenders in turn, round after round, in one process.
//!
//! A [`Contender`] is one way to do the work of a [`Case`]. The bench builds the contenders of a case before the first
//! round and drops them after the last one; their runtimes and pools stay alive, and idle, in the turns of the others. Each
//! round runs every contender once and begins with another one than the round before, so a slow phase of the machine and
//! the place in the order affect all of them alike. The bench runs one more round, before the others, and ignores its
//! samples.

use std::{
    error::Error,
    time::{Duration, Instant},
};

/// Success, or the message for the user.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// The name of the row of this project's library, or its first word.
pub(crate) const OURS: &str = "ray";

/// The name, the description and the unit of a case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Definition {
    /// The name on the command line and in the output.
    pub(crate) name: &'static str,
    /// One line that describes the work and the samples.
    pub(crate) what: &'static str,
    /// The unit of every sample, unless its row has a unit of its own.
    pub(crate) unit: &'static str,
}

/// The same work for every contender.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) definition: Definition,
    /// The contenders: those of this project first, then those of the peers.
    pub(crate) contenders: fn() -> Vec<Contender>,
    /// In a case with a fresh process for each round: runs the named contender in this process, which the bench started for
    /// it, and returns its samples.
    pub(crate) child: Option<fn(who: &str) -> Vec<f64>>,
    /// In a case with one process for all rounds of a contender: runs the named contender in this process, which the bench
    /// started for it; [`child`](crate::child) describes the protocol.
    pub(crate) serve: Option<fn(who: &str) -> Outcome>,
    /// Checks the requirements of the case, before the bench measures anything.
    pub(crate) ready: fn() -> Outcome,
    /// Rows for comparison: the table has a column for each, with the ratios of all medians to its median.
    pub(crate) yardsticks: &'static [&'static str],
}

impl Case {
    /// A case without contenders. It runs in the process of the bench, needs nothing, and compares all rows with ours.
    pub(crate) const fn of(definition: Definition) -> Self {
        Case { definition, contenders: Vec::new, child: None, serve: None, ready: || Ok(()), yardsticks: &[OURS] }
    }
}

/// The group of the rows with async callers, in the cases whose other rows have a plain thread as the caller.
pub(crate) const ASYNC: &str = "async callers";

/// One way to do the work of a case.
pub(crate) struct Contender {
    /// The names of its rows.
    whos: Vec<String>,
    /// The unit of each row, where it differs from the case's.
    units: Vec<Option<&'static str>>,
    /// The group of each row: the table compares rows of one group.
    groups: Vec<&'static str>,
    round: Box<dyn FnMut() -> Vec<f64>>,
}

impl Contender {
    /// A contender whose `round` does the work once and returns one sample.
    pub(crate) fn new(who: impl Into<String>, mut round: impl FnMut() -> f64 + 'static) -> Self {
        Self::many([who.into()], move || vec![round()])
    }

    /// A contender with an async caller, in a case that also has plain threads as callers.
    pub(crate) fn awaiting(who: impl Into<String>, round: impl FnMut() -> f64 + 'static) -> Self {
        Self::new(who, round).among(ASYNC)
    }

    /// A contender whose `round` returns a sample for each of `whos`.
    pub(crate) fn many(whos: impl Into<Vec<String>>, round: impl FnMut() -> Vec<f64> + 'static) -> Self {
        let whos = whos.into();
        Contender { units: vec![None; whos.len()], groups: vec![""; whos.len()], whos, round: Box::new(round) }
    }

    /// Puts all rows into one group: the table compares them with rows of that group.
    pub(crate) fn among(self, group: &'static str) -> Self {
        let groups = vec![group; self.whos.len()];
        self.in_groups(groups)
    }

    /// Puts each row into the group at the same index.
    pub(crate) fn in_groups(mut self, groups: impl Into<Vec<&'static str>>) -> Self {
        self.groups = groups.into();
        assert_eq!(self.groups.len(), self.whos.len());
        self
    }

    /// Gives the samples of the row `who` a unit of their own: the rounds count something beside the unit of the case.
    pub(crate) fn with_unit(mut self, who: &str, unit: &'static str) -> Self {
        let at = self.whos.iter().position(|name| name == who).expect("one of the contender's rows");
        self.units[at] = Some(unit);
        self
    }
}

/// The samples of one row of a contender.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) who: String,
    pub(crate) unit: &'static str,
    /// The rows of one group do the same work for the same kind of caller.
    pub(crate) group: &'static str,
    /// In ascending order.
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

/// Runs `case` for `rounds` rounds (at least one) and returns the rows of each contender with a name that begins with
/// `who`. The rows of one group stand together.
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
                case: case.definition.name,
                who: contender.whos[index].clone(),
                unit: contender.units[index].unwrap_or(case.definition.unit),
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

/// The nanoseconds that `body` takes for each of its `n` operations.
pub(crate) fn ns_per(n: usize, body: impl FnOnce()) -> f64 {
    let start = Instant::now();
    body();
    per(n, start.elapsed())
}

/// `elapsed` as nanoseconds for each of `n` operations.
pub(crate) fn per(n: usize, elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / n as f64
}

/// The number of threads of every pool and runtime, including those of this project: one for each core.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
