//! References as futures, and callbacks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};

use super::ObjectRef;
use crate::blocking::awaiting::{self, Helped};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Engine;
use crate::store::state::Phase;
use crate::store::waiter::Waiter;

/// So many waiters are looked at for one that wakes the same task; a busy object has one more for each poll.
const LOOK_AT: usize = 8;

/// Wakes a task when the object is settled.
#[repr(C)]
struct Alarm {
    waiter: Waiter,
    waker: Waker,
    /// Where a shutdown finds the waker.
    engine: Arc<Engine>,
    key: u64,
}

unsafe fn ring(node: *mut Waiter, _failed: bool) {
    // SAFETY: made by `set_alarm`, fired once.
    let alarm = unsafe { Box::from_raw(node.cast::<Alarm>()) };
    alarm.engine.wakers.lock().remove(&alarm.key);
    crate::unwind::quietly(|| alarm.waker.wake());
}

impl<T> ObjectRef<T> {
    /// Has `waker` woken when the object is settled; `false`: it is already.
    fn set_alarm(&self, waker: &Waker) -> bool {
        // The waker's own code may do anything.
        let _inside = crate::unwind::call_user();
        let Ok(state) = crate::thread::of(self.header().epoch) else { return false };
        let engine = &state.engine;
        // SAFETY: a node on the heap, freed by whoever fires it.
        let linked = unsafe {
            self.header().with_waiters(|waiters| {
                let mut node = waiters.first();
                for _ in 0..LOOK_AT {
                    if node.is_null() {
                        break;
                    }
                    // SAFETY: linked, under the lock.
                    if std::ptr::fn_addr_eq((*node).fire, ring as unsafe fn(*mut Waiter, bool))
                        && (*node.cast::<Alarm>()).waker.will_wake(waker)
                    {
                        return;
                    }
                    node = (*node).next;
                }
                let key = engine.next_waker.fetch_add(1, Ordering::Relaxed);
                engine.wakers.lock().insert(key, waker.clone());
                let alarm = Alarm { waiter: Waiter::new(ring), waker: waker.clone(), engine: Arc::clone(engine), key };
                waiters.link(Box::into_raw(Box::new(alarm)).cast());
            })
        };
        if linked.is_ok() && !self.is_ready() {
            // Somebody waits now: what this needs should not have to wait for the pulse.
            crate::blocking::awaiting::hand_over(state, self.entry());
        }
        linked.is_ok()
    }

    /// Calls `f` when the object is settled, at once if it is; on the thread that settles it, so it should be short.
    /// At a shutdown it is called too.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let task = ray::task(|| 7).remote();
    /// task.on_ready(move || sender.send("done").unwrap());
    /// assert_eq!(receiver.recv(), Ok("done"));
    /// ```
    pub fn on_ready(&self, f: impl FnOnce() + Send + 'static) {
        struct Callback<F>(parking_lot::Mutex<Option<F>>);
        impl<F: FnOnce() + Send> Wake for Callback<F> {
            fn wake(self: Arc<Self>) {
                let f = self.0.lock().take();
                if let Some(f) = f {
                    crate::thread::call_back(f);
                }
            }
        }
        let waker = Waker::from(Arc::new(Callback(parking_lot::Mutex::new(Some(f)))));
        // The engine may have gone before it could find the waker: then it is woken here, and the callback runs once.
        if self.is_ready() || !self.set_alarm(&waker) || crate::blocking::same_engine(self.header()).is_err() {
            waker.wake();
        }
    }
}

/// In async code `reference.await` gives the value, moved out where the reference is the last, else cloned. Dropping
/// the future does not cancel the task.
///
/// # Panics
/// Polled again after it gave its value, it gives an error, not a panic.
impl<T: Clone> Future for ObjectRef<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let this = self.get_mut();
        let mut waits = false;
        loop {
            if let Err(stale) = crate::blocking::same_engine(this.header()) {
                return Poll::Ready(Err(stale));
            }
            match this.header().phase() {
                Phase::Ready => {
                    if let Some(value) = this.take_in_place() {
                        return Poll::Ready(Ok(value));
                    }
                    let taken = ObjectRef::<T>::failed(
                        Error::new(ErrorKind::InvalidArgument, "this future has given its value already"),
                        this.header().epoch,
                    );
                    taken.header().state.set_seen();
                    let object = std::mem::replace(this, taken);
                    return Poll::Ready(Ok(object.take_ready()));
                }
                Phase::Failed => return Poll::Ready(Err(this.seen_error())),
                Phase::Taken => {
                    return Poll::Ready(Err(Error::new(ErrorKind::InvalidArgument, "the value was taken already")));
                }
                _ => {}
            }
            if !waits {
                let Ok(state) = crate::thread::of(this.header().epoch) else {
                    return Poll::Ready(Err(crate::blocking::stale()));
                };
                match awaiting::help(state, this.entry(), context) {
                    Helped::Ran => continue,
                    Helped::Yield => return Poll::Pending,
                    Helped::Nothing => waits = true,
                }
            }
            if this.set_alarm(context.waker()) {
                // The engine may have gone between the look above and the entry in its list of wakers.
                if let Err(stale) = crate::blocking::same_engine(this.header()) {
                    return Poll::Ready(Err(stale));
                }
                return Poll::Pending;
            }
            if !this.is_ready() && crate::thread::of(this.header().epoch).is_err() {
                return Poll::Ready(Err(crate::blocking::stale()));
            }
        }
    }
}
