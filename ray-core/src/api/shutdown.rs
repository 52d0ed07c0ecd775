//! `shutdown`: ends the engine.

use crate::base::error::Result;
use crate::engine::engine::retire;
use crate::engine::shutdown::end;
use crate::engine::thread;

/// Shuts the engine down. Every object fails at once (with `RuntimeGone`); then this waits for the running bodies and the engine's
/// threads, for the grace period at most (5 s, or [`Config::shutdown_grace`](crate::Config::shutdown_grace)). Without an engine
/// nothing happens. After this, [`init`](crate::init) works again, also if this returns an error.
///
/// # Errors
/// `GetTimeout`, with the names of the bodies, if bodies still run after the grace period: the engine has ended nevertheless, and
/// their threads end when the bodies do. `InvalidArgument` inside a body or a callback of the engine, because it would wait for
/// itself.
///
/// ```
/// # extern crate ray_core as ray;
/// let object = ray::put(7);
/// ray::shutdown()?;
/// assert!(ray::get(&object).unwrap_err().is_runtime_gone());
/// assert_eq!(ray::get(ray::put(8))?, 8);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn shutdown() -> Result<()> {
    if thread::is_inside() {
        return Err(crate::Error::new(
            crate::ErrorKind::InvalidArgument,
            "a task, an actor or a callback cannot shut down the engine that runs it: return, and let the driver do it",
        ));
    }
    let Some(engine) = retire() else { return Ok(()) };
    if engine.of_this_process().is_err() {
        // In a forked process the engine's threads do not exist, and threads that do not exist may hold its locks.
        std::mem::forget(engine);
        return Ok(());
    }
    let left = end(engine);
    if left.is_empty() {
        return Ok(());
    }
    Err(crate::Error::new(
        crate::ErrorKind::GetTimeout,
        format!(
            "the engine is shut down, but these bodies still run and cannot be interrupted ({}): {}; have long bodies look at `ray::context().is_cancelled()`, or give them more time with `Config::shutdown_grace`",
            left.len(),
            left.join(", ")
        ),
    ))
}
