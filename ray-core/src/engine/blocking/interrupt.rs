//! Waits inside a body that was cancelled, or whose actor was killed: they end at once, with that error.
//!
//! A thread that parks in a body enters itself under the body's address, then looks whether the body was stopped. A thread
//! that stops a body settles its entry (or marks its actor dead), then wakes the threads under that address. The table's lock
//! orders the two, so one of them sees the other.

use crate::base::error::Error;
use crate::object::entry::Header;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

use crate::base::error::Result;
use crate::engine::thread_state::{Frame, Host, ThreadState};
use crate::object::state::Phase;

static PARKED: Mutex<Option<HashMap<usize, Vec<Thread>>>> = Mutex::new(None);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// This thread stands in the table until this is dropped.
pub(super) struct Registered([Option<usize>; 2]);

/// What stands for a body in the table: its entry, and its actor.
fn addresses(frame: &Frame) -> [Option<usize>; 2] {
    [frame.entry.map(address), frame.actor.map(|actor| address(actor.cast::<()>()))]
}

fn address<T>(place: NonNull<T>) -> usize {
    place.as_ptr().addr()
}

/// Enters this thread's innermost body, if it runs one.
pub(super) fn register(state: &ThreadState) -> Option<Registered> {
    let addresses = addresses(state.frame()?);
    let mut parked = PARKED.lock();
    let parked = parked.get_or_insert_default();
    for address in addresses.into_iter().flatten() {
        parked.entry(address).or_default().push(std::thread::current());
    }
    COUNT.fetch_add(1, Ordering::SeqCst);
    Some(Registered(addresses))
}

impl Drop for Registered {
    fn drop(&mut self) {
        let me = std::thread::current().id();
        let mut parked = PARKED.lock();
        let parked = parked.get_or_insert_default();
        for address in self.0.into_iter().flatten() {
            if let Some(threads) = parked.get_mut(&address) {
                if let Some(at) = threads.iter().position(|thread| thread.id() == me) {
                    threads.swap_remove(at);
                }
                if threads.is_empty() {
                    parked.remove(&address);
                }
            }
        }
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A body waits somewhere.
pub(crate) fn some_wait() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// The innermost body has been cancelled, or its actor killed.
///
/// # Errors
/// That error.
pub(super) fn check(state: &ThreadState) -> Result<()> {
    let Some(frame) = state.frame() else { return Ok(()) };
    if let Some(entry) = frame.entry {
        // SAFETY: a frame's entry is alive while it runs.
        let header = unsafe { entry.as_ref() };
        if header.phase() == Phase::Failed {
            return Err(header.error());
        }
        if let Some(error) = cut_off(header) {
            return Err(error);
        }
    }
    if let Some(actor) = frame.actor {
        // SAFETY: an actor outlives the frames that run its calls.
        if let Some(death) = unsafe { actor.as_ref() }.death() {
            return Err(death);
        }
    }
    Ok(())
}

/// Whether the running body of a task, or of an actor's call, is to stop. The body may end at once then, so its entry must fail
/// before the body is told: otherwise the body's value could be published instead of the error.
pub(crate) fn is_asked_to_stop(entry: Option<&Header>, host: Option<&dyn Host>) -> bool {
    if entry.is_some_and(|header| header.phase() == Phase::Failed || is_cut_off(header)) {
        return true;
    }
    let Some(death) = host.and_then(Host::death) else { return false };
    if let Some(header) = entry.filter(|header| header.phase() == Phase::Running && fails_with_actor(header)) {
        // The thread that ends the actor is about to fail the call too. Without `membarrier` it may not find the call.
        header.abort(death);
    }
    true
}

fn fails_with_actor(header: &Header) -> bool {
    header.task().is_some_and(|head| head.vtable().kind.fails_with_actor)
}

/// Whether the attempt that runs was cut off.
pub(crate) fn is_cut_off(header: &Header) -> bool {
    cut_off(header).is_some()
}

/// Why the attempt that runs was cut off, if it was.
fn cut_off(header: &Header) -> Option<Error> {
    (header.task()?.vtable().kind.cut_off)(header)
}

/// The body at this address, or the actor, was stopped: its waits look again.
pub(crate) fn wake<T>(place: NonNull<T>) {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return;
    }
    if let Some(threads) = PARKED.lock().as_ref().and_then(|parked| parked.get(&address(place))) {
        threads.iter().for_each(Thread::unpark);
    }
}
