//! Parking until something is so.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Return, Returning};
use crate::store::entry::Header;
use crate::store::state::Phase;
use crate::store::waiter::Waiter;
use crate::thread::ThreadState;

/// A getter looks this often before it parks: a result that another thread is about to publish comes within a
/// microsecond or two, and a park costs several.
pub(crate) const LOOKS: u32 = 100;

/// A getter whose wait was no cycle when it began judges it again when it wakes after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Done,
    TimedOut,
}

/// Parks until `done`, or `deadline`. The body's CPU is others' meanwhile. Whoever makes `done` true unparks this
/// thread.
///
/// # Errors
/// `RuntimeGone` when the engine is shut down; `Threads` when no thread is left that could ever make `done` true.
pub(crate) fn until(state: &ThreadState, deadline: Option<Instant>, done: impl Fn() -> bool) -> Result<Waited> {
    let engine = &*state.engine;
    state.give_batch_back();
    let held = state.cpu.replace(0);
    let blocked = state.block();
    let lent = (held > 0 && state.frame().is_some_and(|frame| frame.actor.is_some())).then(|| engine.cpu.lend(held));
    engine.give_cpu(held);
    let waited = wait(state, deadline, done);
    drop(lent);
    drop(blocked);
    take_again(state, held);
    waited
}

fn wait(state: &ThreadState, deadline: Option<Instant>, done: impl Fn() -> bool) -> Result<Waited> {
    let engine = &*state.engine;
    engine.kick();
    loop {
        if done() {
            return Ok(Waited::Done);
        }
        if !engine.is_live() {
            return Err(super::stale());
        }
        if starved(state) && !done() {
            return Err(Error::new(
                ErrorKind::Threads,
                "every thread of the engine waits in a get and no further one can be had, so nobody is left to run what they wait for: gets nest too deep; raise `Config::max_threads` (or the system's limit), or use `async fn` and await",
            ));
        }
        match deadline {
            None => std::thread::park_timeout(Duration::from_secs(1)),
            Some(deadline) => {
                let now = Instant::now();
                if now >= deadline {
                    return Ok(Waited::TimedOut);
                }
                std::thread::park_timeout((deadline - now).min(Duration::from_secs(1)));
            }
        }
    }
}

/// All workers wait, there is work that none of them will come to, and no new worker can be had.
fn starved(state: &ThreadState) -> bool {
    let engine = &*state.engine;
    if engine.workers_at_work() > 0 || engine.workers.idle_count.load(Ordering::SeqCst) > 0 {
        return false;
    }
    if !engine.has_cpu_work() && engine.free.is_empty() {
        return false;
    }
    engine.add_worker().is_err() && engine.workers_at_work() == 0 && engine.is_live() && state.frame().is_some()
}

/// Takes a body's CPU again, ahead of unstarted tasks.
pub(crate) fn take_again(state: &ThreadState, units: u64) {
    if units == 0 {
        return;
    }
    let engine = &*state.engine;
    if !engine.cpu.is_claimed() && engine.cpu.take_ahead(units) {
        state.cpu.set(units);
        return;
    }
    state.give_batch_back();
    let me = Returning(Arc::new(Return { thread: std::thread::current(), granted: AtomicBool::new(false) }));
    {
        let mut claims = engine.claims.lock();
        claims.claim_return(units, me.clone());
        engine.count_claims(&claims);
    }
    let blocked = state.block();
    engine.serve_claims();
    loop {
        if me.0.granted.load(Ordering::Acquire) {
            break;
        }
        if !engine.is_live() {
            // Nobody counts CPUs any more.
            if engine.claims.lock().withdraw(&me) {
                return;
            }
            break;
        }
        if starved(state) {
            // What we want may be held by work that was granted it, and that nobody is left to start.
            crate::runtime::submit::take_grants_back(engine);
            if me.0.granted.load(Ordering::Acquire) {
                break;
            }
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    drop(blocked);
    state.cpu.set(units);
}

/// A node that unparks a thread.
#[repr(C)]
struct Sleeper {
    waiter: Waiter,
    thread: Thread,
}

unsafe fn wake(node: *mut Waiter, _failed: bool) {
    // SAFETY: the first field of a sleeper, which stays until `done` is set: so the thread is cloned before.
    unsafe {
        let thread = (*node.cast::<Sleeper>()).thread.clone();
        (*node).done.store(true, Ordering::Release);
        thread.unpark();
    }
}

/// Parks until the entry is settled, or `deadline`, or `also`.
///
/// # Errors
/// As [`until`]; `Deadlock`; `BlockingInAsync`.
pub(crate) fn on_entry(
    state: &ThreadState,
    entry: NonNull<Header>,
    deadline: Option<Instant>,
    judged: bool,
    also: impl Fn() -> bool,
    site: &'static Location<'static>,
) -> Result<Waited> {
    super::may_block(state, site)?;
    // SAFETY: the getter has a ref.
    let header = unsafe { entry.as_ref() };
    for _ in 0..LOOKS {
        if header.phase().is_settled() || also() {
            return Ok(Waited::Done);
        }
        std::hint::spin_loop();
    }
    if matches!(header.phase(), Phase::Queued | Phase::Running) {
        super::deepen(state, header);
    }
    let waiting = match deadline {
        None if judged => Some(state.engine.waits.enter(state, entry)?),
        _ => None,
    };
    let mut sleeper = Sleeper { waiter: Waiter::new(wake), thread: std::thread::current() };
    let node: *mut Waiter = (&raw mut sleeper).cast();
    // SAFETY: the node stays on this stack until it is unlinked or fired, below.
    if unsafe { header.link(node) }.is_err() {
        return Ok(Waited::Done);
    }
    let verdict = RefCell::new(None);
    let judged_at = Cell::new(Instant::now());
    let waited = until(state, deadline, || {
        if header.phase().is_settled() || also() {
            return true;
        }
        if let Some(waiting) = &waiting
            && judged_at.get().elapsed() >= LOOK_AGAIN
        {
            judged_at.set(Instant::now());
            *verdict.borrow_mut() = waiting.look_again();
        }
        verdict.borrow().is_some()
    });
    // SAFETY: linked above, by us.
    unsafe { header.unlink(node) };
    match verdict.into_inner() {
        Some(deadlock) if !header.phase().is_settled() => Err(deadlock),
        _ => waited,
    }
}
