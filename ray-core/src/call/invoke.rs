//! Bodies that run outside of the engine, with encoded arguments. The executor of another process calls them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::{Condvar, Mutex};

use crate::base::error::{Error, ErrorKind, Result};
use crate::call::codec::{Codec, EncodedArg, named};
use crate::call::function::{BoxFuture, Function, FunctionCall, Outcome};
use crate::call::spec::Spec;
use crate::object::encoded::Encoded;

/// A call that has begun: a future of its encoded result. A body that is not `async` runs to its end in the first poll.
pub type Running = BoxFuture<'static, Result<Encoded>>;

/// Runs a function.
pub(super) fn function<F: Function>(args: Vec<EncodedArg>) -> Running {
    let spec = F::SPEC;
    Box::pin(async move {
        let codec = portable(spec, F::CODEC)?;
        let args = codec.decode_args(spec, args)?;
        let outcome = match F::CALL {
            FunctionCall::Sync(body) => caught(|| body(args)),
            FunctionCall::Async(body) => match caught(|| body(args)) {
                Ok(future) => polled(future).await,
                Err(panic) => Err(panic),
            },
        };
        let result = outcome.and_then(|outcome| outcome).map_err(|error| blame(spec, error))?;
        codec.encode_result(spec, &result)
    })
}

/// Runs the body of a function on the caller's thread, with arguments that were not encoded. Its error names the function.
///
/// # Errors
/// `Panic`, the error of the body, or `InvalidArgument` if the function is `async`.
pub fn run_body<F: Function>(args: F::Args) -> Result<F::Output> {
    let FunctionCall::Sync(body) = F::CALL else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{} is async, and its caller cannot await it", named(F::SPEC)),
        ));
    };
    caught(|| body(args)).and_then(|outcome| outcome).map_err(|error| blame(F::SPEC, error))
}

/// The codec of an item. A `local` item has none, so the result is an error.
pub(crate) fn portable<P, R>(spec: &Spec, codec: Option<Codec<P, R>>) -> Result<Codec<P, R>> {
    codec.ok_or_else(|| {
        let what = format!(
            "{} is a closure, a generic function or #[remote(local)], so it cannot be called from another process: make it a function with #[remote], and remove `local`",
            named(spec)
        );
        Error::new(ErrorKind::InvalidArgument, what)
    })
}

/// Adds the place of the definition to an error of a body, as the engine does.
pub(crate) fn blame(spec: &Spec, error: Error) -> Error {
    error.returned_by(spec.path()).in_task(spec.name(), spec.file(), spec.line())
}

/// Runs a body. If it panics, the result is the outer error, with the place of the panic.
pub(crate) fn caught<R>(body: impl FnOnce() -> R) -> Result<R> {
    crate::base::unwind::install_hook();
    crate::base::unwind::catch(body)
}

/// Polls the future of a body to its end. If it panics, the result is the outer error.
pub(crate) async fn polled<R>(mut future: BoxFuture<'static, Outcome<R>>) -> Result<Outcome<R>> {
    let ended = poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    let ended = ended.await;
    crate::base::users_code::quietly(|| drop(future));
    ended
}

/// Wakes the thread that waits in [`block_on`].
#[derive(Debug, Default)]
pub(crate) struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_one();
    }
}

/// Runs a call to its end on the caller's thread. Before each poll it calls `check`, and drops the call if that fails; the thread
/// that makes it fail wakes the signal afterwards. The `block_on` of the `futures` crate cannot be used: it refuses to run inside
/// itself, and a body may use it.
///
/// # Errors
/// Those of the call and of `check`.
pub(crate) fn block_on<R>(
    mut running: BoxFuture<'static, Result<R>>,
    signal: &Arc<Signal>,
    check: impl Fn() -> Result<()>,
) -> Result<R> {
    let waker = Waker::from(Arc::clone(signal));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Err(stopped) = check() {
            crate::base::users_code::quietly(|| drop(running));
            return Err(stopped);
        }
        if let Poll::Ready(ended) = running.as_mut().poll(&mut context) {
            return ended;
        }
        let mut woken = signal.woken.lock();
        while !*woken {
            signal.changed.wait(&mut woken);
        }
        *woken = false;
    }
}
