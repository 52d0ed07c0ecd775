//! Callbacks of objects: they run on a thread of the engine after the object is settled.
//!
//! # States and rules
//!
//! 1. The callbacks of an object form a *line*, in the order of registration. The first callback creates the line, which is removed
//!    when all callbacks have run. The line has a hold on the entry, so the entry's address is the key of the line.
//! 2. A line is *open* until the object is settled; a node in the entry's list reports that. The first thread that finds the object
//!    settled (the settling thread, a registering thread, a shutdown) moves the line from open to *queued*, and queues one job.
//! 3. Only that job runs the line's callbacks, one after the other, also those that are registered meanwhile, and removes the line
//!    under the lock when none is left. So the order is kept.
//! 4. A callback is code of the user. It runs while no lock is held, in a frame like that of a body: it may do what a body may do,
//!    and a shutdown waits for it.

use crate::task::runner::Runner;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::call::spec::Spec;
use crate::engine::engine::Engine;
use crate::engine::execute::leave_frame;
use crate::engine::free_job::{FreeJob, FreeWork, Leftovers};
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry::{Header, Hold};
use crate::object::waiter::Waiter;

type Callback = Box<dyn FnOnce() + Send>;

/// The callbacks of one object that have not begun.
struct Line {
    /// Distinguishes the line from a later one with the same address.
    number: u64,
    entry: Hold,
    waiting: VecDeque<Callback>,
    queued: bool,
}

/// All lines, by the addresses of their entries.
static LINES: Mutex<Lines> = Mutex::new(Lines { lines: BTreeMap::new(), next: 0 });

struct Lines {
    lines: BTreeMap<usize, Line>,
    next: u64,
}

/// A job that runs the callbacks of a line.
#[derive(Debug)]
pub(crate) struct CallbackJob(usize);

/// The node that is fired when the object of a line is settled.
#[repr(C)]
struct Node {
    waiter: Waiter,
    key: usize,
    number: u64,
    epoch: u32,
}

static CALLBACK: Spec = Spec::new("on_ready callback", "ray::ObjectRef::on_ready", 0);

/// The most threads that run the callbacks at a shutdown.
const THREADS: usize = 4;

/// Runs `callback` when the object is settled.
///
/// # Safety
/// The entry is alive.
pub(crate) unsafe fn register(entry: NonNull<Header>, callback: Callback) {
    // SAFETY: the caller guarantees that the entry is alive.
    let header = unsafe { entry.as_ref() };
    let (key, epoch) = (entry.as_ptr().addr(), header.epoch);
    // An executor may settle the object while it is asked for the value, which fires nodes: not under the lock.
    header.want();
    let number = {
        let mut lines = LINES.lock();
        if let Some(line) = lines.lines.get_mut(&key) {
            line.waiting.push_back(callback);
            return;
        }
        let number = lines.next;
        lines.next += 1;
        let node = Box::into_raw(Box::new(Node { waiter: Waiter::late(fire), key, number, epoch }));
        // SAFETY: the node is on the heap until the firing thread frees it, or this thread if it was not linked. The caller keeps
        // the entry alive while `Hold::new` takes a hold.
        let (open, entry) = unsafe {
            let open = header.link_quietly(node.cast()).is_ok();
            if !open {
                drop(Box::from_raw(node));
            }
            (open, Hold::new(entry))
        };
        lines.lines.insert(key, Line { number, entry, waiting: VecDeque::from([callback]), queued: !open });
        if open { Some(number) } else { None }
    };
    match number {
        None => queue(epoch, CallbackJob(key)),
        // The engine has ended, or its shutdown searched for open lines before this one was inserted.
        Some(number) if crate::base::epoch::check_object(header.epoch).is_err() => {
            if let Some(job) = close(key, number) {
                queue(epoch, job);
            }
        }
        Some(_) => {}
    }
}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    // SAFETY: `register` made the node as a box, and a node is fired once.
    let node = unsafe { Box::from_raw(node.cast::<Node>()) };
    if let Some(job) = close(node.key, node.number) {
        queue(node.epoch, job);
    }
}

/// Moves a line from open to queued. None if another thread has done that.
fn close(key: usize, number: u64) -> Option<CallbackJob> {
    let mut lines = LINES.lock();
    let line = lines.lines.get_mut(&key)?;
    (line.number == number && !std::mem::replace(&mut line.queued, true)).then_some(CallbackJob(key))
}

/// Queues a job in the engine.
fn queue(epoch: u32, job: CallbackJob) {
    let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == epoch) else {
        let engine = crate::engine::thread::existing().map(|state| &state.engine).filter(|engine| engine.epoch == epoch);
        return run_late(engine, vec![job.0]);
    };
    let workers = &engine.workers;
    let nobody = || engine.workers_at_work() == 0 && workers.idle_count.load(Ordering::SeqCst) == 0;
    if nobody() && crate::engine::wake::add_worker(&engine).is_err() && nobody() && engine.is_live() {
        return run_here(job);
    }
    crate::engine::queue::queue_free(&engine, FreeJob::of(job));
    crate::engine::wake::kick(&engine);
    if !engine.is_live() {
        // The shutdown may have drained the queues before the job was queued.
        crate::engine::shutdown::drain(&engine);
    }
}

/// Runs the job on this thread, since no worker can be had: after the thread has told all dependants of the settled object.
fn run_here(job: CallbackJob) {
    crate::task::dependency::after_telling(move || run_in(crate::engine::thread::existing(), &job));
}

impl FreeWork for CallbackJob {
    fn into_raw(self) -> NonNull<()> {
        NonNull::new(std::ptr::without_provenance_mut(self.0)).expect("the address of an entry")
    }

    unsafe fn from_raw(data: NonNull<()>) -> Self {
        Self(data.as_ptr().addr())
    }

    fn run(self, runner: Runner<'_>) {
        run_in(Some(ThreadState::of(runner)), &self);
    }

    fn abandon(self, left: &mut Leftovers) {
        left.callbacks.push(self.0);
    }
}

fn run_in(state: Option<&ThreadState>, job: &CallbackJob) {
    while let Some(callback) = next(job) {
        let Some(state) = state else {
            call(callback);
            continue;
        };
        let frame = Frame {
            below: state.frame.get(),
            entry: None,
            actor: None,
            spec: &CALLBACK,
            caller: Cell::new(0),
            is_async: false,
            crashed: Cell::new(false),
        };
        state.frame.set(&raw const frame);
        state.shared.running.store((&raw const CALLBACK).cast_mut(), Ordering::Relaxed);
        call(callback);
        leave_frame(state, &frame);
    }
}

/// The next callback of a line. If there is none, the line is removed.
fn next(job: &CallbackJob) -> Option<Callback> {
    let mut lines = LINES.lock();
    let line = lines.lines.get_mut(&job.0)?;
    if let Some(callback) = line.waiting.pop_front() {
        return Some(callback);
    }
    let ended = lines.lines.remove(&job.0);
    drop(lines);
    // Dropping the line gives the hold on the entry back, which must not happen under the lock.
    drop(ended);
    None
}

fn call(callback: Callback) {
    if let Err(panic) = crate::base::unwind::catch(callback) {
        crate::base::log::warn(crate::base::log::Notice::Failure, &format_args!("a callback of `on_ready` panicked: {panic}"));
    }
}

/// Whether all callbacks of that engine have run.
pub(crate) fn are_over(epoch: u32) -> bool {
    LINES.lock().lines.values().all(|line| line.entry.epoch != epoch)
}

/// Runs the callbacks that are left at the end of an engine, when every object counts as settled.
pub(crate) fn end(engine: &Arc<Engine>) {
    let mut found: Vec<_> = {
        let mut lines = LINES.lock();
        let open = lines.lines.iter_mut().filter(|(_, line)| line.entry.epoch == engine.epoch && !line.queued);
        open.map(|(key, line)| {
            line.queued = true;
            (line.number, CallbackJob(*key))
        })
        .collect()
    };
    found.sort_unstable_by_key(|(number, _)| *number);
    run_late(Some(engine), found.into_iter().map(|(_, job)| job.0).collect());
}

/// Runs the lines with these keys after the end of their engine: on new threads, since a callback may block, or here if the system
/// refuses threads.
pub(crate) fn run_late(engine: Option<&Arc<Engine>>, lines: Vec<usize>) {
    if lines.is_empty() {
        return;
    }
    let threads = lines.len().min(THREADS);
    let jobs = Arc::new(Mutex::new(lines.into_iter().map(CallbackJob).collect::<VecDeque<_>>()));
    let work = {
        let jobs = Arc::clone(&jobs);
        let engine = engine.cloned();
        move || {
            crate::engine::threads::belongs_to_engine();
            let state = engine.clone().and_then(|engine| crate::engine::thread::attach_late(engine).ok());
            while let Some(job) = { jobs.lock().pop_front() } {
                run_in(state, &job);
            }
        }
    };
    let mut started = 0;
    for _ in 0..threads {
        started += usize::from(std::thread::Builder::new().name("ray-callbacks".into()).spawn(work.clone()).is_ok());
    }
    if started == 0 {
        while let Some(job) = { jobs.lock().pop_front() } {
            run_in(crate::engine::thread::existing(), &job);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::object::object_ref::ObjectRef;

    /// A callback that runs at the end of its engine may put an object. That must not start another engine.
    #[test]
    fn late_callbacks_run_on_a_thread_of_the_engine() {
        let object = ObjectRef::stored((), u32::MAX);
        let key = object.entry().as_ptr().addr();
        let (tell, told) = std::sync::mpsc::channel();
        let callback: Callback = Box::new(move || tell.send(crate::engine::thread::is_inside()).unwrap());
        let entry = object.hold();
        let line = Line { number: u64::MAX, entry, waiting: VecDeque::from([callback]), queued: true };
        LINES.lock().lines.insert(key, line);
        run_late(None, vec![key]);
        assert!(told.recv().unwrap());
        while !are_over(u32::MAX) {
            std::thread::yield_now();
        }
    }
}
