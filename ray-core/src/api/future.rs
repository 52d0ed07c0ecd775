//! References as futures, and callbacks.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, ready};

use crate::base::error::{Error, ErrorKind, Result};
use crate::engine::blocking::awaiting;
use crate::engine::blocking::awaiting::Helped;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;
use crate::object::future_waiter::Target;
use crate::object::object_ref::ObjectRef;
use crate::object::state::Phase;

/// Runs the awaited work on this thread, if it may, before the future links its waiter; for an object that is not settled. Owned and
/// borrowed futures call it. It may settle the object, so the caller looks again.
#[inline]
fn poll_entry(state: &ThreadState, entry: NonNull<Header>, context: &mut Context<'_>) -> Helped {
    awaiting::help(state, entry, context)
}

/// Waits until the target is settled, and then disarms it. The future has a ref to the target's entry.
///
/// # Errors
/// `RuntimeGone` if the entry's engine has ended.
#[inline]
pub(crate) fn poll_settled(target: &mut Target, context: &mut Context<'_>) -> Poll<Result<()>> {
    let entry = target.entry();
    // SAFETY: the future has a ref to the entry, so it is alive.
    let header = unsafe { entry.as_ref() };
    let mut helps = true;
    loop {
        if let Err(stale) = crate::base::epoch::check_object(header.epoch) {
            target.disarm();
            return Poll::Ready(Err(stale));
        }
        if header.phase().is_settled() {
            target.disarm();
            return Poll::Ready(Ok(()));
        }
        let state = match crate::engine::thread::of(header.epoch) {
            Ok(state) => state,
            Err(gone) => return Poll::Ready(Err(gone)),
        };
        if helps {
            match poll_entry(state, entry, context) {
                Helped::Ran => continue,
                Helped::Yield => return Poll::Pending,
                Helped::Nothing => helps = false,
            }
        }
        // SAFETY: the future keeps its ref until it has disarmed the target.
        let known = unsafe { target.arm(context.waker()) };
        // The slot may have been woken before it had this waker. Then the object is settled now, or the engine has ended.
        if known || (!header.phase().is_settled() && crate::base::epoch::check_object(header.epoch).is_ok()) {
            if let Err(forked) = state.engine.of_this_process() {
                target.disarm();
                return Poll::Ready(Err(forked));
            }
            awaiting::hand_over(state, entry);
            return Poll::Pending;
        }
    }
}

impl<T> ObjectRef<T> {
    /// Calls `f` on a thread of the engine after the object is settled. `f` may block and may use the whole API, like any other
    /// code; it holds no CPU. (If the engine cannot start a thread, the thread that settles the object calls `f`.) The callbacks of
    /// one object are called one after the other, in the order of registration, after the threads and futures that wait for the
    /// object have been woken. A panic of a callback is logged and has no other effect. If the object is settled already, `f` is
    /// called as soon as the callbacks before it have ended.
    ///
    /// A shutdown calls all callbacks, since every object is settled then, and waits for them like for bodies. If the object's
    /// engine has ended before, `f` is called at once on this thread.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let task = ray::task(|| 7).remote();
    /// task.on_ready(move || sender.send("done").unwrap());
    /// assert_eq!(receiver.recv(), Ok("done"));
    /// ```
    pub fn on_ready(&self, f: impl FnOnce() + Send + 'static) {
        // SAFETY: this reference keeps the entry alive.
        unsafe { crate::engine::callbacks::register(self.entry(), Box::new(f)) };
    }
}

/// In async code `reference.await` returns the value, which is moved out if this is the last reference, otherwise cloned;
/// `(&reference).await` returns a clone, and the reference can still be used. A poll after the value was returned gives an error,
/// not a panic.
///
/// # Cancel safety
///
/// An await may be dropped at any time (`select!`, `timeout`, a dropped future): no result is lost, and no memory is kept. This
/// does not cancel the task; [`cancel_on_drop`](Self::cancel_on_drop) does. `select!(&mut reference)` keeps the reference, which
/// can be awaited, polled or got again; only a poll that returns `Ready` takes the value out. A clone is a future of its own, so
/// several tasks may await one object.
///
/// ```
/// # extern crate ray_core as ray;
/// # futures::executor::block_on(async {
/// let object = ray::task(|| 7).remote();
/// assert_eq!((&object).await?, 7);
/// assert_eq!(object.await?, 7);
/// # Ok::<(), ray::Error>(())
/// # }).unwrap();
/// ```
impl<T: Clone> Future for ObjectRef<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.get_mut();
        ready!(poll_settled(&mut this.target, context))?;
        if this.header().phase() != Phase::Ready {
            return Poll::Ready(Err(this.settled_error()));
        }
        if let Some(value) = this.take_in_place() {
            return Poll::Ready(Ok(value));
        }
        let taken = ObjectRef::<T>::taken(
            Error::new(ErrorKind::InvalidArgument, "this future has given its value already"),
            this.header().epoch,
        );
        taken.header().state.set_seen();
        let object = std::mem::replace(this, taken);
        Poll::Ready(Ok(object.take_ready()))
    }
}

impl<T> ObjectRef<T> {
    /// The error of an object that is settled but not ready.
    #[cold]
    fn settled_error(&self) -> Error {
        match self.header().phase() {
            Phase::Failed => self.seen_error(),
            _ => Error::new(ErrorKind::InvalidArgument, "the value was taken already"),
        }
    }
}

/// The future of a borrowed reference, made by `(&reference).await`: it returns a clone of the value.
#[must_use = "a future does nothing until it is awaited"]
pub struct RefFuture<'a, T> {
    object: &'a ObjectRef<T>,
    /// The entry of `object`, and the waiter of this future.
    target: Target,
}

// SAFETY: a future waiter may be disarmed on any thread, and a shared `ObjectRef<T>` may be used on any thread, since `T` is Send and
// Sync.
unsafe impl<T: Send + Sync> Send for RefFuture<'_, T> {}
// SAFETY: a shared `RefFuture` can only be formatted, which uses the reference and not the target.
unsafe impl<T: Send + Sync> Sync for RefFuture<'_, T> {}

impl<T> fmt::Debug for RefFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefFuture").field(self.object).finish()
    }
}

impl<T: Clone> Future for RefFuture<'_, T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.get_mut();
        ready!(poll_settled(&mut this.target, context))?;
        Poll::Ready(match this.object.header().phase() {
            Phase::Ready => Ok(this.object.ready_value().clone()),
            _ => Err(this.object.settled_error()),
        })
    }
}

impl<T> Drop for RefFuture<'_, T> {
    fn drop(&mut self) {
        self.target.disarm();
    }
}

impl<'a, T: Clone> IntoFuture for &'a ObjectRef<T> {
    type Output = Result<T>;
    type IntoFuture = RefFuture<'a, T>;

    fn into_future(self) -> RefFuture<'a, T> {
        RefFuture { object: self, target: Target::new(self.entry()) }
    }
}
