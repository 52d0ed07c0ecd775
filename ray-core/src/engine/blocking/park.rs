//! Parking until something is so.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::base::error::{Error, ErrorKind, Result};
use crate::engine::awaited::Getter;
use crate::engine::blocking::interrupt;
use crate::engine::engine::Engine;
use crate::engine::returning::Return;
use crate::engine::thread_state::{Outside, ThreadState};
use crate::object::entry::Header;
use crate::object::events;
use crate::object::state::Phase;
use crate::object::waiter::Waiter;

/// A getter looks this often before it parks: a result that another thread is about to publish comes within a
/// microsecond or two, and a park costs several.
pub(crate) const LOOKS: u32 = 100;

/// A driver that waits for a worker which is just starting stays awake for this long at most.
const AWAKE: Duration = Duration::from_micros(100);

/// A getter whose wait was no cycle when it began judges it again when it wakes after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A parked thread looks around after this time, although it is woken when there is something to see. `RAY_PARK_CAP_MS`
/// sets it, 0 to never: then a lost wake-up is a hang, not a delay. For tests; read once.
pub(super) fn park_cap() -> Duration {
    static CAP: OnceLock<Duration> = OnceLock::new();
    *CAP.get_or_init(|| match std::env::var("RAY_PARK_CAP_MS").ok().and_then(|text| text.parse().ok()) {
        Some(0) => Duration::MAX,
        Some(milliseconds) => Duration::from_millis(milliseconds),
        None => Duration::from_secs(1),
    })
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Done,
    TimedOut,
    /// The monitor thread calls for help: see [`last_resort`](crate::engine::blocking::last_resort). Only a wait without a time-out ends so.
    Called,
}

/// Parks until `done`, or `deadline`. The body's CPU is others' meanwhile. Whoever makes `done` true unparks this
/// thread.
///
/// # Errors
/// The error of the body that waits, when it was cancelled or its actor killed; `RuntimeGone` when the engine is shut down;
/// `Threads` when no thread is left that could ever make `done` true.
pub(crate) fn until(state: &ThreadState, deadline: Option<Instant>, done: impl Fn() -> bool) -> Result<Waited> {
    until_with(state, &Return::new(state), deadline, done, || true)
}

/// As [`until`], with the CPU's return made before, so that the thread that settles what is awaited can ask for it. Only while
/// what is awaited is `unstarted` can the wait suffer from a lack of threads, and can this thread answer a call for help: a body
/// takes its CPU back for that, and of thousands that did so in vain each would hold up the others.
fn until_with(
    state: &ThreadState,
    back: &Option<Arc<Return>>,
    deadline: Option<Instant>,
    done: impl Fn() -> bool,
    unstarted: impl Fn() -> bool,
) -> Result<Waited> {
    let engine = &*state.engine;
    engine.of_this_process()?;
    let _outside = Outside::begin(state);
    let interrupted = interrupt::register(state);
    interrupt::check(state)?;
    if let Some(frame) = state.frame() {
        frame.spec.has_waited();
    }
    crate::engine::queue::give_batch_back(state);
    // SAFETY: the innermost body runs on this thread.
    let _waiting = unsafe { events::waiting(state.frame().and_then(|frame| frame.entry)) };
    let blocked = state.block();
    let lent = back.as_ref().and_then(|back| {
        let units = back.lend(state);
        state.frame().is_some_and(|frame| frame.actor.is_some()).then(|| engine.cpu.lend(units))
    });
    let waited = wait(state, deadline, done, unstarted);
    drop(interrupted);
    drop(lent);
    drop(blocked);
    if let Some(back) = back {
        back.take_again(state);
    }
    waited
}

fn wait(state: &ThreadState, deadline: Option<Instant>, done: impl Fn() -> bool, unstarted: impl Fn() -> bool) -> Result<Waited> {
    let engine = &*state.engine;
    let mut calls = engine.calls.count();
    if state.frame().is_some() {
        crate::engine::wake::kick_for_lent_cpu(engine);
    } else {
        crate::engine::wake::kick(engine);
    }
    loop {
        if done() {
            return Ok(Waited::Done);
        }
        if deadline.is_none() && engine.calls.count() != calls {
            if state.frame().is_none() || unstarted() {
                return Ok(Waited::Called);
            }
            calls = engine.calls.count();
        }
        if !engine.is_live() {
            return Err(crate::base::epoch::stale_object());
        }
        interrupt::check(state)?;
        if starved(state) && unstarted() && !done() {
            return Err(Error::new(
                ErrorKind::Threads,
                "every thread of the engine waits in a get and no further one can be had, so nobody is left to run what they wait for: gets nest too deep; raise `Config::max_threads` (or the system's limit), or use `async fn` and await",
            ));
        }
        match deadline {
            None => std::thread::park_timeout(park_cap()),
            Some(deadline) => {
                let now = Instant::now();
                if now >= deadline {
                    return Ok(Waited::TimedOut);
                }
                std::thread::park_timeout((deadline - now).min(park_cap()));
            }
        }
    }
}

/// All workers wait, there is work that none of them will come to, and no new worker can be had.
pub(super) fn starved(state: &ThreadState) -> bool {
    let engine = &*state.engine;
    if engine.workers_at_work() > 0 || engine.workers.idle_count.load(Ordering::SeqCst) > 0 {
        return false;
    }
    if !engine.has_cpu_work() && engine.free.is_empty() {
        return false;
    }
    crate::engine::wake::add_worker(engine).is_err() && engine.workers_at_work() == 0 && engine.is_live()
}

/// A node that unparks a thread.
#[repr(C)]
struct Sleeper {
    waiter: Waiter,
    thread: Thread,
    /// Where the thread lends its body's CPU: the return of it.
    back: Option<(Arc<Return>, Arc<Engine>)>,
}

unsafe fn wake(node: *mut Waiter, _failed: bool) {
    // SAFETY: the first field of a sleeper, which stays until `done` is set: so all that is needed is cloned before.
    let (thread, back) = unsafe {
        let sleeper = &*node.cast::<Sleeper>();
        let needed = (sleeper.thread.clone(), sleeper.back.clone());
        (*node).done.store(true, Ordering::Release);
        needed
    };
    // The thread can do nothing without its CPU. The claim is entered here and now, before this thread takes fresh work; the
    // grant wakes the thread.
    if !back.is_some_and(|(back, engine)| back.ask(&engine)) {
        thread.unpark();
    }
}

/// A worker is on its way: it may have the result sooner than this thread could fall asleep and be woken.
fn stay_awake(state: &ThreadState, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() && state.engine.workers.waking.load(Ordering::Relaxed) > 0 && began.elapsed() < AWAKE {
        std::thread::yield_now();
    }
    for _ in 0..LOOKS {
        if done() {
            return;
        }
        std::hint::spin_loop();
    }
}

/// Parks until the entry is settled, or `deadline`, or `also`. `unstarted`: something that the caller waits for has not begun.
///
/// # Errors
/// As [`until`]; `Deadlock`; `BlockingInAsync`.
pub(crate) fn on_entry(
    state: &ThreadState,
    entry: NonNull<Header>,
    deadline: Option<Instant>,
    judged: bool,
    also: impl Fn() -> bool,
    unstarted: impl Fn() -> bool,
    site: &'static Location<'static>,
) -> Result<Waited> {
    crate::engine::blocking::may_block(state, site)?;
    // SAFETY: the getter has a ref.
    let header = unsafe { entry.as_ref() };
    for _ in 0..LOOKS {
        if header.phase().is_settled() || also() {
            return Ok(Waited::Done);
        }
        std::hint::spin_loop();
    }
    if matches!(header.phase(), Phase::Queued | Phase::Running) {
        crate::engine::blocking::deepen(state, header);
    }
    let waiting = match deadline {
        None if judged => Some(crate::engine::deadlock::enter(state, entry)?),
        _ => None,
    };
    let back = Return::new(state);
    let shared = back.as_ref().map(|back| (Arc::clone(back), Arc::clone(&state.engine)));
    let mut sleeper = Sleeper { waiter: Waiter::new(wake), thread: std::thread::current(), back: shared };
    let node: *mut Waiter = (&raw mut sleeper).cast();
    // SAFETY: the node stays on this stack until it is unlinked or fired, below.
    if unsafe { header.link(node) }.is_err() {
        return Ok(Waited::Done);
    }
    state.engine.awaited.enter(header, if state.frame().is_some() { Getter::InABody } else { Getter::Outside });
    if state.frame().is_none() {
        crate::engine::wake::kick(&state.engine);
        stay_awake(state, || header.phase().is_settled() || also());
    }
    let verdict = RefCell::new(None);
    let judged_at = Cell::new(Instant::now());
    let is_done = || {
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
    };
    let waited = until_with(state, &back, deadline, is_done, unstarted);
    // SAFETY: linked above, by us.
    unsafe { header.unlink(node) };
    state.engine.awaited.leave();
    match verdict.into_inner() {
        Some(deadlock) if !header.phase().is_settled() => Err(deadlock),
        _ => waited,
    }
}
