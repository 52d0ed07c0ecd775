//! A text about the state of the engine, for a program that seems to hang, and for tests that find one.
//!
//! The locks may be held by threads that are stuck, so a dump waits for each lock for a limited time, and says which ones it did
//! not get. It runs no code of the user. It looks at the parts one after the other, so their numbers need not match exactly.

use crate::actor::names::Names;
use std::fmt::Write;
use std::time::Duration;

use crate::actor::head::ActorHold;
use crate::base::resources::UNITS;
use crate::call::spec::Spec;
use crate::engine::engine::{ENGINE, Engine};
use crate::object::entry::Header;
use crate::object::kind::Kind;
use crate::object::state::Phase;

/// The longest time that a dump waits for one lock.
const PATIENCE: Duration = Duration::from_millis(50);
/// The most lines of one section.
const LINES: usize = 200;

/// Returns a text of several lines about the current state of the engine: CPUs and claims, queues, threads with the bodies that
/// they run, gets with the objects that they wait for, and actors (named ones, and those that a get waits for) with their
/// mailboxes.
///
/// Any thread can call it at any time, also while the program hangs: it waits for each lock for a fraction of a second at most, and
/// does not start an engine. The form of the text may change with every release. See [`dump_on_signal`](crate::dump_on_signal) for
/// a program that cannot call it any more.
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(2))?;
/// let text = ray::dump();
/// assert!(text.contains("CPUs: 2 of 2 free"), "{text}");
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use]
pub fn dump() -> String {
    let mut text = String::new();
    crate::base::users_code::quietly(|| match ENGINE.try_read_for(PATIENCE) {
        Some(slot) => match slot.clone() {
            Some(engine) => {
                drop(slot);
                describe(&engine, &mut text);
            }
            None => text.push_str("ray: no engine runs\n"),
        },
        None => text.push_str("ray: the engine is being started or shut down\n"),
    });
    text
}

/// Writes a line. Writing to a `String` does not fail.
macro_rules! line {
    ($into:expr, $($words:tt)*) => {
        let _ = writeln!($into, $($words)*);
    };
}

fn describe(engine: &Engine, text: &mut String) {
    line!(text, "ray: engine {}{}", engine.epoch, if engine.is_live() { "" } else { ", shut down" });
    describe_resources(engine, text);
    describe_queues(engine, text);
    describe_threads(engine, text);
    let actors = describe_waits(engine, text);
    describe_actors(engine, text, actors);
}

fn describe_resources(engine: &Engine, text: &mut String) {
    // Exact, because the numbers are below 2^52 units.
    #[allow(clippy::cast_precision_loss)]
    let cpus = |units: u64| units as f64 / UNITS as f64;
    line!(text, "CPUs: {} of {} free", cpus(engine.cpu.free()), cpus(engine.cpu.total()));
    match engine.claims.try_lock_for(PATIENCE) {
        Some(claims) => {
            let others: Vec<_> = claims.free().iter().map(|(name, amount)| format!("{name}: {amount}")).collect();
            if !others.is_empty() {
                line!(text, "other resources free: {}", others.join(", "));
            }
            if claims.claims.returning() > 0 {
                line!(text, "claims: {} getter(s) want their CPU back", claims.claims.returning());
            }
            for (demand, count) in claims.claims.waiting().take(LINES) {
                line!(text, "claims: {count} task(s), actor(s) or placement group(s) ask for {demand}");
            }
        }
        None => {
            line!(text, "claims: locked");
        }
    }
    for group in engine.groups.all().into_iter().take(LINES) {
        let Some(inside) = group.inside.try_lock_for(PATIENCE) else {
            line!(text, "placement group {}: locked", group.handle.id());
            continue;
        };
        let free: Vec<String> = inside.bundles.free().iter().map(ToString::to_string).collect();
        line!(text, "{:?}, {:?}; free: {}", group.handle, inside.state, free.join(", "));
        for (demand, count) in inside.claims.waiting().take(LINES) {
            line!(text, "  {count} task(s) or actor(s) ask for {demand}");
        }
    }
    match engine.holders.try_lock_for(PATIENCE) {
        Some(holders) => holders.values().take(LINES).for_each(|holder| {
            line!(text, "resources for life: {holder}");
        }),
        None => {
            line!(text, "resources for life: locked");
        }
    }
}

fn describe_queues(engine: &Engine, text: &mut String) {
    let locked = |count: Option<usize>| count.map_or_else(|| "an unknown number".to_owned(), |count| count.to_string());
    line!(text, "queue of tasks for one CPU: {} outside of threads", engine.injector.len());
    line!(text, "queue of work for no CPU, or with its resources granted: {}", locked(engine.free.len_within(PATIENCE)));
    line!(text, "async bodies: {}", locked(engine.futures.len_within(PATIENCE)));
}

fn describe_threads(engine: &Engine, text: &mut String) {
    let count = |of: &std::sync::atomic::AtomicUsize| of.load(std::sync::atomic::Ordering::Relaxed);
    let workers = &engine.workers;
    line!(
        text,
        "workers: {}, of which {} idle and {} wait in a get; at most {} threads",
        count(&workers.count),
        count(&workers.idle_count),
        count(&workers.blocked),
        engine.settings.max_threads
    );
    let mut lines = 0;
    let seen = engine.threads.walk_within(PATIENCE, |shared, tasks| {
        lines += 1;
        if lines > LINES {
            return lines > LINES;
        }
        let name = shared.thread.name().unwrap_or("unnamed");
        let what = shared.running().map_or_else(String::new, |spec| format!(", runs {}", place(spec)));
        let away = if shared.away.load(std::sync::atomic::Ordering::Relaxed) { ", waits" } else { "" };
        let queued = if tasks.is_empty() { String::new() } else { format!(", {} task(s) in its queue", tasks.len()) };
        line!(text, "thread `{name}` ({:x}){what}{away}{queued}", shared.number());
        false
    });
    if !seen || lines > LINES {
        line!(text, "{}", if seen { "further threads" } else { "threads: locked" });
    }
}

/// Describes the waiting gets; returns the actors whose calls they wait for.
fn describe_waits(engine: &Engine, text: &mut String) -> Vec<ActorHold> {
    let Some(waits) = engine.waits.snapshot(PATIENCE) else {
        line!(text, "gets: locked");
        return Vec::new();
    };
    let mut actors: Vec<ActorHold> = Vec::new();
    for (who, target) in waits.into_iter().take(LINES) {
        line!(text, "get: {who} waits for {}", entry(&target));
        if let Some(actor) = crate::actor::call::actor_of(&target)
            && !actors.iter().any(|known| known.head() == actor.head())
        {
            actors.push(actor);
        }
    }
    actors
}

fn describe_actors(engine: &Engine, text: &mut String, mut actors: Vec<ActorHold>) {
    match Names::of(engine).all_within(PATIENCE) {
        Some(named) => {
            for actor in named {
                if !actors.iter().any(|known| known.head() == actor.head()) {
                    actors.push(actor);
                }
            }
        }
        None => {
            line!(text, "named actors: locked");
        }
    }
    for actor in actors.iter().take(LINES) {
        line!(text, "{}", actor.describe());
    }
    if actors.len() > LINES {
        line!(text, "{} further actors", actors.len() - LINES);
    }
}

fn place(spec: &Spec) -> String {
    format!("{} ({}:{})", spec.path(), spec.file(), spec.line())
}

/// Describes the target of a get.
fn entry(header: &Header) -> String {
    let name = header.task().map_or_else(String::new, |head| format!("`{}`, ", head.name()));
    let kind = match header.vtable.kind {
        Kind::Put => "an object",
        Kind::Task => header.task().map_or("a task", |head| head.vtable().kind.noun),
        Kind::Part => "one of several returns, or an item of a stream",
        Kind::Remote => "an object of another process",
    };
    let phase = match header.phase() {
        Phase::Waiting => {
            return format!(
                "{name}{kind} with {} argument(s) not ready",
                header.pending_args().load(std::sync::atomic::Ordering::Relaxed)
            );
        }
        Phase::Queued => "not begun",
        Phase::Running => "running",
        Phase::Ready | Phase::Taken => "ready",
        Phase::Failed => "failed",
    };
    format!("{name}{kind}, {phase}")
}

/// Prints [`dump`] on standard error whenever the process gets this signal, for example `SIGUSR1`, so that a user can ask a hanging
/// program from outside (`kill -USR1 PID`). A thread waits for the signal until the process ends. The signal's former action does
/// not happen any more. A second call for the same signal changes nothing.
///
/// # Errors
/// `InvalidArgument`: the signal cannot be caught. `Threads`: the system refuses the thread.
///
/// ```
/// # extern crate ray_core as ray;
/// const SIGUSR1: i32 = 10; // `libc::SIGUSR1`
/// ray::dump_on_signal(SIGUSR1)?;
/// # Ok::<(), ray::Error>(())
/// ```
#[cfg(unix)]
pub fn dump_on_signal(signal: i32) -> crate::Result<()> {
    use crate::base::error::{Error, ErrorKind};

    static ASKED: parking_lot::Mutex<Vec<i32>> = parking_lot::Mutex::new(Vec::new());
    let refused = |why: String| Error::new(ErrorKind::InvalidArgument, format!("signal {signal} cannot be caught: {why}"));
    let mut asked = ASKED.lock();
    if asked.contains(&signal) {
        return Ok(());
    }
    if !(1..=64).contains(&signal) {
        return Err(refused("there is no such signal".to_owned()));
    }
    if signal_hook::consts::FORBIDDEN.contains(&signal) {
        return Err(refused("the operating system or a crash uses it; use SIGUSR1 or SIGUSR2".to_owned()));
    }
    let mut signals = signal_hook::iterator::Signals::new([signal]).map_err(|error| refused(error.to_string()))?;
    let thread = std::thread::Builder::new().name("dump-on-signal".into()).stack_size(256 * 1024);
    thread
        .spawn(move || {
            for _ in signals.forever() {
                use std::io::Write;
                // One write, so that the lines of two threads do not mix.
                let _ = std::io::stderr().write_all(dump().as_bytes());
            }
        })
        .map_err(|error| {
            Error::new(ErrorKind::Threads, format!("the system refuses the thread that waits for a signal: {error}"))
        })?;
    asked.push(signal);
    Ok(())
}

#[cfg(test)]
mod tests {
    /// If a thread holds a lock of the engine for ever, the dump still ends, and says which lock it is.
    #[test]
    fn locks_that_are_held_are_told() {
        let engine = crate::engine::engine::engine().unwrap();
        let held = (engine.claims.lock(), engine.holders.lock(), engine.futures.hold_lock());
        let mut text = String::new();
        super::describe(&engine, &mut text);
        drop(held);
        for words in ["claims: locked", "resources for life: locked", "async bodies: an unknown number"] {
            assert!(text.contains(words), "no `{words}` in:\n{text}");
        }
    }
}
