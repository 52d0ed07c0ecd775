//! Objects that another process has or makes.
//!
//! The entry is in this process, in `Running` from the start, so that no getter can claim it. A [`Reply`] settles it, from bytes.
//!
//! # Rules
//!
//! 1. The result of a call that an executor runs: the executor gets the reply together with the call. It sends the reply when the
//!    call has ended, or it defers the reply while it takes the call ([`Reply::defer`]). Then rule 2 holds for the result.
//! 2. A reference that was decoded: the entry keeps the [`RemoteObject`] that the transport has put in the place of the reference.
//!    It asks for the value once, with a reply, when the first waiter is linked (a get, an await, a callback, a dependant). The `RemoteObject` is dropped with the entry, which tells the transport that this
//!    process has no reference to the object any more.
//! 3. A `wait` and `is_ready` need no value. If the transport can tell when the object is ready, they use the entry's
//!    [`Readiness`], a second entry, which is settled by the transport's answer or when the entry itself is settled, whichever comes
//!    first. So values that only a `wait` looks at stay where they are.
//! 4. The drop of a reply fails the object, so that no wait lasts forever.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::TaskId;
use crate::base::resources::Resources;
use crate::base::sync::Ordering;
use crate::base::trace::TraceContext;
use crate::object::encoded::Encoded;
use crate::object::entry;
use crate::object::entry::{Header, Hold, RemoteTable, VTable};
use crate::object::kind::{Kind, ValueType};
use crate::object::object_ref::ObjectRef;
use crate::object::state::{Phase, State};
use crate::object::waiter::Waiter;

/// An object that another process has or makes, as a transport puts it in the place of a reference that it decodes.
#[doc(hidden)]
pub trait RemoteObject: fmt::Debug + Send + Sync {
    /// The id that the object has in all processes ([`CarriedObject::id`](crate::object::carried::CarriedObject::id)).
    fn id(&self) -> u64;

    /// Asks for the value; an entry calls this once. The reply may be sent now or later, on any thread.
    fn ask_for(&self, reply: Reply);

    /// Asks to be told, by a reply with any outcome, when the value is ready or the object has failed; the value stays where it
    /// is. A transport that cannot tell returns the reply.
    fn ask_readiness(&self, reply: Reply) -> Option<Reply> {
        Some(reply)
    }

    /// The object as `Any`, with which a transport recognises its own objects.
    fn as_any(&self) -> &dyn Any;
}

/// The beginning of a remote entry, before its value.
#[repr(C)]
struct RemoteHead {
    header: Header,
    /// Whether it is the result of a call, so that the id of the entry is that of the task.
    is_task: bool,
    /// The properties of the task, in the process that runs its body.
    body: OnceLock<Box<BodyInfo>>,
    /// The reason, if the task cannot be cancelled by force.
    refuses_force: OnceLock<&'static str>,
    /// Set until the value is asked for. The lock lets only one thread take it.
    unasked: Mutex<Option<Settle>>,
    source: OnceLock<Arc<dyn RemoteObject>>,
    /// None inside: the transport cannot tell when the object is ready.
    readiness: OnceLock<Option<Box<Readiness>>>,
}

/// An entry without a value that is settled when the remote object is ready.
#[repr(C)]
struct Readiness {
    /// Linked in the remote entry, which owns this and outlives the link.
    waiter: Waiter,
    object: ObjectRef<()>,
    /// Settles `object`. The first of the transport's answer and the firing of `waiter` takes it.
    reply: Arc<Mutex<Option<Reply>>>,
}

// SAFETY: the waiter is accessed by the rules of `object::waiter`; the other fields are Send.
unsafe impl Send for Readiness {}
// SAFETY: as above; the other fields are Sync.
unsafe impl Sync for Readiness {}

#[repr(C)]
struct RemoteEntry<T> {
    head: RemoteHead,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T: Send + Sync + 'static> RemoteEntry<T> {
    const TABLE: &'static VTable = &VTable {
        value: offset_of!(Self, value),
        adopted: false,
        holds: ValueType::of::<T>(),
        nested: needs_drop::<T>(),
        kind: Kind::Remote,
        remote: Some(&RemoteTable { want: ask_for, readiness, stamp }),
        drop_value: Self::drop_value,
        free: Self::free,
        task: None,
    };

    /// Allocates an entry with one ref, and with `holds` holds in addition to the common one of the refs.
    fn allocate(epoch: u32, holds: u64, is_task: bool, source: Option<(Arc<dyn RemoteObject>, Settle)>) -> NonNull<Header> {
        let (source, settle) = source.map_or_else(Default::default, |(source, settle)| (OnceLock::from(source), Some(settle)));
        let entry = Self {
            head: RemoteHead {
                header: Header::new(State::new(Phase::Running, 1, holds), Self::TABLE, epoch),
                is_task,
                body: OnceLock::new(),
                refuses_force: OnceLock::new(),
                unasked: Mutex::new(settle),
                source,
                readiness: OnceLock::new(),
            },
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        NonNull::from(Box::leak(Box::new(entry))).cast()
    }

    /// Settles the entry, which has this type, for its only reply.
    fn settle(object: Hold, value: Result<T>) {
        match value {
            Ok(value) => {
                let entry = object.into_entry();
                // SAFETY: the entry has this type and is in `Running`; only its reply writes and publishes the value, and passes its hold
                // to `publish`.
                unsafe {
                    (*entry.cast::<Self>().as_ref().value.get()).write(value);
                    entry::publish(entry, true);
                }
            }
            Err(error) => {
                object.fail(|_| true, error);
            }
        }
    }

    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: the caller of `drop_value` owns the value of an entry that has this table, and calls it once.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold is gone, so no other thread has the entry; `allocate` has boxed it with this type.
        drop(unsafe { Box::from_raw(entry.cast::<Self>().as_ptr()) });
    }
}

fn head(header: &Header) -> Option<&RemoteHead> {
    // SAFETY: entries of this kind begin with a `RemoteHead`, which begins with the header.
    (header.vtable.kind == Kind::Remote).then(|| unsafe { NonNull::from(header).cast::<RemoteHead>().as_ref() })
}

/// Asks for the value of a remote object, unless it was asked for before.
#[cold]
fn ask_for(header: &Header) {
    let Some(head) = head(header) else { return };
    let unasked = head.unasked.lock().take();
    if let (Some(settle), Some(source)) = (unasked, head.source.get()) {
        source.ask_for(Reply(Some(Answer::Settles { object: Hold::of(header), settle })));
    }
}

/// The entry that is settled when the object is ready; none: that is the entry itself, because it is settled or will be.
#[cold]
fn readiness(header: &Header) -> Option<&Header> {
    let head = head(header)?;
    let source = head.source.get()?;
    if header.phase().is_settled() {
        return None;
    }
    if head.unasked.lock().is_none() {
        // The value is on its way. An object that was told to be ready stays ready until then.
        let told = head.readiness.get()?.as_ref()?.object.header();
        return told.phase().is_settled().then_some(told);
    }
    let readiness = head.readiness.get_or_init(|| {
        let (object, settles) = result::<()>(header.epoch, |_| Ok(()));
        let reply = Arc::new(Mutex::new(Some(settles)));
        let (answered, settled) = (Arc::clone(&reply), object.clone());
        let answer = Reply::new(move |_| {
            tell(&answered);
            drop(settled);
        });
        if source.ask_readiness(answer).map(Reply::forget).is_some() {
            if let Some(unused) = reply.lock().take() {
                unused.forget();
            }
            return None;
        }
        let readiness = Box::new(Readiness { waiter: Waiter::new(fire), object, reply });
        // SAFETY: the node is new. The entry keeps it until the entry itself is freed, and so it outlives the link. A boxed value does
        // not move when its box does.
        let linked = unsafe { header.link_quietly(std::ptr::from_ref(&readiness.waiter).cast_mut()) };
        // Otherwise the entry itself has been settled meanwhile.
        linked.is_ok().then_some(readiness)
    });
    readiness.as_ref().map(|readiness| readiness.object.header())
}

/// When the object was told to be ready, if it was.
fn stamp(header: &Header) -> Option<u64> {
    let readiness = head(header)?.readiness.get()?.as_ref()?.object.header();
    readiness.phase().is_settled().then(|| readiness.stamp())
}

/// Settles the entry of a [`Readiness`], if it is not settled yet.
fn tell(reply: &Mutex<Option<Reply>>) {
    let reply = reply.lock().take();
    if let Some(reply) = reply {
        reply.send(Encoded::of(&()));
    }
}

unsafe fn fire(node: *mut Waiter, _failed: bool) {
    // SAFETY: the waiter is the first field of a `Readiness`, which lives as long as the entry; the firing thread has the entry.
    let readiness = unsafe { &*node.cast::<Readiness>() };
    tell(&readiness.reply);
    readiness.waiter.done.store(true, Ordering::Release);
}

/// The id of the task that makes the object, if the object is known to be the result of a task.
pub(crate) fn task_of(header: &Header) -> Option<TaskId> {
    head(header).filter(|head| head.is_task).map(|_| TaskId::from_raw(header.id()))
}

/// Sets the reason why the task cannot be cancelled by force.
pub(crate) fn refuse_force(header: &Header, why: &'static str) {
    if let Some(head) = head(header) {
        let _ = head.refuses_force.set(why);
    }
}

/// The reason, if the task cannot be cancelled by force.
pub(crate) fn refuses_force(header: &Header) -> Option<&'static str> {
    head(header)?.refuses_force.get().copied()
}

/// The properties of a task, for the context of its body.
#[derive(Debug, Default)]
pub struct BodyInfo {
    /// The name of the task.
    pub name: String,
    /// The resources that it holds.
    pub resources: Resources,
    /// The number of failed attempts before this one.
    pub attempt: u32,
    /// The trace context of the task.
    pub trace: Option<TraceContext>,
}

/// Sets the properties of the task whose body this process runs.
pub(crate) fn set_body(header: &Header, body: BodyInfo) {
    if let Some(head) = head(header) {
        let _ = head.body.set(Box::new(body));
    }
}

/// The properties of the task, in the process that runs its body.
pub(crate) fn body_of(header: &Header) -> Option<&BodyInfo> {
    head(header)?.body.get().map(|body| &**body)
}

/// The transport's part of a decoded reference, or of a result whose reply was deferred.
pub(crate) fn source(header: &Header) -> Option<&Arc<dyn RemoteObject>> {
    head(header)?.source.get()
}

/// A reference to an object of another process.
pub(crate) fn reference<T: DeserializeOwned + Send + Sync + 'static>(object: Arc<dyn RemoteObject>) -> ObjectRef<T> {
    let settle: Settle = Box::new(|object, value| RemoteEntry::<T>::settle(object, decoded(value, Encoded::decode)));
    let id = object.id();
    let entry = RemoteEntry::<T>::allocate(crate::base::epoch::current(), 0, false, Some((object, settle)));
    // SAFETY: the new entry has the type `T`, and one ref, which the reference takes over.
    let reference: ObjectRef<T> = unsafe { ObjectRef::adopt(entry) };
    reference.header().set_id(id);
    reference
}

type Settle = Box<dyn FnOnce(Hold, Result<Encoded>) + Send>;

/// Decodes a value. A panic of the user's `Deserialize` is an error too, so that the object is settled in any case.
fn decoded<T>(value: Result<Encoded>, decode: impl FnOnce(Encoded) -> Result<T>) -> Result<T> {
    let value = value?;
    crate::base::unwind::install_hook();
    crate::base::unwind::catch(|| decode(value)).unwrap_or_else(|panic| {
        Err(Error::new(
            ErrorKind::Serialization,
            format!("the code that decodes a `{}` has panicked: {panic}", std::any::type_name::<T>()),
        ))
    })
}

/// The result of a call that another process runs, and the reply that settles it; `decode` makes the value.
pub(crate) fn result<T: Send + Sync + 'static>(
    epoch: u32,
    decode: impl FnOnce(Encoded) -> Result<T> + Send + 'static,
) -> (ObjectRef<T>, Reply) {
    let entry = RemoteEntry::<T>::allocate(epoch, 1, true, None);
    // SAFETY: the new entry has the type `T`, one ref, and one hold in addition to the common one; each is taken over once.
    let (object, hold) = unsafe { (ObjectRef::adopt(entry), Hold::adopt(entry)) };
    let settle = Box::new(|object, value| RemoteEntry::<T>::settle(object, decoded(value, decode)));
    (object, Reply(Some(Answer::Settles { object: hold, settle })))
}

/// Settles a remote object once, with the bytes of a value or with an error. The drop of an unused reply settles it with an error.
#[doc(hidden)]
#[must_use]
pub struct Reply(Option<Answer>);

enum Answer {
    Settles { object: Hold, settle: Settle },
    Calls(Box<dyn FnOnce(Result<Encoded>) + Send>),
}

impl Answer {
    fn send(self, answer: Result<Encoded>) {
        match self {
            Answer::Settles { object, settle } => settle(object, answer),
            Answer::Calls(closure) => closure(answer),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl Reply {
    /// A reply that calls the closure once.
    pub fn new(answer: impl FnOnce(Result<Encoded>) + Send + 'static) -> Self {
        Self(Some(Answer::Calls(Box::new(answer))))
    }

    /// Leaves the object unsettled until its value is wanted, and asks `source` then. An executor calls this while it takes the
    /// call, before any other code has the object. A value that nobody reads then never comes to this process.
    pub fn defer(mut self, source: Arc<dyn RemoteObject>) {
        match self.0.take() {
            Some(Answer::Settles { object, settle }) => {
                let head = head(&object).expect("only remote objects have such replies");
                let _ = head.source.set(source);
                *head.unasked.lock() = Some(settle);
            }
            Some(answer) => source.ask_for(Reply(Some(answer))),
            None => {}
        }
    }

    /// Drops the reply without settling the object.
    pub(crate) fn forget(mut self) {
        drop(self.0.take());
    }

    /// Settles the object.
    pub fn send(mut self, answer: Result<Encoded>) {
        if let Some(reply) = self.0.take() {
            reply.send(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            let what =
                "the process that ran the task or had the object has ended before it answered: submit again, or set max_retries";
            reply.send(Err(Error::new(ErrorKind::WorkerCrashed, what)));
        }
    }
}
