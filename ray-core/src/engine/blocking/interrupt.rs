//! Waits in a body that is cancelled, or whose actor is killed: they end at once, with that error.
//!
//! # Rules
//!
//! 1. A thread that parks in a body first enters itself under the address of the body, then checks whether the body was stopped.
//! 2. A thread that stops a body first settles its entry (or marks its actor as dead), then wakes the threads under that address.
//!
//! The lock of the table orders the two, so one thread sees the change of the other.

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

/// The guard of a thread's place in the table.
pub(super) struct Registered([Option<usize>; 2]);

/// The addresses under which a body is in the table: that of its entry, and that of its actor.
fn addresses(frame: &Frame) -> [Option<usize>; 2] {
    [frame.entry.map(address), frame.actor.map(|actor| address(actor.cast::<()>()))]
}

fn address<T>(place: NonNull<T>) -> usize {
    place.as_ptr().addr()
}

/// Enters this thread under its innermost body, if it runs one.
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

/// Whether some body waits.
pub(crate) fn some_wait() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Checks whether the innermost body has been cancelled or its actor killed.
///
/// # Errors
/// The error of the cancellation or of the actor's death.
pub(crate) fn check(state: &ThreadState) -> Result<()> {
    let Some(frame) = state.frame() else { return Ok(()) };
    if let Some(header) = frame.header() {
        if header.phase() == Phase::Failed {
            return Err(header.error());
        }
        if let Some(error) = cut_off(header) {
            return Err(error);
        }
    }
    frame.host().and_then(Host::death).map_or(Ok(()), Err)
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

/// The error of the running attempt if it was cut off.
fn cut_off(header: &Header) -> Option<Error> {
    (header.task()?.vtable().kind.cut_off)(header)
}

/// Wakes the waits of a body that was stopped, by the address of its entry or of its actor.
pub(crate) fn wake<T>(place: NonNull<T>) {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return;
    }
    if let Some(threads) = PARKED.lock().as_ref().and_then(|parked| parked.get(&address(place))) {
        threads.iter().for_each(Thread::unpark);
    }
}
