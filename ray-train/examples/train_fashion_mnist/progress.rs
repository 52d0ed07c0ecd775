//! The progress of each worker: bars on a terminal, otherwise lines.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};

use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressStyle};

/// A bar for each worker, on stderr.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bars: MultiProgress,
    ranks: Vec<ProgressBar>,
    /// The number of steps in an epoch.
    steps: usize,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(workers: usize, epochs: u64, steps: usize) -> Progress {
        let bars = MultiProgress::new();
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos:>5}/{len} {msg}").expect("the template is valid");
        let bar = |rank| {
            let bar = bars.add(ProgressBar::new(epochs.saturating_mul(steps as u64)));
            // The bars of a failed run stay visible.
            bar.with_finish(ProgressFinish::Abandon).with_style(style.clone()).with_prefix(format!("rank {rank}"))
        };
        let ranks = (0..workers).map(bar).collect();
        Progress { ranks, bars, steps, terminal: stderr().is_terminal() }
    }

    /// Shows that a rank has taken a step of an epoch, both counted from 0.
    pub(crate) fn step(&self, rank: usize, epoch: u64, step: usize, loss: f32) {
        if self.terminal {
            let bar = &self.ranks[rank];
            bar.set_message(format!("epoch {epoch}, loss {loss:.4}"));
            bar.set_position(epoch * self.steps as u64 + step as u64 + 1);
        } else if step + 1 == self.steps {
            eprintln!("rank {rank}: epoch {epoch}, {} steps, loss {loss:.4}", self.steps);
        }
    }

    /// Ends the bars. They stay visible, and later output is below them.
    pub(crate) fn end(&self) {
        self.ranks.iter().for_each(ProgressBar::abandon);
    }

    /// Prints a line on stdout, above the bars.
    pub(crate) fn say(&self, line: impl Display) {
        self.bars.suspend(|| println!("{line}"));
    }
}
