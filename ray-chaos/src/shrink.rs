//! Searches for a smaller program that still fails. The seed does not determine the order in which the threads run, so each
//! smaller program is run several times.

use std::time::{Duration, Instant};

use crate::kinds::{Kinds, needed};
use crate::parent::{Ended, child};
use crate::plan::Plan;

/// The time of the watchdog in a smaller program.
const WATCHDOG: Duration = Duration::from_secs(5);
/// The maximum number of runs of one program, all in one process.
const TRIES: u64 = 40;
/// The maximum time for one program.
const EACH: Duration = Duration::from_secs(20);

struct Shrinker {
    end: Instant,
}

/// Returns the smallest failing program that was found within the time.
pub fn shrink(plan: &Plan, ended: Ended, time: Duration) -> Plan {
    let shrinker = Shrinker { end: Instant::now() + time };
    let mut best = Plan { watchdog: plan.watchdog.min(WATCHDOG), tries: TRIES, ..plan.clone() };
    // Fewer operations: the failing era alone or, if that does not fail, with as few earlier eras as possible.
    let mut alone = false;
    for before in [0, 1, 4, 16, 64] {
        let candidate = Plan { eras: Some(ended.era.saturating_sub(before)..ended.era + 1), ..best.clone() };
        if shrinker.fails(&candidate) {
            best = candidate;
            alone = true;
            break;
        }
    }
    if !alone {
        println!("  the last eras alone do not fail in {TRIES} tries");
        return Plan { eras: Some(0..ended.era + 1), tries: 1, watchdog: plan.watchdog, ..plan.clone() };
    }
    // Fewer kinds of operations: leave out halves of them, then smaller parts, at last single kinds.
    let mut size = best.kinds.iter().count() / 2;
    while size > 0 && shrinker.has_time() {
        let kinds: Vec<_> = best.kinds.but(needed()).iter().collect();
        for part in kinds.chunks(size) {
            let part = part.iter().fold(Kinds::all().but(Kinds::all()), |set, kind| set.and((*kind).into()));
            let candidate = Plan { kinds: best.kinds.but(part), ..best.clone() };
            if shrinker.fails(&candidate) {
                best = candidate;
            }
        }
        size /= 2;
    }
    // Fewer turns: leave out pieces of the program.
    let mut size = 750;
    while size >= 20 && shrinker.has_time() {
        for start in (0..1500).step_by(size) {
            let piece = start as u64..(start + size) as u64;
            if best.skip.iter().any(|range| range.start <= piece.start && range.end >= piece.end) {
                continue;
            }
            let mut candidate = best.clone();
            candidate.skip.push(piece);
            if shrinker.fails(&candidate) {
                best = candidate;
            }
        }
        best.skip = joined(best.skip);
        size /= 2;
    }
    best
}

/// Joins adjacent and overlapping ranges.
fn joined(mut ranges: Vec<std::ops::Range<u64>>) -> Vec<std::ops::Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<std::ops::Range<u64>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

impl Shrinker {
    fn has_time(&self) -> bool {
        Instant::now() < self.end
    }

    fn fails(&self, plan: &Plan) -> bool {
        let left = self.end.saturating_duration_since(Instant::now()).min(EACH);
        if left.is_zero() {
            return false;
        }
        let failed = !child(plan, true, Some(left)).good;
        println!(
            "  {} with {} kinds, skipping {:?}: {}",
            plan.eras.clone().map_or(0, |eras| eras.end - eras.start),
            plan.kinds.iter().count(),
            plan.skip,
            if failed { "fails" } else { "passes" }
        );
        failed
    }
}
