//! `shutdown`: the end of the engine, as a program asks for it.

use crate::base::error::Result;
use crate::engine::engine::retire;
use crate::engine::shutdown::end;
use crate::engine::thread;

/// Shuts the engine down: settles every object at once (with `RuntimeGone`), then waits a grace for the bodies that run (5
/// s, [`Config::shutdown_grace`](crate::Config::shutdown_grace)) and for the engine's threads. Nothing happens if no engine
/// runs. [`init`](crate::init) works again after it, whatever it returns.
///
/// # Errors
/// `GetTimeout` if bodies still run after the grace, with their names: the engine is gone all the same, and their threads
/// end when they do. `InvalidArgument` inside a body or a callback of the engine, which would wait for itself.
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
        // A fork: none of the engine's threads is here, and its locks may be held by threads that are not.
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
