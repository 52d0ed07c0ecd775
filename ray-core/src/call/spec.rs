//! A definition without its type: its name, its place, and the durations of its bodies.
//!
//! # Known to be short
//!
//! A waiting thread may run the awaited body itself, if the definition is *known to be short*. Then the thread is back in
//! microseconds, and no thread has to sleep and be woken.
//!
//! 1. A definition becomes known when [`FIRST_SAMPLES`] of its bodies were timed and their moving mean is below [`SHORT`]. The time
//!    of a body is its own: the time that it spends in waits does not count.
//! 2. A body that takes [`OVERRUN`] bars its definition until [`BAR`] timed bodies were short; each further bar doubles that
//!    number. The monitor thread bars the definition while the body still runs; the end of a timed body does it, too.
//! 3. Of the bodies of a known definition one in [`SAMPLE_EVERY`] is timed, of all other definitions every body.
//! 4. One `Spec` belongs to one function or method. Closures and generic items, which never leave the process ([`Spec::local`]),
//!    share the `Spec` of their source text: [`instance`] gives each of their types its own.
//! 5. A definition with `#[remote(inline = false)]`, or that makes a stream, is never known to be short.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// A body and a mean below this are short, in nanoseconds.
const SHORT: u32 = 100_000;
/// A body of this length bars its definition.
pub(crate) const OVERRUN: Duration = Duration::from_millis(1);
/// The number of short bodies that lift the first bar.
const BAR: u32 = 16;
/// The largest number of short bodies that a bar requires.
const LONGEST_BAR: u32 = 1 << 12;
/// One in so many bodies of a thread is timed, if its definition is known to be short.
const SAMPLE_EVERY: u32 = 64;
/// The number of timed bodies before a definition can be known.
const FIRST_SAMPLES: u32 = 3;
/// The most that one body adds to the mean, in nanoseconds. The bar handles longer bodies.
const MOST: u32 = 4_000_000;

/// The name and the place of a definition, and the durations of its bodies. `#[remote]` makes it.
#[derive(Debug)]
pub struct Spec {
    path: &'static str,
    name: Option<&'static str>,
    file: &'static str,
    line: u32,
    local: bool,
    inline: bool,
    stream: bool,
    /// The moving mean of the timed bodies, in nanoseconds.
    mean: AtomicU32,
    sampled: AtomicU32,
    /// The number of short bodies until the bar is lifted; 0 without a bar.
    barred: AtomicU32,
    /// The number that the last bar required.
    bar: AtomicU32,
    /// The result of `judge` from the other fields, so that one load says whether the definition is known to be short.
    short: AtomicBool,
    /// Whether a body has waited: in a get, or (of an `async fn`) in its first poll.
    waits: AtomicBool,
}

impl Spec {
    /// A definition at `path` (module path and name), in line `line` of `file`.
    #[must_use]
    pub const fn new(path: &'static str, file: &'static str, line: u32) -> Self {
        Self {
            path,
            name: None,
            file,
            line,
            local: false,
            inline: true,
            stream: false,
            mean: AtomicU32::new(0),
            sampled: AtomicU32::new(0),
            barred: AtomicU32::new(0),
            bar: AtomicU32::new(0),
            short: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        }
    }

    /// Marks the definition as `#[remote(local)]`: its values never leave the process, and it may be generic.
    #[must_use]
    pub const fn local(self) -> Self {
        Self { local: true, ..self }
    }

    /// Marks the definition as `#[remote(inline = false)]`: no waiting thread runs its bodies.
    #[must_use]
    pub const fn not_inline(self) -> Self {
        Self { inline: false, ..self }
    }

    /// Marks the definition as one whose bodies wait for the consumer of their items: no waiting thread runs them, because it may be the
    /// thread of the consumer.
    #[must_use]
    pub const fn stream(self) -> Self {
        Self { inline: false, stream: true, ..self }
    }

    /// Sets the name for messages: `Class.method` for a method or a constructor.
    #[must_use]
    pub const fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The module path and the name.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The name in messages: `function`, `Class` or `Class.method`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name.unwrap_or_else(|| self.path.rsplit("::").next().unwrap_or(self.path))
    }

    /// The source file.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The line in the source file, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Whether the definition is `#[remote(local)]`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Whether the bodies wait for the consumer of their items.
    pub(crate) fn makes_stream(&self) -> bool {
        self.stream
    }

    /// Whether to time the body that is about to run; `turn` is the thread's own counter of bodies.
    #[inline]
    pub(crate) fn wants_sample(&self, turn: u32) -> bool {
        turn.is_multiple_of(SAMPLE_EVERY) || !self.is_short()
    }

    /// Adds the duration of a body. If two threads do this at once, one sample may be lost.
    pub(crate) fn sample(&self, took: Duration) {
        let long = took >= OVERRUN;
        let took = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        let seen = self.sampled.load(Ordering::Relaxed);
        let mean = self.mean.load(Ordering::Relaxed);
        let next = match seen {
            0 => took.min(MOST),
            // The first bodies run with cold caches, so the shortest of them is the best estimate.
            1..FIRST_SAMPLES => mean.min(took),
            _ => mean / 8 * 7 + took.min(MOST) / 8,
        };
        self.mean.store(next, Ordering::Relaxed);
        self.sampled.store(seen.saturating_add(1), Ordering::Relaxed);
        if long {
            self.overran();
        } else if took < SHORT {
            let barred = self.barred.load(Ordering::Relaxed);
            if barred > 0 {
                self.barred.store(barred - 1, Ordering::Relaxed);
            }
        }
        self.judge();
    }

    /// Bars the definition, because a body takes or took too long for a waiting thread.
    #[cold]
    pub(crate) fn overran(&self) {
        let (barred, bar) = (self.barred.load(Ordering::Relaxed), self.bar.load(Ordering::Relaxed));
        // The monitor thread and the end of the body may both call this for one body; the second call changes nothing.
        if barred == 0 || barred < bar {
            let bar = (bar * 2).clamp(BAR, LONGEST_BAR);
            self.bar.store(bar, Ordering::Relaxed);
            self.barred.store(bar, Ordering::Relaxed);
        }
        self.judge();
    }

    fn judge(&self) {
        let short = self.inline
            && !self.local
            && self.sampled.load(Ordering::Relaxed) >= FIRST_SAMPLES
            && self.mean.load(Ordering::Relaxed) < SHORT
            && self.barred.load(Ordering::Relaxed) == 0;
        if self.is_short() != short {
            self.short.store(short, Ordering::Relaxed);
        }
    }

    /// Whether the bodies are known to be short.
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Whether waiting threads may run the bodies and no timed body was long so far. True also if none has ended yet.
    pub(crate) fn was_never_long(&self) -> bool {
        self.inline && self.bar.load(Ordering::Relaxed) == 0 && self.mean.load(Ordering::Relaxed) < SHORT
    }

    /// Records that a body has waited: in a get, or (of an `async fn`) because its first poll returned `Pending`.
    pub(crate) fn has_waited(&self) {
        if !self.waits() {
            self.waits.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a body has waited at some time.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// The mean of the timed bodies.
    pub(crate) fn mean(&self) -> Duration {
        Duration::from_nanos(u64::from(self.mean.load(Ordering::Relaxed)))
    }
}

/// The number of closure types and generic instances that get their own `Spec`. Further ones share a `Spec` that is never short.
const INSTANCES: usize = 1 << 12;
/// The number of places that are tried for one type.
const PROBES: usize = 16;

/// An instance: the address of its function table, which no other type has, and its own `Spec`.
struct Instance {
    table: AtomicUsize,
    spec: OnceLock<Spec>,
}

static TABLE: [Instance; INSTANCES] = [const { Instance { table: AtomicUsize::new(0), spec: OnceLock::new() } }; INSTANCES];

/// The `Spec` for the bodies of one type that share `spec`; `table` is the function table of that type.
#[inline]
pub(crate) fn instance<T>(spec: &'static Spec, table: &'static T) -> &'static Spec {
    if spec.local { find(spec, std::ptr::from_ref(table).addr()) } else { spec }
}

fn find(spec: &'static Spec, table: usize) -> &'static Spec {
    let first = (table >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    for probe in 0..PROBES {
        let place = &TABLE[(first + probe) % INSTANCES];
        let mut known = place.table.load(Ordering::Relaxed);
        if known == 0 {
            known = match place.table.compare_exchange(0, table, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => table,
                Err(other) => other,
            };
        }
        if known == table {
            return place.spec.get_or_init(|| Spec {
                name: spec.name,
                inline: spec.inline,
                stream: spec.stream,
                ..Spec::new(spec.path, spec.file, spec.line)
            });
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_micros(2);
    const SLOW: Duration = Duration::from_millis(50);

    fn known() -> Spec {
        let spec = Spec::new("m::f", "f.rs", 1);
        (0..FIRST_SAMPLES).for_each(|_| spec.sample(FAST));
        assert!(spec.is_short());
        spec
    }

    #[test]
    fn a_definition_is_known_after_its_first_bodies() {
        let spec = Spec::new("m::f", "f.rs", 1);
        assert!(!spec.is_short() && spec.was_never_long());
        spec.sample(FAST);
        spec.sample(FAST);
        assert!(!spec.is_short());
        spec.sample(FAST);
        assert!(spec.is_short());
    }

    #[test]
    fn one_long_body_bars_a_definition_until_it_was_short_again() {
        let spec = known();
        spec.sample(SLOW);
        assert!(!spec.is_short() && !spec.was_never_long());
        (1..BAR).for_each(|_| spec.sample(FAST));
        assert!(!spec.is_short());
        spec.sample(FAST);
        spec.sample(FAST);
        assert!(spec.is_short());
    }

    #[test]
    fn each_further_bar_is_twice_as_long() {
        let spec = known();
        spec.sample(SLOW);
        (0..BAR + 1).for_each(|_| spec.sample(FAST));
        spec.overran();
        assert!(!spec.is_short());
        // The end of the body that the monitor thread has seen.
        spec.sample(SLOW);
        (1..2 * BAR).for_each(|_| spec.sample(FAST));
        assert!(!spec.is_short());
        (0..2).for_each(|_| spec.sample(FAST));
        assert!(spec.is_short());
    }

    #[test]
    fn a_definition_that_is_not_to_be_inlined_is_never_known() {
        let spec = Spec::new("m::f", "f.rs", 1).not_inline();
        (0..100).for_each(|_| spec.sample(FAST));
        assert!(!spec.is_short());
    }

    #[test]
    fn instances_of_a_local_definition_are_told_apart() {
        static SHARED: Spec = Spec::new("m::g", "f.rs", 1).local();
        static TABLES: [u64; 4] = [1, 2, 3, 4];
        let (one, other) = (instance(&SHARED, &TABLES[0]), instance(&SHARED, &TABLES[2]));
        assert!(!std::ptr::eq(one, other) && std::ptr::eq(one, instance(&SHARED, &TABLES[0])));
        (0..FIRST_SAMPLES).for_each(|_| one.sample(FAST));
        assert!(one.is_short() && !other.is_short() && !SHARED.is_short());
        assert_eq!(one.path(), "m::g");
    }
}
