//! Chunks: calls of one function that one task makes, one after the other.
//!
//! In another process a chunk is a call of the function [`CHUNK`], which is registered here: its first argument is a [`Head`], the
//! other ones are the arguments of all calls. So an executor needs to know nothing of chunks.

use std::time::{Duration, Instant};

use crate::base::error::{EncodedError, Error, ErrorKind, Result};
use crate::base::options::{DEFAULT_MAX_RETRIES, RetryOn};
use crate::base::value::Blob;
use crate::call::arg::Many;
use crate::call::codec::{ArgsCodec, Codec, EncodedArg, OutputCodec};
use crate::call::function::{ArgsOf, Function, Outcome};
use crate::call::invoke::Running;
use crate::call::registry::{Kind, Registration, lookup};
use crate::call::spec::Spec;
use crate::object::carried::Carried;
use crate::object::encoded::Encoded;

/// The definition that all chunks share. A chunk calls any function, so the chunks before say nothing of how long the next one takes.
pub(crate) static CHUNK: Spec = Spec::new("ray::chunk", file!(), line!()).local().not_inline();

/// The most arguments of a chunk that leaves the process.
const MOST: usize = 60_000;

/// What the other process is told of a chunk: the path of the function, the number of its arguments, and how often each call may be
/// tried again.
type Head = (String, usize, u64);

/// How often a call of the function is tried again after an error that its attribute allows.
pub(crate) fn max_retries<F: Function>() -> u64 {
    if F::RETRY.is_none() {
        return 0;
    }
    // A negative number is no limit.
    u64::try_from(F::OPTIONS.max_retries.unwrap_or(DEFAULT_MAX_RETRIES)).unwrap_or(u64::MAX)
}

/// What became of the calls of a chunk.
#[derive(Clone, Debug)]
pub(crate) struct Results<R> {
    /// In the order of the calls.
    pub(crate) outcomes: Vec<Outcome<R>>,
    /// The time that all of them took.
    pub(crate) took: Duration,
}

/// The codec of the chunks of a function.
type ChunkCodec<F> = Codec<Many<ArgsOf<F>>, Results<<F as Function>::Output>>;

/// The codec of the chunks of a function; none if the function is local.
pub(crate) const fn codec<F: Function>() -> Option<ChunkCodec<F>> {
    if F::CODEC.is_none() {
        return None;
    }
    let args = ArgsCodec { count: 0, encode: encode_args::<F>, decode: decode_args, renew: renew_args::<F> };
    Some(Codec::new(args, OutputCodec { encode: encode_results::<F>, decode: decode_results::<F> }))
}

/// The codec of a function that has one.
fn codec_of<F: Function>() -> Codec<ArgsOf<F>, F::Output> {
    F::CODEC.expect("chunks of a local function have no codec")
}

fn encode_args<F: Function>(chunk: &Many<ArgsOf<F>>, into: &mut Vec<EncodedArg>) -> Result<()> {
    let codec = codec_of::<F>();
    let count = codec.count();
    if chunk.0.len().saturating_mul(count) > MOST {
        let what = format!("a chunk of {} calls is too large for another process: make it smaller", chunk.0.len());
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    }
    let head: Head = (F::SPEC.path().to_owned(), count, max_retries::<F>());
    into.push(Encoded::of(&head)?.into());
    for args in &chunk.0 {
        into.extend(codec.encode_args(F::SPEC, args)?);
    }
    Ok(())
}

/// A chunk is decoded by [`run`], call by call.
fn decode_args<A>(_args: &mut std::vec::IntoIter<EncodedArg>) -> Result<Many<A>> {
    Err(Error::new(ErrorKind::InvalidArgument, "the arguments of a chunk are decoded call by call"))
}

fn renew_args<F: Function>(chunk: Many<ArgsOf<F>>) -> Result<Many<ArgsOf<F>>> {
    let codec = codec_of::<F>();
    chunk.0.into_iter().map(|args| codec.renew_args(args)).collect::<Result<_>>().map(Many)
}

/// Encoded outcomes: of each call whether it succeeded, its bytes, and how many of the references and handles are those of its value;
/// then the nanoseconds.
type Sent = (Vec<(bool, Blob, u32)>, u64);

/// Collects the outcomes of calls in their encoded form.
#[derive(Default)]
struct Sender {
    calls: Vec<(bool, Blob, u32)>,
    carried: Vec<Carried>,
}

impl Sender {
    fn add(&mut self, ended: Result<Encoded>) {
        match ended {
            Ok(Encoded { bytes, carried }) => {
                self.calls.push((true, Blob(bytes), u32::try_from(carried.len()).unwrap_or(u32::MAX)));
                self.carried.extend(carried);
            }
            Err(error) => self.calls.push((false, Blob(error.encode().bytes), 0)),
        }
    }

    fn end(self, took: Duration) -> Result<Encoded> {
        let sent: Sent = (self.calls, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        Ok(Encoded { carried: self.carried, ..Encoded::of(&sent)? })
    }
}

fn encode_results<F: Function>(results: &Results<F::Output>) -> Result<Encoded> {
    let codec = codec_of::<F>();
    let mut sender = Sender::default();
    for outcome in &results.outcomes {
        sender.add(match outcome {
            Ok(value) => codec.encode_result(F::SPEC, value),
            Err(error) => Err(error.clone()),
        });
    }
    sender.end(results.took)
}

fn decode_results<F: Function>(Encoded { bytes, carried }: Encoded) -> Result<Results<F::Output>> {
    let codec = codec_of::<F>();
    let (calls, took): Sent = Encoded::from(bytes).decode()?;
    let mut carried = carried.into_iter();
    let outcomes = calls.into_iter().map(|(succeeded, Blob(bytes), count)| {
        if succeeded {
            let carried = carried.by_ref().take(count as usize).collect();
            codec.decode_result(F::SPEC, Encoded { bytes, carried })
        } else {
            Err(EncodedError { bytes }.decode(F::ERROR))
        }
    });
    Ok(Results { outcomes: outcomes.collect(), took: Duration::from_nanos(took) })
}

/// Runs a chunk in a process of an executor.
fn run(args: Vec<EncodedArg>) -> Running {
    Box::pin(async move {
        let malformed = || Error::new(ErrorKind::InvalidArgument, "the arguments of a chunk are not those of whole calls");
        let mut args = args.into_iter();
        let Some(EncodedArg::Value(head)) = args.next() else { return Err(malformed()) };
        let (path, count, retries): Head = head.decode()?;
        let function = lookup(&path)?;
        if count == 0 || !args.len().is_multiple_of(count) {
            return Err(malformed());
        }
        let begin = Instant::now();
        let mut sender = Sender::default();
        while args.len() > 0 {
            let call: Vec<EncodedArg> = args.by_ref().take(count).collect();
            let mut left = retries;
            sender.add(loop {
                let args = if left > 0 { call.clone() } else { break function.call(call).await };
                match function.call(args).await {
                    Err(error) if function.retries(&error) => left -= 1,
                    ended => break ended,
                }
            });
        }
        sender.end(begin.elapsed())
    })
}

inventory::submit! {
    Registration {
        spec: &CHUNK,
        kind: Kind::Function {
            call: run,
            error: None,
            is_async: false,
            retry_on: || RetryOn::Never,
            signature: || "a chunk",
        },
    }
}
