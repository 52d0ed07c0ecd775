//! The way of a call to an executor when bodies run in other processes: hops 2 and 3 of *The ten hops of a call* in
//! ARCHITECTURE.md.

use std::sync::Arc;

use crate::base::call_options::CallSettings;
use crate::base::epoch;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::placement::Placement;
use crate::call::codec::{Codec, EncodedArg};
use crate::call::invoke::portable;
use crate::call::spec::Spec;
use crate::call::stream_spec::StreamSpec;
use crate::engine::task_cell::Body;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::engine::trace;
use crate::object::object_ref::ObjectRef;
use crate::object::remote;
use crate::task::executor::{Executor, RemoteCall};
use crate::task::head::Extra;

/// Passes the task of a function to the executor, which manages its resources, retries and dependencies.
#[cold]
pub(super) fn submit<B: Body>(
    state: &ThreadState,
    executor: &Arc<dyn Executor>,
    args: &B::Args,
    extra: Option<Box<Extra>>,
) -> ObjectRef<B::Output> {
    match refuse_stream(B::SPEC, B::STREAM).and_then(|()| call(state, B::SPEC, B::CODEC, args, extra.map(|extra| extra.settings)))
    {
        Ok((object, call)) => {
            executor.submit(call);
            object
        }
        Err(error) => ObjectRef::failed(error.in_task(B::SPEC.name(), B::SPEC.file(), B::SPEC.line()), state.epoch),
    }
}

/// Returns an error if the definition makes a stream.
pub(crate) fn refuse_stream(spec: &'static Spec, stream: Option<StreamSpec>) -> Result<()> {
    if stream.is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "`{}` makes a stream, and streams run only in one process so far: return a `Vec` on a cluster, or push the items to an actor, or start the embedded engine (`ray::init()` without an address)",
            spec.name()
        ),
    ))
}

/// Returns an error if the placement is in a placement group.
pub(crate) fn refuse_group(placement: Option<&Placement>) -> Result<()> {
    if placement.and_then(Placement::in_group).is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        "the scheduling strategy names a placement group, and placement groups run only in one process so far: on a cluster choose nodes with `NodeAffinity` or `label_selector`, or start the embedded engine (`ray::init()` without an address)",
    ))
}

/// Encodes a call, and makes the object of its result.
///
/// # Errors
/// `InvalidArgument`: the item is `local` or a closure. `Serialization`: an argument cannot be encoded. `RuntimeGone`: an argument
/// is an object of a former engine, or this process is a fork.
pub(crate) fn call<P: 'static, R: Send + Sync + 'static>(
    state: &ThreadState,
    spec: &'static Spec,
    codec: Option<Codec<P, R>>,
    args: &P,
    settings: Option<CallSettings>,
) -> Result<(ObjectRef<R>, RemoteCall)> {
    state.engine.of_this_process()?;
    refuse_group(settings.as_ref().and_then(|settings| settings.placement.as_deref()))?;
    let codec = portable(spec, codec)?;
    let args = codec.encode_args(spec, args)?;
    let references = args.iter().filter_map(|arg| match arg {
        EncodedArg::Reference(reference) => Some(reference.objects()),
        EncodedArg::Value(_) => None,
    });
    for object in references.flatten() {
        epoch::check_object(object.header().epoch)?;
    }
    let (object, reply) = remote::result(state.epoch, move |value| codec.decode_result(spec, value));
    let call = RemoteCall {
        task: object.header().id(),
        parent: state.frame().and_then(Frame::task_id),
        caller: state.caller(),
        spec,
        args,
        reply,
        trace: trace::current(Some(state)),
        out_of_order: false,
        settings,
    };
    Ok((object, call))
}
