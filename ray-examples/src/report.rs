//! The times of the programs, as a table: the measured time, the time in the article, and the time of an ideal schedule,
//! which has no overhead.

use std::fmt;
use std::time::Duration;

/// A time is near the ideal schedule if it exceeds it by at most this. The table marks the other times as far.
const NEAR: Duration = Duration::from_millis(1);

/// The times of all programs so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    program: &'static str,
    timings: Vec<Timing>,
}

/// The time of one part of a program.
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
    /// Attributes the times that follow to the program `name`.
    pub(crate) fn program(&mut self, name: &'static str) {
        self.program = name;
    }

    /// Adds the time of the part `what` of the program.
    pub(crate) fn took(&mut self, what: &'static str, ours: Duration) -> &mut Timing {
        self.timings.push(Timing { program: self.program, what, ours, article: None, ideal: None, near: NEAR });
        self.timings.last_mut().expect("the line above pushed a timing")
    }
}

impl Timing {
    /// Sets the time in the article, in seconds.
    pub(crate) fn article(&mut self, seconds: f64) -> &mut Self {
        self.article = Some(Duration::from_secs_f64(seconds));
        self
    }

    /// Sets the ideal time: the work itself, without any overhead.
    pub(crate) fn ideal(&mut self, ideal: Duration) -> &mut Self {
        self.ideal = Some(ideal);
        self
    }

    /// Sets the difference from the ideal time up to which a time is near; the default is one millisecond.
    pub(crate) fn near(&mut self, near: Duration) -> &mut Self {
        self.near = near;
        self
    }

    /// The time over the ideal, in milliseconds.
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
        writeln!(f, "{program:<22}{what:<27}{ours:>12}{article:>12}{ideal:>12}  {over:>14}")?;
        for timing in &self.timings {
            let seconds = |time: Option<Duration>| match time {
                Some(time) => format!("{:.6} s", time.as_secs_f64()),
                None => "-".to_owned(),
            };
            writeln!(
                f,
                "{:<22}{:<27}{:>12}{:>12}{:>12}  {:>14}{}",
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
        writeln!(f, "\n{count} of {} times are near the ideal schedule", near.len())
    }
}
