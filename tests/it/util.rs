//! The utilities of `ray::util`.

mod actor_pool;
mod actor_pool_faults;
mod event;
mod pool;
mod queue;
mod queue_waits;
mod semaphore;

/// Waits until no caller waits any more: a body that was cancelled may still be about to leave the line.
fn nobody_waits() {
    crate::stage::eventually("nobody waits", || !ray::dump().contains("Actor.wait`"));
}

/// Waits until a thread or a body waits in the actor of a utility. Only the embedded engine shows its waits.
fn a_caller_waits(count: usize) {
    crate::stage::eventually("the callers wait", || ray::dump().matches("Actor.wait`").count() >= count);
}
