//! One end of a socket between two processes: requests and their answers, and the objects that were sent.

use std::any::Any;
use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use ray::__private::executor::{Carried, CarriedActor, CarriedObject, RemoteObject, Reply};
use ray::__private::{AnyRef, Encoded, EncodedArg, EncodedError, ReferenceArg};
use ray::{Error, Result};

use super::message::{Argument, Failure, Message, Place, Value};

/// Counts the handles of an actor for the other process.
pub(super) trait Handles: Send + Sync {
    /// A handle is sent to the other process.
    fn send(&self, actor: u64);
    /// A handle was received.
    fn receive(&self, actor: u64);
    /// A handle that was received is gone.
    fn release(&self, actor: u64);
}

/// What a process has sent.
#[derive(Clone)]
enum Sent {
    Object(CarriedObject),
    /// An object of a third process.
    Relayed(Arc<dyn RemoteObject>),
    /// The argument of a call, whose value is asked for.
    Argument(ReferenceArg),
}

pub(super) struct Link {
    socket: Mutex<UnixStream>,
    next: AtomicU64,
    sent: Mutex<HashMap<u64, Sent>>,
    /// Requests without an answer; none when the other process has ended.
    requests: Mutex<Option<HashMap<u64, Reply>>>,
    handles: Arc<dyn Handles>,
    /// The other process, in messages to a reader.
    pub(super) peer: String,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.peer)
    }
}

impl Link {
    pub(super) fn new(socket: UnixStream, handles: Arc<dyn Handles>, peer: String) -> Arc<Link> {
        Arc::new(Link {
            socket: Mutex::new(socket),
            next: AtomicU64::new(1),
            sent: Mutex::default(),
            requests: Mutex::new(Some(HashMap::new())),
            handles,
            peer,
        })
    }

    /// Sends a message. One that cannot be sent is dropped: the other process has ended, and the reader of the socket sees that.
    pub(super) fn send(&self, message: &Message) {
        let _ = message.write(&mut *self.socket.lock());
    }

    /// Sends a request, whose number `message` gets.
    pub(super) fn request(&self, reply: Reply, message: impl FnOnce(u64) -> Message) {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let mut requests = self.requests.lock();
        let Some(open) = &mut *requests else {
            // The drop of the reply settles an object, which may call this again.
            drop(requests);
            return drop(reply);
        };
        open.insert(request, reply);
        drop(requests);
        self.send(&message(request));
    }

    /// Sends a request and waits for the answer.
    pub(super) fn ask(&self, message: impl FnOnce(u64) -> Message) -> Result<Encoded> {
        let (answered, answer) = std::sync::mpsc::channel();
        self.request(Reply::new(move |value| _ = answered.send(value)), message);
        answer.recv().expect("a reply is sent or fails")
    }

    /// The other process has ended: what it was asked for fails.
    pub(super) fn close(&self) {
        let requests = self.requests.lock().take();
        drop(requests);
        let sent = std::mem::take(&mut *self.sent.lock());
        drop(sent);
    }

    /// Answers a request of the other process.
    pub(super) fn answer(self: &Arc<Self>, request: u64) -> Reply {
        let link = Arc::clone(self);
        Reply::new(move |answer| {
            // The value lives until it is sent: it may hold references to objects of the other process, which are not to be dropped
            // before they arrive there.
            let said = answer.as_ref().map(|value| link.value(value)).map_err(failure);
            link.send(&Message::Answer { request, answer: said });
        })
    }

    /// Handles a message that is the same in both directions; another one comes back.
    pub(super) fn handle(self: &Arc<Self>, message: Message) -> Option<Message> {
        match message {
            Message::Answer { request, answer } => {
                let reply = self.requests.lock().as_mut().and_then(|requests| requests.remove(&request));
                if let Some(reply) = reply {
                    reply.send(answer.map(|value| self.encoded(value)).map_err(error));
                }
            }
            Message::Get { request, object } => {
                let sent = self.sent.lock().get(&object).cloned();
                // An object that was not sent is not answered, and the drop of the reply tells the other process so.
                let reply = self.answer(request);
                if let Some(sent) = sent {
                    get(sent, reply);
                }
            }
            Message::Drop { object } => {
                let sent = self.sent.lock().remove(&object);
                drop(sent);
            }
            other => return Some(other),
        }
        None
    }

    /// A value, for the other process.
    pub(super) fn value(self: &Arc<Self>, value: &Encoded) -> Value {
        Value { bytes: value.bytes.clone(), carried: value.carried.iter().map(|carried| self.place(carried)).collect() }
    }

    /// A value of the other process.
    pub(super) fn encoded(self: &Arc<Self>, value: Value) -> Encoded {
        Encoded { bytes: value.bytes, carried: value.carried.into_iter().map(|place| self.carried(place)).collect() }
    }

    /// An argument, for the parent.
    pub(super) fn argument(self: &Arc<Self>, argument: &EncodedArg) -> Argument {
        match argument {
            EncodedArg::Value(value) => Argument::Value(self.value(value)),
            EncodedArg::Reference(reference) => {
                // The parent reads the value, and makes no reference that a body could see: the id is of no use there.
                Argument::Reference(self.enter(Sent::Argument(reference.clone()), 0))
            }
        }
    }

    fn enter(&self, sent: Sent, id: u64) -> Place {
        let object = self.next.fetch_add(1, Ordering::Relaxed);
        self.sent.lock().insert(object, sent);
        Place::Sent(object, id)
    }

    fn place(self: &Arc<Self>, carried: &Carried) -> Place {
        let source = match carried {
            Carried::Actor(actor) => {
                self.handles.send(actor.id());
                return Place::Actor(actor.id(), actor.class().to_owned());
            }
            Carried::Object(object) => object.object().remote(),
            Carried::Remote(source) => Some(Arc::clone(source)),
        };
        let own = source.as_ref().and_then(|source| source.as_any().downcast_ref::<Received>());
        if let Some(received) = own.filter(|received| Arc::ptr_eq(&received.link, self)) {
            return Place::Returned(received.object);
        }
        match (carried, source) {
            (Carried::Object(object), _) => self.enter(Sent::Object(object.clone()), object.id()),
            (_, Some(source)) => {
                let id = source.id();
                self.enter(Sent::Relayed(source), id)
            }
            _ => unreachable!("an actor was placed above"),
        }
    }

    pub(super) fn carried(self: &Arc<Self>, place: Place) -> Carried {
        match place {
            Place::Sent(object, id) => Carried::Remote(Arc::new(Received { link: Arc::clone(self), object, id })),
            Place::Returned(object) => match self.sent.lock().get(&object).cloned() {
                Some(Sent::Object(object)) => Carried::Object(object),
                Some(Sent::Relayed(source)) => Carried::Remote(source),
                Some(Sent::Argument(_)) | None => panic!("the other process returns an object that it was not sent"),
            },
            Place::Actor(id, class) => {
                self.handles.receive(id);
                Carried::Actor(Arc::new(Handle { id, class, handles: Arc::clone(&self.handles) }))
            }
        }
    }
}

/// Answers with the value of what was sent, when it is there.
fn get(sent: Sent, reply: Reply) {
    match sent {
        Sent::Relayed(source) => source.ask_for(reply),
        Sent::Object(object) => {
            let objects = vec![object.object().clone()];
            when_ready(objects, move || reply.send(object.encode_value()));
        }
        Sent::Argument(argument) => {
            let objects = argument.objects().to_vec();
            when_ready(objects, move || reply.send(argument.encode_value()));
        }
    }
}

/// Runs `then` when all objects are settled, on a thread of its own if they are not yet.
pub(super) fn when_ready(objects: Vec<AnyRef>, then: impl FnOnce() + Send + 'static) {
    if objects.iter().all(AnyRef::is_ready) {
        return then();
    }
    std::thread::spawn(move || {
        objects.iter().for_each(wait_for);
        then();
    });
}

/// Waits until an object is settled.
pub(super) fn wait_for(object: &AnyRef) {
    let _ = ray::wait(vec![object.clone()], 1);
}

/// An object that the other process has sent.
#[derive(Debug)]
pub(super) struct Received {
    link: Arc<Link>,
    object: u64,
    id: u64,
}

impl RemoteObject for Received {
    fn id(&self) -> u64 {
        self.id
    }

    fn ask_for(&self, reply: Reply) {
        let object = self.object;
        self.link.request(reply, |request| Message::Get { request, object });
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.link.send(&Message::Drop { object: self.object });
    }
}

/// A handle in a value that was received: it counts as one.
struct Handle {
    id: u64,
    class: String,
    handles: Arc<dyn Handles>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({}, {})", self.id, self.class)
    }
}

impl CarriedActor for Handle {
    fn id(&self) -> u64 {
        self.id
    }

    fn class(&self) -> &str {
        &self.class
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.handles.release(self.id);
    }
}

pub(super) fn failure(error: &Error) -> Failure {
    error.encode().bytes
}

pub(super) fn error(bytes: Failure) -> Error {
    EncodedError { bytes }.decode(None)
}
