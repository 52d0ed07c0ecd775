//! The thread that runs a task, and the bodies that it may run while it waits.

use std::marker::PhantomData;
use std::ptr::NonNull;

/// Which bodies a waiting thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Those that are known to be short: for a getter.
    Short,
    /// Of these, those of definitions that have never waited themselves: for an await, whose thread others need.
    Brief,
    /// All: for a getter that no other thread is left to help.
    Any,
}

/// The thread that runs a task, as the tables of tasks pass it on. The engine knows what it stands for.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a>(NonNull<()>, PhantomData<&'a ()>);

impl<'a> Runner<'a> {
    #[inline]
    pub(crate) fn erase<T>(thread: &'a T) -> Self {
        Self(NonNull::from(thread).cast(), PhantomData)
    }

    /// # Safety
    /// It was made of a `T`.
    #[inline]
    pub(crate) unsafe fn get<T>(self) -> &'a T {
        // SAFETY: the caller's promise; the borrow it was made of is `'a`.
        unsafe { self.0.cast().as_ref() }
    }
}
