//! `ticker`: the lateness of a 1 ms ticker on a current_thread runtime, while another task of that runtime awaits sync
//! work.
//!
//! Work that an await runs on its own thread delays every other task of the runtime. The sample is the lateness of the
//! latest tick. The rows with "late ticks" are of the same rounds; they count the ticks that came more than 2 ms late. The
//! ticker skips a tick that it missed because of an earlier late tick. So a body that blocks the thread once causes one
//! late tick.
//!
//! Every contender is a fresh process in every situation, since the engine keeps its knowledge of a function or closure for
//! the life of the process. The long bodies sleep, so they take no processor time from the ticker.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "ticker", what: "lateness of a 1 ms ticker beside awaited work, current_thread; ms", unit: "ms" };

/// The time from one tick to the next.
pub(crate) const PERIOD: Duration = Duration::from_millis(1);
/// A tick with more lateness than this is late.
const LATE: Duration = Duration::from_millis(2);
/// The time that the ticker runs alone before the work begins, and after the work has ended.
pub(crate) const MARGIN: Duration = Duration::from_millis(10);

/// The milliseconds of a long body.
pub(crate) const LONG: u64 = 50;
/// The number of bodies before the long ones; they return immediately.
pub(crate) const SHORT: usize = 1_000;
/// Long bodies of a function that turns long.
pub(crate) const TURNED: usize = 5;
/// No-op awaits in the loop.
pub(crate) const AWAITS: usize = 1_000_000;
/// The loop ends after this time, with fewer awaits.
pub(crate) const ENOUGH: Duration = Duration::from_secs(1);
/// Calls in the queue when the task awaits the last of them.
pub(crate) const QUEUED: usize = 100_000;
/// The arithmetic of each of those calls: about a microsecond.
pub(crate) const STEPS: u64 = 500;

/// The work that the other task awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// The first body of its function in this process is long.
    First,
    /// A long closure comes after short ones of another type.
    OtherClosure,
    /// A long closure comes after short ones of the same type. Only the value of a capture differs.
    SameClosure,
    /// Several long bodies of a function come after short ones of that function.
    TurnsLong,
    /// No-op bodies run one after the other.
    Noops,
    /// The last of many calls of an actor is awaited while all of them are queued.
    Queue,
}

impl Situation {
    /// All situations, each with its name in a row and the name of its group.
    pub(crate) const ALL: [(Situation, &'static str, &'static str); 6] = [
        (Situation::First, "first", "a first 50 ms body"),
        (Situation::OtherClosure, "other closure", "a 50 ms closure after 1,000 short ones of another type"),
        (Situation::SameClosure, "same closure", "a 50 ms closure after 1,000 short ones of its own type"),
        (Situation::TurnsLong, "turns long", "5 bodies of 50 ms of a function after 1,000 short ones"),
        (Situation::Noops, "no-ops", "a loop of 1,000,000 no-op awaits, or a second of them"),
        (Situation::Queue, "queue", "an await of the last of 100,000 queued actor calls"),
    ];
}

/// The ticks so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticks(Arc<Mutex<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The beginning of the count: lateness before it does not count.
    since: Option<Instant>,
    pub(crate) latest: Duration,
    pub(crate) late: usize,
}

impl Ticks {
    /// Forgets the ticks so far: the measured part of the work begins here.
    pub(crate) fn count_from_now(&self) {
        *self.lock() = Seen { since: Some(Instant::now()), ..Seen::default() };
    }

    /// Notes a tick that was `due` then and came `now`.
    pub(crate) fn came(&self, due: Instant, now: Instant) {
        let mut seen = self.lock();
        let due = seen.since.map_or(due, |since| since.max(due));
        let lateness = now.saturating_duration_since(due);
        seen.latest = seen.latest.max(lateness);
        seen.late += usize::from(lateness > LATE);
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_late_from_when_counting_began() {
        let (ticks, due) = (Ticks::default(), Instant::now());
        ticks.came(due, due + LATE);
        assert_eq!((ticks.seen().latest, ticks.seen().late), (LATE, 0));
        ticks.came(due, due + LATE * 2);
        assert_eq!((ticks.seen().latest, ticks.seen().late), (LATE * 2, 1));

        ticks.count_from_now();
        let since = ticks.seen().since.expect("counting began");
        ticks.came(due, since + LATE);
        assert_eq!((ticks.seen().latest, ticks.seen().late), (LATE, 0));
    }
}
