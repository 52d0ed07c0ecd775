//! The command line.

use std::ffi::OsString;
use std::ops::Range;
use std::time::Duration;

use crate::kinds::{self, Kinds};

pub const USAGE: &str = "\
Usage: cargo xtask chaos [OPTIONS]

Runs random programs, and compares the engine's behaviour with a model.

  --ops N          operations for each seed and number of CPUs (100000)
  --seeds N        the number of seeds (1)
  --seed S         the first seed (by default from the clock)
  --cpus A,B       the numbers of CPUs (1,2,8)
  --strict         strict mode: every value is serialised
  --minutes M      stops after this time
  --only KINDS     only these kinds of operations, and those that every program needs
  --without KINDS  all kinds except these; --kinds lists them
  --eras A..B      only these eras of each program; an era is the lifetime of one engine
  --skip A..B      leaves out these turns of each driver; may be given several times
  --tries N        runs the same eras N times (1)
  --watchdog S     the time without progress that counts as a hang, in seconds (30)
  --shrink S       the time for the search for a smaller program after a failure, in seconds (120); 0 for no search
  --park-cap       parked threads look for work every second, as in production
  --kinds          lists the kinds of operations";

/// The parsed command line.
#[derive(Clone, Debug)]
pub struct Plan {
    pub ops: u64,
    pub seeds: u64,
    pub seed: Option<u64>,
    pub cpus: Vec<usize>,
    pub strict: bool,
    pub minutes: Option<f64>,
    pub kinds: Kinds,
    pub eras: Option<Range<u64>>,
    pub skip: Vec<Range<u64>>,
    pub tries: u64,
    pub watchdog: Duration,
    pub shrink: Duration,
    pub park_cap: bool,
    pub list: bool,
    /// Whether this is a child process, which runs one seed with one number of CPUs.
    pub child: bool,
    /// Whether the report of a failure has only one line.
    pub quiet: bool,
}

impl Plan {
    /// Parses the command line.
    ///
    /// # Errors
    /// The message for the user, if an argument is wrong.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Plan, String> {
        use lexopt::prelude::*;
        let mut plan = Plan {
            ops: 100_000,
            seeds: 1,
            seed: None,
            cpus: vec![1, 2, 8],
            strict: false,
            minutes: None,
            kinds: Kinds::all(),
            eras: None,
            skip: Vec::new(),
            tries: 1,
            watchdog: Duration::from_secs(30),
            shrink: Duration::from_secs(120),
            park_cap: false,
            list: false,
            child: false,
            quiet: false,
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut read = || -> Result<(), lexopt::Error> {
            while let Some(argument) = parser.next()? {
                match argument {
                    Long("ops") => plan.ops = parser.value()?.parse()?,
                    Long("seeds") => plan.seeds = parser.value()?.parse()?,
                    Long("seed") => plan.seed = Some(parser.value()?.parse()?),
                    Long("cpus") => {
                        plan.cpus =
                            parser.value()?.parse_with(|list| list.split(',').map(str::parse).collect::<Result<_, _>>())?;
                    }
                    Long("strict") => plan.strict = true,
                    Long("minutes") => plan.minutes = Some(parser.value()?.parse()?),
                    Long("only") => plan.kinds = parser.value()?.parse_with(Kinds::parse)?.and(kinds::needed()),
                    Long("without") => plan.kinds = plan.kinds.but(parser.value()?.parse_with(Kinds::parse)?),
                    Long("eras") => plan.eras = Some(parser.value()?.parse_with(range)?),
                    Long("skip") => plan.skip.push(parser.value()?.parse_with(range)?),
                    Long("tries") => plan.tries = parser.value()?.parse()?,
                    Long("watchdog") => plan.watchdog = Duration::from_secs(parser.value()?.parse()?),
                    Long("shrink") => plan.shrink = Duration::from_secs(parser.value()?.parse()?),
                    Long("park-cap") => plan.park_cap = true,
                    Long("kinds") => plan.list = true,
                    Long("child") => plan.child = true,
                    Long("quiet") => plan.quiet = true,
                    other => return Err(other.unexpected()),
                }
            }
            Ok(())
        };
        read().map_err(|error| format!("{error}\n\n{USAGE}"))?;
        if plan.cpus.is_empty() || plan.cpus.contains(&0) || plan.tries == 0 {
            return Err(format!("the numbers of --cpus and --tries must be at least 1\n\n{USAGE}"));
        }
        Ok(plan)
    }

    /// The arguments that run this plan again.
    pub fn arguments(&self) -> Vec<String> {
        let mut line = vec!["--ops".to_owned(), self.ops.to_string()];
        let mut add = |name: &str, value: String| line.extend([format!("--{name}"), value]);
        if let Some(seed) = self.seed {
            add("seed", seed.to_string());
        }
        add("cpus", self.cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
        let without = Kinds::all().but(self.kinds);
        let only = self.kinds.but(kinds::needed());
        if without.iter().count() > only.iter().count() {
            add("only", if only.is_empty() { kinds::needed() } else { only }.to_string());
        } else if !without.is_empty() {
            add("without", without.to_string());
        }
        if let Some(eras) = &self.eras {
            add("eras", format!("{}..{}", eras.start, eras.end));
        }
        for range in &self.skip {
            add("skip", format!("{}..{}", range.start, range.end));
        }
        if self.tries > 1 {
            add("tries", self.tries.to_string());
        }
        if self.watchdog != Duration::from_secs(30) {
            add("watchdog", self.watchdog.as_secs().to_string());
        }
        line.extend(self.strict.then(|| "--strict".to_owned()));
        line.extend(self.park_cap.then(|| "--park-cap".to_owned()));
        line
    }

    /// Whether a turn is left out.
    pub fn skips(&self, turn: u64) -> bool {
        self.skip.iter().any(|range| range.contains(&turn))
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    ends.ok_or_else(|| format!("`{text}` is not a range such as 3..5"))
}
