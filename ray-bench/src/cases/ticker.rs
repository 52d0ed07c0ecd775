//! `ticker`: how late a ticker of 1 ms is on a current_thread runtime, while another task of it awaits work that is not async.
//!
//! What an await runs on its own thread delays every other task of the runtime. The sample is the lateness of the latest tick;
//! the rows with "late ticks" are of the same rounds and count the ticks that came more than 2 ms late. A tick that is missed
//! because one before it was late is not made up for, so a body that blocks the thread once costs one late tick.
//!
//! Every contender is a fresh process in every situation, since what is known of a function or closure is known for the life of
//! a process. The bodies sleep: they take no processor that the ticker could lack.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    child,
    measure::{Case, Contender, USUAL},
    ours,
    peers::{current_thread, ticker as peers},
};

/// From one tick to the next.
const PERIOD: Duration = Duration::from_millis(1);
/// A tick that comes later than this is late.
const LATE: Duration = Duration::from_millis(2);
/// What the ticker is given before the work begins, and after it has ended.
const MARGIN: Duration = Duration::from_millis(10);

/// The milliseconds that a long body takes.
pub(crate) const LONG: u64 = 50;
/// Bodies that return at once, before the long ones.
pub(crate) const SHORT: usize = 1_000;
/// Long bodies after them, where a function turns long.
pub(crate) const TURNED: usize = 5;
/// No-op awaits in the loop.
pub(crate) const AWAITS: usize = 1_000_000;
/// After this the loop ends even where it has made fewer awaits.
pub(crate) const ENOUGH: Duration = Duration::from_secs(1);
/// Calls that are queued when the last of them is awaited.
pub(crate) const QUEUED: usize = 100_000;
/// What each of them does: about a microsecond of arithmetic.
pub(crate) const STEPS: u64 = 500;

pub(crate) const CASE: Case = Case {
    name: "ticker",
    what: "lateness of a 1 ms ticker beside awaited work, current_thread; ms",
    unit: "ms",
    contenders,
    child: Some(child),
    ..USUAL
};

/// What the other task awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// The first body of its function in this process, and it is long.
    First,
    /// A long closure after short ones of another type.
    OtherClosure,
    /// A long closure after short ones of the same type, from which only a captured value tells it.
    SameClosure,
    /// Several long bodies of a function whose bodies were all short before.
    TurnsLong,
    /// One body after the other that does nothing.
    Noops,
    /// The last of many calls of an actor, all of which are queued.
    Queue,
}

impl Situation {
    /// All of them, each with its name in a row and the name of its group.
    const ALL: [(Situation, &'static str, &'static str); 6] = [
        (Situation::First, "first", "a first 50 ms body"),
        (Situation::OtherClosure, "other closure", "a 50 ms closure after 1,000 short ones of another type"),
        (Situation::SameClosure, "same closure", "a 50 ms closure after 1,000 short ones of its own type"),
        (Situation::TurnsLong, "turns long", "5 bodies of 50 ms of a function after 1,000 short ones"),
        (Situation::Noops, "no-ops", "a loop of 1,000,000 no-op awaits, or a second of them"),
        (Situation::Queue, "queue", "an await of the last of 100,000 queued actor calls"),
    ];
}

fn contenders() -> Vec<Contender> {
    let mut all = Vec::new();
    for (_, name, group) in Situation::ALL {
        for who in ours::ALONE.into_iter().chain(["spawn_blocking"]) {
            let lateness = format!("{who} ({name})");
            let count = format!("{lateness} late ticks");
            let child = format!("{who}/{name}");
            let both = Contender::many([lateness, count.clone()], move || child::samples(CASE.name, &child));
            all.push(both.with_unit(&count, "ticks").among(group));
        }
    }
    all
}

fn child(who: &str) -> Vec<f64> {
    let (who, name) = who.split_once('/').expect("a library and a situation");
    let (situation, ..) = Situation::ALL.into_iter().find(|(_, named, _)| *named == name).expect("one of the situations");
    let ticks = Ticks::default();
    let runtime = current_thread();
    match who {
        "ray" => {
            ours::first_result();
            runtime.block_on(beside(ticks.clone(), ours::ticker::work(situation, ticks.clone())));
        }
        "spawn_blocking" => runtime.block_on(beside(ticks.clone(), peers::work(situation, ticks.clone()))),
        _ => panic!("nobody is called {who}"),
    }
    let seen = ticks.seen();
    vec![seen.latest.as_secs_f64() * 1e3, seen.late as f64]
}

/// Runs `work` as a task beside the ticker, until it ends.
async fn beside(ticks: Ticks, work: impl Future<Output = ()> + Send + 'static) {
    let ticker = tokio::spawn(tick(ticks.clone()));
    sleep(MARGIN).await;
    ticks.count_from_now();
    tokio::spawn(work).await.expect("the work ends well");
    // The tick that the last body has delayed is still to come.
    sleep(MARGIN).await;
    ticker.abort();
}

async fn tick(ticks: Ticks) {
    let mut ticker = interval(PERIOD);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let due = ticker.tick().await;
        ticks.came(due, Instant::now());
    }
}

/// The ticks so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticks(Arc<Mutex<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// When counting began: no tick was late before.
    since: Option<Instant>,
    latest: Duration,
    late: usize,
}

impl Ticks {
    /// Forgets the ticks so far: the part of the work that is judged begins here.
    pub(crate) fn count_from_now(&self) {
        *self.lock() = Seen { since: Some(Instant::now()), ..Seen::default() };
    }

    /// Notes a tick that was `due` then and has come `now`.
    fn came(&self, due: Instant, now: Instant) {
        let mut seen = self.lock();
        let due = seen.since.map_or(due, |since| since.max(due));
        let lateness = now.saturating_duration_since(due);
        seen.latest = seen.latest.max(lateness);
        seen.late += usize::from(lateness > LATE);
    }

    fn seen(&self) -> Seen {
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
