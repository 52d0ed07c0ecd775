//! What is known of a function or a method without its type: one `static` for each definition.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Bodies below this are short, in nanoseconds: a getter of several may run them itself.
const SHORT: u32 = 100_000;
/// Every n-th body of a thread is timed, once a function has been timed at all.
const SAMPLE_EVERY: u32 = 64;
/// So many bodies are timed before a function counts as known.
const FIRST_SAMPLES: u32 = 3;

/// Name and place of a definition, and how long its bodies take. Made by `#[remote]`.
#[derive(Debug)]
pub struct Spec {
    path: &'static str,
    file: &'static str,
    line: u32,
    local: bool,
    /// Moving mean of the sampled bodies, in nanoseconds, saturating.
    mean: AtomicU32,
    sampled: AtomicU32,
}

impl Spec {
    /// A definition at `path` (module path and name), written at `file:line`.
    #[must_use]
    pub const fn new(path: &'static str, file: &'static str, line: u32) -> Self {
        Self { path, file, line, local: false, mean: AtomicU32::new(0), sampled: AtomicU32::new(0) }
    }

    /// Marks it `#[remote(local)]`: its values never leave the process.
    #[must_use]
    pub const fn local(self) -> Self {
        Self { local: true, ..self }
    }

    /// Module path and name.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit("::").next().unwrap_or(self.path)
    }

    /// Source file.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// Line in the source file, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Whether it is `#[remote(local)]`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Whether the body about to run is to be timed; `turn` is the thread's own counter.
    #[inline]
    pub(crate) fn wants_sample(&self, turn: u32) -> bool {
        turn.is_multiple_of(SAMPLE_EVERY) || self.sampled.load(Ordering::Relaxed) < FIRST_SAMPLES
    }

    /// Takes a timing in. Lost updates between threads only cost a sample.
    pub(crate) fn sample(&self, took: Duration) {
        let took = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        let seen = self.sampled.load(Ordering::Relaxed);
        let mean = self.mean.load(Ordering::Relaxed);
        let next = match seen {
            0 => took,
            // The very first bodies are cold: the shortest tells most.
            1..FIRST_SAMPLES => mean.min(took),
            _ => mean / 8 * 7 + took / 8,
        };
        self.mean.store(next, Ordering::Relaxed);
        self.sampled.store(seen.saturating_add(1), Ordering::Relaxed);
    }

    /// The bodies are known to be short.
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        self.sampled.load(Ordering::Relaxed) >= FIRST_SAMPLES && self.mean.load(Ordering::Relaxed) < SHORT
    }

    /// Mean of the sampled bodies.
    pub(crate) fn mean(&self) -> Duration {
        Duration::from_nanos(u64::from(self.mean.load(Ordering::Relaxed)))
    }
}
