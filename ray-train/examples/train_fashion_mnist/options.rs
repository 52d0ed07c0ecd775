//! The command line.

use std::fmt::Display;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use serde::Serialize;

const HELP: &str = "\
The article's training program: FashionMNIST, a network of 784-512-512-10, SGD at 0.01, batches of 64.

Usage: train_fashion_mnist [--workers N] [OPTION..]

  --workers N      train with N workers; by default in one process, without a Trainer
  --epochs N       the number of epochs; by default 3
  --data DIR       the folder of the data set; by default FASHION_MNIST_DIR, the cache, or a download
  --synthetic      generated images instead of the data set
  --limit N        only the first N images to train with
  --svg PATH       the file of the loss curve; by default train_fashion_mnist.svg
  --use-gpu        train on GPUs (needs the feature `cuda` or `vulkan`)
  --help           this text

With --workers:

  --name NAME      keep the run in ~/ray_results/NAME; an interrupted run of this name is resumed
  --kill-rank R    rank R fails once at step S: the group is restarted from the last checkpoint
  --at-step S      the step, counted from 1 over all epochs";

/// A limit, because each worker has a thread and a copy of the network.
const MOST_WORKERS: usize = 1000;

/// The options of the command line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Options {
    pub workers: Option<usize>,
    pub epochs: u64,
    pub data: Option<PathBuf>,
    pub synthetic: bool,
    pub limit: Option<usize>,
    pub svg: PathBuf,
    pub use_gpu: bool,
    pub name: Option<String>,
    pub kill: Option<Kill>,
}

/// The rank that fails, and the step at which it fails, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Kill {
    pub rank: usize,
    pub step: usize,
}

impl Options {
    /// Parses the command line. If it asks for help, it prints the help and returns none.
    pub(crate) fn parse(mut parser: Parser) -> ray::Result<Option<Options>> {
        let mut options = Options {
            workers: None,
            epochs: 3,
            data: None,
            synthetic: false,
            limit: None,
            svg: "train_fashion_mnist.svg".into(),
            use_gpu: false,
            name: None,
            kill: None,
        };
        let (mut rank, mut step) = (None, None);
        while let Some(argument) = parser.next().map_err(wrong)? {
            match argument {
                Arg::Long("workers") => options.workers = Some(positive(&mut parser, "--workers")?),
                Arg::Long("epochs") => options.epochs = positive(&mut parser, "--epochs")? as u64,
                Arg::Long("data") => options.data = Some(parser.value().map_err(wrong)?.into()),
                Arg::Long("synthetic") => options.synthetic = true,
                Arg::Long("limit") => options.limit = Some(positive(&mut parser, "--limit")?),
                Arg::Long("svg") => options.svg = parser.value().map_err(wrong)?.into(),
                Arg::Long("use-gpu") => options.use_gpu = true,
                Arg::Long("name") => options.name = Some(parser.value().and_then(|name| name.string()).map_err(wrong)?),
                Arg::Long("kill-rank") => rank = Some(number(&mut parser, "--kill-rank")?),
                Arg::Long("at-step") => step = Some(positive(&mut parser, "--at-step")?),
                Arg::Long("help") | Arg::Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(wrong(other.unexpected())),
            }
        }
        options.kill = match (rank, step) {
            (None, None) => None,
            (Some(rank), Some(step)) => Some(Kill { rank, step }),
            _ => return Err(wrong("--kill-rank R and --at-step S belong together: rank R fails at step S")),
        };
        options.check()?;
        Ok(Some(options))
    }

    fn check(&self) -> ray::Result<()> {
        if self.synthetic && self.data.is_some() {
            return Err(wrong("--data names a data set, and --synthetic asks for generated images: use one of the two"));
        }
        match (self.workers, self.kill) {
            (Some(workers), _) if workers > MOST_WORKERS => Err(wrong(format!("--workers {workers}: {MOST_WORKERS} at most"))),
            (None, Some(_)) => Err(wrong("--kill-rank needs --workers N: without a Trainer the training is not restarted")),
            (None, None) if self.name.is_some() => Err(wrong("--name needs --workers N: without a Trainer no run is kept")),
            (Some(workers), Some(kill)) if kill.rank >= workers => {
                Err(wrong(format!("--kill-rank {}: the ranks of {workers} workers go from 0 to {}", kill.rank, workers - 1)))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the run has the step at which a rank should fail.
    pub(crate) fn check_steps(&self, steps: usize) -> ray::Result<()> {
        let all = steps.saturating_mul(self.epochs as usize);
        match self.kill {
            Some(kill) if kill.step > all => {
                Err(wrong(format!("--at-step {}: {} epochs of {steps} steps are {all} steps", kill.step, self.epochs)))
            }
            _ => Ok(()),
        }
    }
}

fn number(parser: &mut Parser, option: &str) -> ray::Result<usize> {
    let value = parser.value().map_err(wrong)?;
    value.parse().map_err(|_| wrong(format!("{option} takes a whole number, not {}", value.to_string_lossy())))
}

fn positive(parser: &mut Parser, option: &str) -> ray::Result<usize> {
    match number(parser, option)? {
        0 => Err(wrong(format!("{option} takes a number of at least 1"))),
        number => Ok(number),
    }
}

fn wrong(what: impl Display) -> ray::Error {
    ray::Error::other(format!("{what}; --help lists the options"))
}
