//! Closures as tasks, and the type of the object that such a task makes.
//!
//! The `Result` of a closure is flattened like that of a function. The macro reads the return type of a function. Here the type
//! decides, and without specialisation only method resolution can distinguish a `Result` from other types. rustc looks for `remote`
//! on [`Task`] first, which has it if the closure returns a `Result` whose error is an `Error`. Otherwise rustc follows `Deref`,
//! from one special case to the next, to [`PlainTask`], which accepts every type: the object is the return value itself. In generic
//! code only the bounds of the closure's type count.
//!
//! A method that rustc finds through `Deref` cannot consume the task. It takes the closure out of the task, so if a task is
//! submitted twice, the second reference has an error.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use crate::api::configured::resources;
use crate::api::placed::placement;
use crate::base::call_options::CallOptions;
use crate::base::error::{Error, ErrorKind};
use crate::base::options::TaskOptions;
use crate::base::placement::SchedulingStrategy;
use crate::base::resources::UNITS;
use crate::base::runtime_env::RuntimeEnv;
use crate::call::arg::Closure;
use crate::call::flatten::{
    Fallible, FallibleByText, FallibleByWrapper, Finish, Flattened, FlattenedByText, FlattenedByWrapper, FlattenedUnread, Whole,
};
use crate::engine::submit;
use crate::engine::task_cell::ClosureBody;
use crate::object::object_ref::ObjectRef;

/// A closure as a task; [`task`] makes it, and `.remote()` or `.tell()` submits it.
///
/// # Panics
/// The methods that set options panic if the task was submitted before.
#[must_use = "the task does nothing until `.remote()`"]
pub struct Task<C>(WrapperTask<C>);

/// A [`Task`] whose closure may return a `Result` with a wrapper of errors, such as `anyhow::Error`.
#[doc(hidden)]
#[derive(Debug)]
pub struct WrapperTask<C>(TextTask<C>);

/// A [`Task`] whose closure may return a `Result` with an error that is only `Display`, such as a `String`.
#[doc(hidden)]
#[derive(Debug)]
pub struct TextTask<C>(PlainTask<C>);

/// A [`Task`] whose closure may return anything.
#[doc(hidden)]
pub struct PlainTask<C>(Cell<Option<(C, CallOptions)>>);

impl<C> fmt::Debug for PlainTask<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.take();
        let written = match &parts {
            Some((_, options)) => write!(f, "Task({options:?})"),
            None => f.write_str("Task(submitted)"),
        };
        self.0.set(parts);
        written
    }
}

impl<C> fmt::Debug for Task<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (***self).fmt(f)
    }
}

macro_rules! next {
    ($($from:ident $to:ident),*) => {$(
        impl<C> Deref for $from<C> {
            type Target = $to<C>;
            #[inline]
            fn deref(&self) -> &$to<C> {
                &self.0
            }
        }
    )*};
}
next!(Task WrapperTask, WrapperTask TextTask, TextTask PlainTask);

/// Makes a task of a closure. It runs in this process only, because a closure has no name that another process could know. The
/// values that it captures are moved, so capture references (`object.clone()`) instead of large values.
///
/// ```
/// # extern crate ray_core as ray;
/// let base = 40;
/// let answer = ray::task(move || base + 2).name("answer").remote();
/// assert_eq!(ray::get(answer)?, 42);
/// # Ok::<(), ray::Error>(())
/// ```
///
/// The `Result` of a closure is treated like that of a function: the object is the value of the `Ok`, and an `Err` makes it fail.
///
/// ```
/// # extern crate ray_core as ray;
/// let number: ray::ObjectRef<i64> = ray::task(|| "seven".parse::<i64>()).remote();
/// let error = ray::get(number).unwrap_err();
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// ```
///
/// The object is the whole `Result` in two cases: the error type is not `Display`, or the code is generic and its bounds do not say
/// that the closure returns a `Result`. rustc does not infer the return type of the closure from the type of the reference
/// (`let n: ObjectRef<u64> = ray::task(move || numbers.iter().sum()).remote()` does not compile): write `sum::<u64>()`, or
/// `move || -> u64 { .. }`.
pub fn task<C, R>(closure: C) -> Task<C>
where
    C: FnOnce() -> R + Send + 'static,
    R: Send + Sync + 'static,
{
    Task(WrapperTask(TextTask(PlainTask(Cell::new(Some((closure, CallOptions::new())))))))
}

impl<C> Task<C> {
    resources!();
    placement!("task");

    fn options_mut(&mut self) -> &mut CallOptions {
        let parts = self.0.0.0.0.get_mut().as_mut();
        &mut parts.expect("this task was submitted before, so its options cannot change: make another one with `ray::task`").1
    }
}

macro_rules! submits {
    ($task:ident [$($by:tt)*] $bound:ident $how:ident $told:ident) => {
        impl<C, R> $task<C>
        where
            C: FnOnce() -> R + Send + 'static,
            R: $bound + Send + Sync + 'static,
        {
            /// Submits the task; returns at once.
            pub fn remote<T: Send + Sync + 'static>($($by)* self) -> ObjectRef<T>
            where
                $how: Finish<R, T>,
            {
                submit::<C, R, T, $how>(self.0.take())
            }

            /// Submits the task and keeps no reference to the result; a failure is logged.
            pub fn tell<T: Send + Sync + 'static>($($by)* self)
            where
                $told: Finish<R, T>,
            {
                drop(submit::<C, R, T, $told>(self.0.take()));
            }
        }
    };
}
submits!(Task [] Fallible Flattened FlattenedUnread);
submits!(WrapperTask [&] FallibleByWrapper FlattenedByWrapper FlattenedByWrapper);
submits!(TextTask [&] FallibleByText FlattenedByText FlattenedByText);

impl<C> PlainTask<C> {
    fn take(&self) -> Option<(C, CallOptions)> {
        self.0.take()
    }

    /// Submits the task; returns at once.
    pub fn remote<R>(&self) -> ObjectRef<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + Sync + 'static,
    {
        submit::<C, R, R, Whole>(self.take())
    }

    /// Submits the task and keeps no reference to the result; a failure is logged.
    pub fn tell<R>(&self)
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + Sync + 'static,
    {
        drop(self.remote());
    }
}

fn submit<C, R, T, F>(parts: Option<(C, CallOptions)>) -> ObjectRef<T>
where
    C: FnOnce() -> R + Send + 'static,
    R: 'static,
    T: Send + Sync + 'static,
    F: Finish<R, T>,
{
    let Some((closure, options)) = parts else {
        let error = Error::new(
            ErrorKind::InvalidArgument,
            "this task was submitted before, and its closure went with it: make another one with `ray::task` for each submission",
        );
        return ObjectRef::failed(error, crate::base::epoch::current());
    };
    match options.over_task(&TaskOptions::new(), UNITS) {
        Ok(settings) => submit::submit_settings::<ClosureBody<C, R, T, F>>((Closure(closure),), settings, None),
        Err(error) => ObjectRef::failed(error, crate::base::epoch::current()),
    }
}
