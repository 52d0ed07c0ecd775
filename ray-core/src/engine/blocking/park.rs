//! Parks a thread until a condition is met.
//!
//! # Rules
//!
//! 1. A thread that parks in a body first lends its CPU, then checks in a loop whether the condition is met, the monitor thread
//!    calls for help, the engine has ended, or the body was stopped. The thread that causes one of these unparks it afterwards, and
//!    an `unpark` before the `park` is not lost.
//! 2. A wait for an entry links a node on the waiting thread's stack. The firing thread clones everything that it needs before it
//!    sets `done`, its last access to the node.
//! 3. If the waiting thread has lent a CPU, the firing thread enters the claim for that CPU instead of unparking the thread; the
//!    grant unparks it.

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
use crate::engine::thread_state::{Frame, Outside, ThreadState};
use crate::object::entry::Header;
use crate::object::events;
use crate::object::state::Phase;
use crate::object::waiter::Waiter;
use crate::task::executor::{Executor, NO_BODY};

/// A getter checks its object this often before it parks. A result that another thread is about to publish comes within a
/// microsecond or two, and a park costs several.
pub(crate) const LOOKS: u32 = 100;

/// A driver that waits for a worker that is just starting stays awake for this long at most.
const AWAKE: Duration = Duration::from_micros(100);

/// A getter searches for a cycle again when it wakes and this much time has passed.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A parked thread checks its condition after this time, although the thread that meets the condition wakes it. `RAY_PARK_CAP_MS`
/// sets the time; with 0 the thread never checks, so that a lost wake-up is a hang and not a delay. For tests; read once.
pub(super) fn park_cap() -> Duration {
    static CAP: OnceLock<Duration> = OnceLock::new();
    *CAP.get_or_init(|| match std::env::var("RAY_PARK_CAP_MS").ok().and_then(|text| text.parse().ok()) {
        Some(0) => Duration::MAX,
        Some(milliseconds) => Duration::from_millis(milliseconds),
        None => Duration::from_secs(1),
    })
}

/// The way in which a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Done,
    TimedOut,
    /// The monitor thread calls for help (see [`last_resort`](crate::engine::blocking::last_resort)). Only for waits without a
    /// time-out.
    Called,
}

/// Parks until `done` returns true, or until `deadline`. The body lends its CPU meanwhile. The thread that makes `done` true
/// unparks this thread.
///
/// # Errors
/// The error of the waiting body if it was cancelled or its actor was killed. `RuntimeGone`: the engine was shut down. `Threads`:
/// no thread is left that could make `done` true.
pub(crate) fn until(state: &ThreadState, deadline: Option<Instant>, done: impl Fn() -> bool) -> Result<Waited> {
    until_with(state, &Return::new(state), deadline, done, || true)
}

/// Like [`until`], with a `back` that was made before, so that the settling thread can claim the CPU. `unstarted` says whether some
/// of the awaited work has not begun. Only then can a lack of threads hold up the wait, and only then does a body answer a call for
/// help: it must take its CPU back for that, and thousands of bodies that did so in vain would hold each other up.
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
    // SAFETY: the innermost body runs on this thread, so its entry is alive.
    let _waiting = unsafe { events::waiting(state.frame().and_then(|frame| frame.entry)) };
    let blocked = state.block();
    let told = RemoteWait::begin(state);
    let lent = back.as_ref().and_then(|back| {
        back.lend(state);
        if state.frame().is_some_and(|frame| frame.actor.is_some()) { back.lent_for_life(engine) } else { None }
    });
    let waited = off_the_runtime(state, || wait(state, deadline, done, unstarted));
    drop(interrupted);
    drop(lent);
    drop(told);
    drop(blocked);
    if let Some(back) = back {
        back.take_again(state);
    }
    waited
}

/// Tells the executor, if the engine has one, that the body of this thread waits, or a thread without a body, which a body may join.
/// The drop tells it that the wait has ended.
struct RemoteWait<'a> {
    executor: &'a Arc<dyn Executor>,
    task: u64,
}

impl<'a> RemoteWait<'a> {
    #[inline]
    fn begin(state: &'a ThreadState) -> Option<Self> {
        let executor = state.engine.executor.as_ref()?;
        let task = state.frame().and_then(Frame::task_id).unwrap_or(NO_BODY);
        executor.body_waits(task, true);
        Some(Self { executor, task })
    }
}

impl Drop for RemoteWait<'_> {
    fn drop(&mut self) {
        self.executor.body_waits(self.task, false);
    }
}

/// Waits. An await may run a sync body on a thread of the engine's async runtime. If that body waits, the awaited object may need an
/// async body that only this thread can poll. Therefore the thread gives its part of the runtime to another thread first.
fn off_the_runtime<R>(state: &ThreadState, wait: impl FnOnce() -> R) -> R {
    let is_above_a_future = || std::iter::successors(state.frame(), |frame| frame.below()).any(|frame| frame.is_async);
    if !state.is_worker && crate::engine::threads::is_engines_own() && is_above_a_future() {
        tokio::task::block_in_place(wait)
    } else {
        wait()
    }
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
                "every thread of the engine waits in a get and no further thread can be started, so no thread can run the work that they wait for: gets nest too deep; raise `Config::max_threads` (or the system's limit), or use `async fn` and await",
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

/// Whether all workers wait, there is work for which none of them will come back, and no new worker can be had.
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
    /// The return of the CPU that the thread's body lends, if it holds one.
    back: Option<(Arc<Return>, Arc<Engine>)>,
}

unsafe fn wake(node: *mut Waiter, _failed: bool) {
    // SAFETY: the node is the first field of a `Sleeper`, which exists until `done` is set. So everything needed is cloned before
    // that.
    let (thread, back) = unsafe {
        let sleeper = &*node.cast::<Sleeper>();
        let needed = (sleeper.thread.clone(), sleeper.back.clone());
        (*node).done.store(true, Ordering::Release);
        needed
    };
    // The thread can do nothing without its CPU. So this thread enters the claim now, before it takes new work, and the grant wakes
    // the other thread.
    if !back.is_some_and(|(back, engine)| back.ask(&engine)) {
        thread.unpark();
    }
}

/// Waits actively while a worker is starting: it may have the result sooner than this thread could park and be woken.
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

/// Parks until the entry is settled, or `also` returns true, or until `deadline`. `judged`: the get fails if it closes a cycle.
/// `unstarted` says whether some of the work that the caller waits for has not begun.
///
/// # Errors
/// Those of [`until`]; `Deadlock`; `BlockingInAsync`.
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
    // SAFETY: the getter has a ref to the entry, so it is alive.
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
        None if judged => Some(crate::engine::deadlock::enter(state, header)?),
        _ => None,
    };
    let back = Return::new(state);
    let shared = back.as_ref().map(|back| (Arc::clone(back), Arc::clone(&state.engine)));
    let mut sleeper = Sleeper { waiter: Waiter::new(wake), thread: std::thread::current(), back: shared };
    let node: *mut Waiter = (&raw mut sleeper).cast();
    // SAFETY: the node stays on this stack until it is unlinked below; `unlink` returns only when the node is out of the list or
    // fired.
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
    // SAFETY: this thread linked the node to this entry above.
    unsafe { header.unlink(node) };
    state.engine.awaited.leave();
    match verdict.into_inner() {
        Some(deadlock) if !header.phase().is_settled() => Err(deadlock),
        _ => waited,
    }
}
