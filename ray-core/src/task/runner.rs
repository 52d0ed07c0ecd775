//! The thread that runs a task, and the kinds of bodies that a waiting thread may run.

use std::marker::PhantomData;
use std::ptr::NonNull;

/// Which bodies a waiting thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Bodies that are known to be short: for a getter.
    Short,
    /// Short bodies whose definition has never waited: for an await, whose thread other futures need.
    Brief,
    /// All bodies: for a getter if no other thread is left to run them.
    Any,
}

/// The thread that runs a task, without its type: the tables of tasks pass it on to the engine, which knows the type.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a>(NonNull<()>, PhantomData<&'a ()>);

impl<'a> Runner<'a> {
    #[inline]
    pub(crate) fn erase<T>(thread: &'a T) -> Self {
        Self(NonNull::from(thread).cast(), PhantomData)
    }

    /// # Safety
    /// The runner was made of a `T`.
    #[inline]
    pub(crate) unsafe fn get<T>(self) -> &'a T {
        // SAFETY: `erase` has made the pointer of a `&'a T`, with the `T` that the caller names.
        unsafe { self.0.cast().as_ref() }
    }
}
