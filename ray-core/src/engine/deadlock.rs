//! Deadlocks: the waits of this thread's bodies, and the report about an engine in which nothing moves.
//! [`wait_graph`](crate::engine::wait_graph) has the rules.

use std::ptr::NonNull;
use std::time::Duration;

use crate::base::error::Error;
use crate::base::log::Notice;
use crate::engine::engine::Engine;
use crate::engine::thread_state::ThreadState;
use crate::engine::wait_graph::{Waiting, address, name_of};
use crate::object::entry::{Header, Hold};
use crate::task::head::TaskHead;

/// Enters the wait of this thread's bodies for `target`, unless it closes a cycle.
///
/// # Errors
/// `Deadlock`, with the names of the members of the cycle.
pub(super) fn enter<'a>(state: &'a ThreadState, target: &Header) -> Result<Waiting<'a>, Error> {
    let mut bodies = Vec::new();
    let mut names = Vec::new();
    let mut frame = state.frame();
    while let Some(body) = frame {
        match (body.header(), body.actor) {
            (Some(header), _) => {
                bodies.push(address(NonNull::from(header)));
                names.push(name_of(header, body.spec.name()));
                // While an actor's constructor runs, the actor has no running call, so its address is entered for the constructor.
                if let Some(actor) = header.task().and_then(TaskHead::owner) {
                    bodies.push(actor);
                    names.push(name_of(header, body.spec.name()));
                }
            }
            (None, Some(actor)) => {
                bodies.push(actor.cast::<()>().as_ptr().addr());
                names.push(format!("`{}`", body.spec.name()));
            }
            (None, None) => {}
        }
        frame = body.below();
    }
    let inside = !bodies.is_empty();
    if !inside {
        // No entry waits for a thread that runs no body, so it closes no cycle, but reports name it.
        bodies.push(std::ptr::from_ref(state).addr());
        names.push(format!("thread `{}`", std::thread::current().name().unwrap_or("unnamed")));
    }
    state.engine.waits.enter(bodies, names, inside, Hold::of(target))
}

/// Writes a report about waiting work and waiting threads when nothing moves.
pub(crate) fn report_stall(engine: &Engine, still: Duration) {
    let mut lines = vec![format!("nothing has started or ended for {:.1} s, and work is waiting:", still.as_secs_f64())];
    for (demand, count) in engine.claims.lock().claims.waiting() {
        lines.push(format!("  {count} task(s), actor(s) or placement group(s) ask for {demand}"));
    }
    for group in engine.groups.all() {
        for (demand, count) in group.inside.lock().claims.waiting() {
            lines.push(format!("  {count} task(s) or actor(s) ask for {demand} of {:?}", group.handle));
        }
    }
    if engine.has_cpu_work() {
        lines.push("  tasks wait for a CPU".to_owned());
    }
    if !engine.free.is_empty() {
        lines.push("  work that asks for no CPU waits for a thread".to_owned());
    }
    lines.push(format!(
        "  free now: {} of {} CPU; the node has {}",
        engine.cpu.free() as f64 / crate::base::resources::UNITS as f64,
        engine.cpu.total() as f64 / crate::base::resources::UNITS as f64,
        engine.total()
    ));
    let extra = engine.extra_cpus.load(std::sync::atomic::Ordering::Relaxed);
    if extra > 0 {
        lines.push(format!("  granted so far: {extra} extra CPU(s), since bodies block in the operating system"));
    }
    for name in engine.running_bodies() {
        lines.push(format!("  running: {name}"));
    }
    lines.extend(engine.holders.lock().values().map(|holder| format!("  {holder}")));
    lines.extend(engine.waits.lines());
    crate::base::log::warn(Notice::Stall, &lines.join("\n"));
}
