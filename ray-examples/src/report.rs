//! What the programs measured, as a table: ours, the article's, and what the ideal schedule takes.

use std::fmt;
use std::time::Duration;

/// How far from the ideal schedule a program may be; farther, the table says so.
const NEAR: Duration = Duration::from_millis(1);

/// The times of all programs so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    program: &'static str,
    timings: Vec<Timing>,
}

/// What one part of a program took.
#[derive(Debug)]
pub(crate) struct Timing {
    program: &'static str,
    what: &'static str,
    ours: Duration,
    article: Option<Duration>,
    ideal: Option<Duration>,
    near: Duration,
}

impl Report {
    /// What follows is this program's.
    pub(crate) fn program(&mut self, name: &'static str) {
        self.program = name;
    }

    /// Notes that `what` took this long.
    pub(crate) fn took(&mut self, what: &'static str, ours: Duration) -> &mut Timing {
        self.timings.push(Timing { program: self.program, what, ours, article: None, ideal: None, near: NEAR });
        self.timings.last_mut().expect("one was just pushed")
    }
}

impl Timing {
    /// What it took in the article, in seconds.
    pub(crate) fn article(&mut self, seconds: f64) -> &mut Self {
        self.article = Some(Duration::from_secs_f64(seconds));
        self
    }

    /// What it takes where only the work itself takes time.
    pub(crate) fn ideal(&mut self, ideal: Duration) -> &mut Self {
        self.ideal = Some(ideal);
        self
    }

    /// Farther than this from the ideal is far; a millisecond unless told otherwise.
    pub(crate) fn near(&mut self, near: Duration) -> &mut Self {
        self.near = near;
        self
    }

    /// How much longer than the ideal it took, in milliseconds.
    fn over(&self) -> Option<f64> {
        let ideal = self.ideal?;
        Some((self.ours.as_secs_f64() - ideal.as_secs_f64()) * 1e3)
    }

    fn is_near(&self) -> Option<bool> {
        let ideal = self.ideal?;
        Some(self.ours <= ideal + self.near)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = ["program", "", "ours", "article", "ideal", "over the ideal"];
        let [program, what, ours, article, ideal, over] = columns;
        writeln!(f, "{program:<16}{what:<24}{ours:>12}{article:>12}{ideal:>12}  {over:>14}")?;
        for timing in &self.timings {
            let seconds = |time: Option<Duration>| match time {
                Some(time) => format!("{:.6} s", time.as_secs_f64()),
                None => "-".to_owned(),
            };
            writeln!(
                f,
                "{:<16}{:<24}{:>12}{:>12}{:>12}  {:>14}{}",
                timing.program,
                timing.what,
                seconds(Some(timing.ours)),
                seconds(timing.article),
                seconds(timing.ideal),
                timing.over().map_or("-".to_owned(), |over| format!("{over:+.3} ms")),
                if timing.is_near() == Some(false) { "  far" } else { "" },
            )?;
        }
        let near: Vec<bool> = self.timings.iter().filter_map(Timing::is_near).collect();
        let count = near.iter().filter(|near| **near).count();
        writeln!(f, "\n{count} of {} are near the ideal schedule", near.len())
    }
}
