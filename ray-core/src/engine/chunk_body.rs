//! The body of a chunk: it calls a function for several items, one after the other.

use std::marker::PhantomData;
use std::time::Instant;

use crate::base::error::Error;
use crate::call::arg::Many;
use crate::call::chunk::{self, CHUNK, Results};
use crate::call::codec::Codec;
use crate::call::function::{ArgsOf, Function, FunctionCall, Outcome};
use crate::call::invoke::blame;
use crate::call::spec::Spec;
use crate::engine::blocking::interrupt;
use crate::engine::task_cell::{Body, Started};
use crate::engine::thread;

/// The calls of a function for the items of a chunk. A call that fails does not keep the later ones from running.
pub(crate) struct ChunkBody<F>(PhantomData<F>);

impl<F: Function> Body for ChunkBody<F> {
    type Args = Many<ArgsOf<F>>;
    type Output = Results<F::Output>;
    const SPEC: &'static Spec = &CHUNK;
    const IS_ASYNC: bool = false;
    const CODEC: Option<Codec<Self::Args, Self::Output>> = chunk::codec::<F>();

    fn start(Many(items): Self::Args) -> Started<Self::Output> {
        let begin = Instant::now();
        let mut outcomes = Vec::with_capacity(items.len());
        for args in items {
            // A chunk that was cancelled runs no further call.
            if let Some(stopped) = stopped() {
                return Started::Ended(Err(stopped));
            }
            outcomes.push(attempts::<F>(args));
        }
        Started::Ended(Ok(Results { outcomes, took: begin.elapsed() }))
    }
}

/// The error with which this body was stopped.
fn stopped() -> Option<Error> {
    let state = thread::existing()?;
    interrupt::check(state).err()
}

/// Calls the function, and again after an error if its attribute asks for that.
fn attempts<F: Function>(args: ArgsOf<F>) -> Outcome<F::Output> {
    let options = &F::OPTIONS;
    if let Some(clone) = F::RETRY {
        for _ in 0..chunk::max_retries::<F>() {
            match once::<F>((clone.0)(&args)) {
                Err(error) if options.retry_on.allows(&error) && stopped().is_none() => {}
                outcome => return outcome,
            }
        }
    }
    once::<F>(args)
}

fn once<F: Function>(args: ArgsOf<F>) -> Outcome<F::Output> {
    let FunctionCall::Sync(body) = F::CALL else { unreachable!("chunks are made of sync functions") };
    let outcome = crate::base::unwind::catch(|| body(args)).and_then(|outcome| outcome);
    outcome.map_err(|error| blame(F::SPEC, error))
}
