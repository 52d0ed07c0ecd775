//! The tokio runtime on which async bodies run: the first of them builds it, the shutdown closes it.
//!
//! It is open without a runtime, open with a runtime, or closed for good. Building and closing happen under one lock. So nothing is
//! built after the close, and the close finds a runtime that was built before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::base::error::{Error, ErrorKind, Result};

/// The runtime; see the module.
pub(crate) struct AsyncRuntime {
    handle: OnceLock<Handle>,
    state: Mutex<State>,
    threads: Arc<AtomicUsize>,
}

enum State {
    Open(Option<Runtime>),
    Closed,
}

impl AsyncRuntime {
    pub(crate) fn new() -> Self {
        Self { handle: OnceLock::new(), state: Mutex::new(State::Open(None)), threads: Arc::default() }
    }

    /// The runtime, if it has been built.
    #[inline]
    pub(crate) fn started(&self) -> Option<&Handle> {
        self.handle.get()
    }

    /// The runtime. Builds it with so many threads if there is none yet.
    ///
    /// # Errors
    /// `Threads`: the system refuses the runtime's threads. `RuntimeGone`: the runtime was closed.
    pub(crate) fn handle(&self, threads: usize, stack: usize) -> Result<&Handle> {
        match self.handle.get() {
            Some(handle) => Ok(handle),
            None => self.build(threads, stack),
        }
    }

    #[cold]
    fn build(&self, threads: usize, stack: usize) -> Result<&Handle> {
        let mut state = self.state.lock();
        let State::Open(runtime) = &mut *state else { return Err(crate::base::epoch::gone("the future had not started")) };
        if runtime.is_none() {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads).thread_stack_size(stack).thread_name("ray-async").enable_all();
            // tokio has no such hooks when it is compiled for loom.
            #[cfg(not(loom))]
            {
                let (starts, stops) = (Arc::clone(&self.threads), Arc::clone(&self.threads));
                let start = move || {
                    starts.fetch_add(1, Ordering::SeqCst);
                    crate::engine::threads::belongs_to_engine();
                };
                builder.on_thread_start(start).on_thread_stop(move || _ = stops.fetch_sub(1, Ordering::SeqCst));
            }
            let refused = |why: &dyn std::fmt::Display| {
                Error::new(ErrorKind::Threads, format!("the system refuses the threads of the async runtime: {why}"))
            };
            // tokio panics if it cannot start any thread.
            let built = crate::base::unwind::catch(|| builder.build());
            *runtime = Some(built.map_err(|panic| refused(&panic))?.map_err(|error| refused(&error))?);
        }
        let built = runtime.as_ref().map(Runtime::handle).cloned();
        Ok(self.handle.get_or_init(|| built.expect("it was built above")))
    }

    /// The number of the runtime's threads that have not ended.
    pub(crate) fn threads(&self) -> usize {
        self.threads.load(Ordering::SeqCst)
    }

    /// Shuts the runtime down, if there is one: its futures are dropped at their next await, then its threads end.
    pub(crate) fn close(&self) {
        let former = std::mem::replace(&mut *self.state.lock(), State::Closed);
        if let State::Open(Some(runtime)) = former {
            runtime.shutdown_background();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_built_after_the_close() {
        let unused = AsyncRuntime::new();
        unused.close();
        assert!(unused.handle(1, 1 << 20).unwrap_err().is_runtime_gone());
        let used = AsyncRuntime::new();
        assert!(used.handle(1, 1 << 20).is_ok() && used.handle(1, 1 << 20).is_ok());
        used.close();
        used.close();
        // A handle from before may still be used; the runtime drops a future that is spawned through it at once.
        let token = Arc::new(());
        let inside = Arc::clone(&token);
        drop(used.handle(1, 1 << 20).unwrap().spawn(async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        }));
        while used.threads() > 0 || Arc::strong_count(&token) > 1 {
            std::thread::yield_now();
        }
    }
}
