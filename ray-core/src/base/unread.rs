//! Failures that no `get` and no await has read: the first few of each function or method are logged in full, the others are counted.
//!
//! The counts are logged in one line, at most once a second: at the next failure, by the monitor thread, which is woken for that,
//! or by `shutdown`. A process that ends without a shutdown loses the counts of its last second.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::error::Error;
use crate::base::log::{Notice, warn};

/// How many failures of one name are logged in full.
const IN_FULL: u32 = 5;
/// The shortest time between two lines of counts.
const PAUSE: Duration = Duration::from_secs(1);
/// How many names a line lists.
const LISTED: usize = 4;
/// How many names are counted separately: a program may give each of its tasks a name of its own.
const NAMES: usize = 1024;

/// The name of all failures beyond [`NAMES`].
const OTHERS: &str = "other tasks";

static UNREAD: Mutex<Unread> = Mutex::new(Unread::new());
/// Whether there are counts that were not logged.
static COUNTED: AtomicBool = AtomicBool::new(false);
/// The thread that logs the counts when no failure follows: the monitor thread.
static KEEPER: Mutex<Option<Thread>> = Mutex::new(None);

static UNHANDLED_IGNORED: LazyLock<bool> =
    LazyLock::new(|| std::env::var("RAY_IGNORE_UNHANDLED_ERRORS").is_ok_and(|value| value == "1" || value == "true"));

/// Logs or counts the error of a failed object that was not read, unless `RAY_IGNORE_UNHANDLED_ERRORS=1`. Work that a shutdown
/// has ended is not logged: the program has asked for that.
pub(crate) fn unhandled(error: &Error) {
    if error.is_runtime_gone() || *UNHANDLED_IGNORED {
        return;
    }
    let now = Instant::now();
    let mut unread = UNREAD.lock();
    let in_full = unread.takes_in_full(error.last_task().unwrap_or_default());
    let line = unread.line(now, false);
    let counting = !unread.counts_nothing();
    drop(unread);
    if in_full {
        let advice = "this failure was not read by any `get` or await (get the reference, or set RAY_IGNORE_UNHANDLED_ERRORS=1)";
        warn(Notice::Unhandled, &format_args!("{advice}: {error:?}"));
    }
    log(line);
    // The first count since the last line: the keeper may be resting.
    if counting
        && !COUNTED.swap(true, Ordering::Relaxed)
        && let Some(keeper) = &*KEEPER.lock()
    {
        keeper.unpark();
    }
}

/// Logs the counts, if it is time; called by the monitor thread. Returns how long until the counts that are left may be logged.
#[inline]
pub(crate) fn log_unread_in_time() -> Option<Duration> {
    COUNTED.load(Ordering::Relaxed).then(|| log_counted(false)).flatten()
}

/// Logs the counts that were not logged yet; called by a shutdown.
pub(crate) fn log_unread() {
    log_counted(true);
}

/// Makes the calling thread the keeper: it calls [`log_unread_in_time`] from now on, and is unparked at the first count.
pub(crate) fn keep_unread() {
    *KEEPER.lock() = Some(std::thread::current());
}

#[cold]
fn log_counted(anyway: bool) -> Option<Duration> {
    let now = Instant::now();
    let mut unread = UNREAD.lock();
    let line = unread.line(now, anyway);
    let wait = unread.wait(now);
    if wait.is_none() {
        // Under the lock, so that a failure that is counted later sets the flag again.
        COUNTED.store(false, Ordering::Relaxed);
    }
    drop(unread);
    log(line);
    wait
}

fn log(line: Option<String>) {
    if let Some(line) = line {
        warn(Notice::Unhandled, &line);
    }
}

/// How many failures of each name there were.
struct Unread {
    names: BTreeMap<Box<str>, Count>,
    /// Failures of all names that were counted and not logged yet.
    counted: u64,
    last_line: Option<Instant>,
}

#[derive(Default)]
struct Count {
    in_full: u32,
    /// Failures that were counted and not logged yet.
    counted: u64,
}

impl Unread {
    const fn new() -> Unread {
        Unread { names: BTreeMap::new(), counted: 0, last_line: None }
    }

    fn counts_nothing(&self) -> bool {
        self.counted == 0
    }

    /// Whether one more failure of `name` is to be logged in full; otherwise it is counted.
    fn takes_in_full(&mut self, name: &str) -> bool {
        let name = if self.names.contains_key(name) || self.names.len() < NAMES { name } else { OTHERS };
        let count = match self.names.get_mut(name) {
            Some(count) => count,
            None => self.names.entry(name.into()).or_default(),
        };
        if count.in_full < IN_FULL {
            count.in_full += 1;
            return true;
        }
        count.counted += 1;
        self.counted += 1;
        false
    }

    /// How long until a line is due, if there are counts.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let since = self.last_line.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        (self.counted > 0).then(|| PAUSE.saturating_sub(since))
    }

    /// The line of the counts if it is due, or in any case if `anyway`; resets the counts.
    fn line(&mut self, now: Instant, anyway: bool) -> Option<String> {
        // Without an earlier line the second begins now, so that the first line has many counts.
        let last = *self.last_line.get_or_insert(now);
        if self.counted == 0 || (!anyway && now.saturating_duration_since(last) < PAUSE) {
            return None;
        }
        let mut names: Vec<_> = self.names.iter_mut().filter(|(_, count)| count.counted > 0).collect();
        names.sort_by_key(|(_, count)| std::cmp::Reverse(count.counted));
        let total = self.counted;
        let mut line = format!("{total} more failures of these tasks were not read: ");
        for (i, (name, count)) in names.iter().take(LISTED).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let _ = match &***name {
                "" => write!(line, "{comma}{} of no task", count.counted),
                OTHERS => write!(line, "{comma}{} of {OTHERS}", count.counted),
                name => write!(line, "{comma}{} of `{name}`", count.counted),
            };
        }
        if names.len() > LISTED {
            let _ = write!(line, " and those of {} more", names.len() - LISTED);
        }
        names.into_iter().for_each(|(_, count)| count.counted = 0);
        self.counted = 0;
        self.last_line = Some(now);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(unread: &mut Unread, name: &str, times: u32) -> u32 {
        (0..times).map(|_| u32::from(unread.takes_in_full(name))).sum()
    }

    #[test]
    fn the_first_few_of_each_name_are_logged_in_full() {
        let mut unread = Unread::new();
        assert_eq!((fail(&mut unread, "a", 100), fail(&mut unread, "B.b", 3), fail(&mut unread, "B.b", 100)), (5, 3, 2));
        let now = Instant::now();
        let line = unread.line(now, true).unwrap();
        assert_eq!(line, "193 more failures of these tasks were not read: 98 of `B.b`, 95 of `a`");
        assert!(unread.counts_nothing() && unread.wait(now).is_none() && unread.line(now, true).is_none());
        assert_eq!(fail(&mut unread, "a", 1), 0, "the first failures are logged in full only once");
        assert_eq!(unread.line(now, true).unwrap(), "1 more failures of these tasks were not read: 1 of `a`");
    }

    #[test]
    fn a_line_is_logged_once_a_second() {
        let (mut unread, start) = (Unread::new(), Instant::now());
        let mut lines = 0;
        for millis in 0..3500 {
            fail(&mut unread, "a", 10);
            lines += u32::from(unread.line(start + Duration::from_millis(millis), false).is_some());
        }
        assert_eq!(lines, 3);
        let now = start + Duration::from_millis(3500);
        assert_eq!(unread.wait(now), Some(Duration::from_millis(500)));
        assert!(unread.line(start + Duration::from_secs(4), false).is_some());
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut unread = Unread::new();
        for i in 0..2 * NAMES {
            fail(&mut unread, &format!("task {i}"), 6);
        }
        assert!(unread.names.len() <= NAMES + 1);
        let line = unread.line(Instant::now(), true).unwrap();
        assert!(line.contains("of other tasks, ") && line.ends_with(&format!("and those of {} more", NAMES - 3)), "{line}");
    }
}
