//! Work that asks for no CPU, or has been granted what it asks for, erased: the queue and the workers know how to run it, and no
//! more. As the jobs of rayon, each is a pointer and a table.

use std::ptr::NonNull;

use crate::object::entry::Hold;
use crate::task::runner::Runner;

/// Something that owns one pointer, and is run once or abandoned.
pub(crate) trait FreeWork: Sized + Send {
    /// So many bytes behind the pointer are touched first.
    const PREFETCH: usize = 0;
    /// It is a task, owned by a hold, that was granted what it asked for.
    const GRANTED: bool = false;

    /// Gives the pointer to the caller, with what it owns.
    fn into_raw(self) -> NonNull<()>;

    /// # Safety
    /// The pointer comes from [`into_raw`](Self::into_raw), and is used once.
    unsafe fn from_raw(data: NonNull<()>) -> Self;

    /// Runs it, on a worker or on a thread that stands in for one.
    fn run(self, runner: Runner<'_>);

    /// The engine has ended: it fails, now or as one of the leftovers.
    fn abandon(self, left: &mut Leftovers);
}

/// What is left of the jobs of an engine that has ended.
#[derive(Default)]
pub(crate) struct Leftovers {
    pub(crate) tasks: Vec<Hold>,
    /// Lines of callbacks, by their keys.
    pub(crate) callbacks: Vec<usize>,
}

/// A job; see the module. One that is dropped leaks what it owns.
pub(crate) struct FreeJob {
    data: NonNull<()>,
    table: &'static Table,
}

// SAFETY: it is made of a `FreeWork`, which is Send.
unsafe impl Send for FreeJob {}

struct Table {
    run: unsafe fn(NonNull<()>, Runner<'_>),
    abandon: unsafe fn(NonNull<()>, &mut Leftovers),
    prefetch: usize,
    granted: bool,
}

impl FreeJob {
    #[inline]
    pub(crate) fn of<W: FreeWork>(work: W) -> Self {
        Self {
            data: work.into_raw(),
            table: const {
                &Table {
                    // SAFETY: `data` comes from `into_raw`, and a job is used once.
                    run: |data, runner| unsafe { W::from_raw(data) }.run(runner),
                    // SAFETY: as for `run`: the job is abandoned instead.
                    abandon: |data, left| unsafe { W::from_raw(data) }.abandon(left),
                    prefetch: W::PREFETCH,
                    granted: W::GRANTED,
                }
            },
        }
    }

    #[inline(always)]
    pub(crate) fn run(self, runner: Runner<'_>) {
        // SAFETY: made by `of`, used once.
        unsafe { (self.table.run)(self.data, runner) }
    }

    pub(crate) fn abandon(self, left: &mut Leftovers) {
        // SAFETY: as in `run`.
        unsafe { (self.table.abandon)(self.data, left) }
    }

    /// The job will be run soon: asks for what that touches first.
    #[inline]
    pub(crate) fn prefetch(&self) {
        if self.table.prefetch > 0 {
            crate::base::sync::prefetch_all(self.data.as_ptr(), self.table.prefetch);
        }
    }

    /// The task, if it was granted what it asked for.
    pub(crate) fn into_granted(self) -> Result<Hold, Self> {
        if self.table.granted {
            // SAFETY: such a job owns a hold on a task.
            return Ok(unsafe { Hold::adopt(self.data.cast()) });
        }
        Err(self)
    }
}
