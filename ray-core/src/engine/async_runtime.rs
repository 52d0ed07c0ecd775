//! The tokio runtime on which async bodies run: built for the first of them, taken down by the shutdown.
//!
//! It is open, without a runtime or with one, or closed for good. Building and closing exclude each other by the lock:
//! nothing is built after the close, and the close misses nothing that was built.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::base::error::{Error, ErrorKind, Result};

/// See the module.
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

    /// The runtime; built, with so many threads, if there is none yet.
    ///
    /// # Errors
    /// `Threads`, where the system refuses its threads; `RuntimeGone` after the close.
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
            // tokio has no hooks where the model checker is compiled in.
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
            // tokio panics where it can have no thread at all.
            let built = crate::base::unwind::catch(|| builder.build());
            *runtime = Some(built.map_err(|panic| refused(&panic))?.map_err(|error| refused(&error))?);
        }
        let built = runtime.as_ref().map(Runtime::handle).cloned();
        Ok(self.handle.get_or_init(|| built.expect("it was built above")))
    }

    /// Its threads that have not ended.
    pub(crate) fn threads(&self) -> usize {
        self.threads.load(Ordering::SeqCst)
    }

    /// Takes the runtime down, if there is one: its futures are dropped at their next await, then its threads end.
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
        // A handle that was had before may still be used: what is spawned there is dropped at once.
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
