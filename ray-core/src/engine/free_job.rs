//! Jobs that need no CPU or have their resources already, with their types erased. A job is a pointer and a table, like a job of
//! rayon; the queue and the workers can only run it or abandon it.

use std::ptr::NonNull;

use crate::base::sync::{LINE, prefetch_lines};
use crate::object::entry::Hold;
use crate::task::runner::Runner;

/// Work that owns one pointer, and is either run or abandoned, once.
pub(crate) trait FreeWork: Sized + Send {
    /// The number of bytes behind the pointer that the work touches first.
    const PREFETCH: usize = 0;
    /// Whether the work is a task, owned by a hold, whose resources have been granted.
    const GRANTED: bool = false;

    /// Converts the work into its pointer, which owns the same things.
    fn into_raw(self) -> NonNull<()>;

    /// # Safety
    /// The pointer comes from [`into_raw`](Self::into_raw) of the same type, and is used once.
    unsafe fn from_raw(data: NonNull<()>) -> Self;

    /// Runs the work on a worker, or on a thread that replaces one.
    fn run(self, runner: Runner<'_>);

    /// Fails the work because the engine has ended: at once, or later as one of the leftovers.
    fn abandon(self, left: &mut Leftovers);
}

/// The remaining work of an engine that has ended.
#[derive(Default)]
pub(crate) struct Leftovers {
    pub(crate) tasks: Vec<Hold>,
    /// Queues of callbacks, by their keys.
    pub(crate) callbacks: Vec<usize>,
}

/// A job; see the module. Dropping a job leaks what it owns.
pub(crate) struct FreeJob {
    data: NonNull<()>,
    table: &'static Table,
}

// SAFETY: `of` makes jobs of `FreeWork` only, which is Send.
unsafe impl Send for FreeJob {}

struct Table {
    run: unsafe fn(NonNull<()>, Runner<'_>),
    abandon: unsafe fn(NonNull<()>, &mut Leftovers),
    /// The number of cache lines that the work touches first.
    lines: usize,
    granted: bool,
}

impl FreeJob {
    #[inline]
    pub(crate) fn of<W: FreeWork>(work: W) -> Self {
        Self {
            data: work.into_raw(),
            table: const {
                &Table {
                    // SAFETY: `data` comes from `into_raw` of `W`, and `run` consumes the job.
                    run: |data, runner| unsafe { W::from_raw(data) }.run(runner),
                    // SAFETY: `data` comes from `into_raw` of `W`, and `abandon` consumes the job.
                    abandon: |data, left| unsafe { W::from_raw(data) }.abandon(left),
                    lines: W::PREFETCH.div_ceil(LINE),
                    granted: W::GRANTED,
                }
            },
        }
    }

    #[inline(always)]
    pub(crate) fn run(self, runner: Runner<'_>) {
        // SAFETY: `of` made the pair of table and pointer, and the job is consumed here.
        unsafe { (self.table.run)(self.data, runner) }
    }

    pub(crate) fn abandon(self, left: &mut Leftovers) {
        // SAFETY: `of` made the pair of table and pointer, and the job is consumed here.
        unsafe { (self.table.abandon)(self.data, left) }
    }

    /// Prefetches the memory that the job touches first; for a job that will be run soon.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch_lines(self.data.as_ptr(), self.table.lines);
    }

    /// The task, if its resources have been granted; otherwise the job.
    pub(crate) fn into_granted(self) -> Result<Hold, Self> {
        if self.table.granted {
            // SAFETY: a job with `GRANTED` owns a hold on a task, and the job is consumed here.
            return Ok(unsafe { Hold::adopt(self.data.cast()) });
        }
        Err(self)
    }
}
