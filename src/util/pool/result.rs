//! The results of the `_async` methods of a pool.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use ray_core::{Error, ErrorKind, ObjectRef, Result};
use serde::de::DeserializeOwned;

use super::job::Done;

/// The results of calls that a [`Pool`](super::Pool) runs: of `apply_async` an `R`, of `map_async` and `starmap_async` a `Vec<R>`.
/// [Python's page](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.pool.AsyncResult).
///
/// The methods that read the results take `&self`, so they may be called again.
#[must_use = "the calls run anyway, but their errors are in this result"]
pub struct AsyncResult<T: Collected> {
    chunks: Vec<ObjectRef<Vec<Done>>>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Collected> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncResult({} chunks)", self.chunks.len())
    }
}

/// The form of the results: `One<R>` or `Vec<R>`. Sealed.
pub trait Collected: sealed::Sealed + Sized + 'static {
    /// What `get` returns.
    type Output;
    #[doc(hidden)]
    fn collect(done: Vec<Done>) -> Result<Self::Output>;
}

/// The result of a single call.
#[derive(Debug)]
pub struct One<R>(PhantomData<fn() -> R>);

mod sealed {
    pub trait Sealed {}
    impl<R> Sealed for super::One<R> {}
    impl<R> Sealed for Vec<R> {}
}

impl<R: DeserializeOwned + Send + Sync + 'static> Collected for One<R> {
    type Output = R;
    fn collect(done: Vec<Done>) -> Result<R> {
        let lost = || Err(Error::of_kind(ErrorKind::WorkerCrashed, "the worker of the pool has returned no result"));
        done.into_iter().next().map_or_else(lost, Done::typed)
    }
}

impl<R: DeserializeOwned + Send + Sync + 'static> Collected for Vec<R> {
    type Output = Vec<R>;
    fn collect(done: Vec<Done>) -> Result<Vec<R>> {
        done.into_iter().map(Done::typed).collect()
    }
}

impl<T: Collected> AsyncResult<T> {
    pub(super) fn new(chunks: Vec<ObjectRef<Vec<Done>>>) -> Self {
        Self { chunks, kind: PhantomData }
    }

    /// Calls `f` with the results, if all calls end without an error; Python's `callback=..`. It is called once, on a thread of the
    /// engine, and may use the whole API (see [`ObjectRef::on_ready`]). A panic of `f` is logged there. If there
    /// are no calls, `f` is called here, before this returns, and a panic of it is a panic of this method.
    ///
    /// ```
    /// # use ray::remote;
    /// # use ray::util::Pool;
    /// # #[remote]
    /// # fn square(x: u64) -> u64 { x * x }
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let failures = sender.clone();
    /// let pool = Pool::new(2)?;
    /// let squares = pool
    ///     .map_async(square, 0..4)?
    ///     .callback(move |squares| sender.send(Ok(squares)).unwrap())
    ///     .error_callback(move |error| failures.send(Err(error)).unwrap());
    /// assert_eq!(receiver.recv().unwrap()?, [0, 1, 4, 9]);
    /// assert_eq!(squares.get()?, [0, 1, 4, 9]); // the results can still be read
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn callback(self, f: impl FnOnce(T::Output) + Send + 'static) -> Self {
        self.call_at_end(|results| {
            if let Ok(results) = results {
                f(results);
            }
        });
        self
    }

    /// Calls `f` with the error that [`get`](Self::get) returns, if a call ends with one; Python's `error_callback=..`. It is called when
    /// all calls have ended, as [`callback`](Self::callback) is.
    pub fn error_callback(self, f: impl FnOnce(Error) + Send + 'static) -> Self {
        self.call_at_end(|results| {
            if let Err(error) = results {
                f(error);
            }
        });
        self
    }

    /// Calls `f` when all calls have ended.
    fn call_at_end(&self, f: impl FnOnce(Result<T::Output>) + Send + 'static) {
        fn after(mut chunks: std::vec::IntoIter<ObjectRef<Vec<Done>>>, f: Box<dyn FnOnce() + Send>) {
            match chunks.next() {
                Some(chunk) => {
                    let rest = move || after(chunks, f);
                    chunk.on_ready(rest);
                }
                None => f(),
            }
        }
        let results = Self::new(self.chunks.clone());
        after(self.chunks.clone().into_iter(), Box::new(move || f(results.get())));
    }

    /// The results. Waits until all calls have ended.
    ///
    /// # Errors
    /// The error of the first call that has failed, in the order of the calls; `ActorDied` if the pool was terminated; the errors of a
    /// wait, see [`ray::get`](crate::get).
    #[track_caller]
    pub fn get(&self) -> Result<T::Output> {
        T::collect(ray_core::get(&self.chunks)?.concat())
    }

    /// As [`get`](Self::get), but waits at most for `timeout`.
    ///
    /// # Errors
    /// Those of [`get`](Self::get), and `GetTimeout`.
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T::Output> {
        T::collect(ray_core::get_timeout(&self.chunks, timeout)?.concat())
    }

    /// As [`get`](Self::get), for async code.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub async fn get_async(&self) -> Result<T::Output> {
        let mut done = Vec::new();
        for chunk in &self.chunks {
            done.extend(chunk.await?);
        }
        T::collect(done)
    }

    /// Waits until all calls have ended, whether they have failed or not, but at most for `timeout`; `false`: some have not.
    ///
    /// # Errors
    /// The errors of a wait, see [`ray::get`](crate::get).
    #[track_caller]
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        if self.ready() {
            return Ok(true);
        }
        let (_, rest) = ray_core::wait(&self.chunks, ray_core::first(self.chunks.len()).timeout(timeout))?;
        Ok(rest.is_empty())
    }

    /// Whether all calls have ended.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.chunks.iter().all(ObjectRef::is_ready)
    }

    /// Whether all calls have ended without an error.
    ///
    /// # Errors
    /// `InvalidArgument`: some have not ended.
    #[track_caller]
    pub fn successful(&self) -> Result<bool> {
        if !self.ready() {
            let what = "the calls have not ended: ask `ready()` first, or `wait` for them";
            return Err(Error::of_kind(ErrorKind::InvalidArgument, what));
        }
        Ok(self.get().is_ok())
    }
}
