//! The child: it runs bodies, and sends the calls that they make to the parent.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use parking_lot::Mutex;
use ray::__private::executor::{
    BodyInfo, Executor, RemoteActor, RemoteBody, RemoteCall, RemoteCreation, RemoteState, Reply, fail, proxy_of, unit,
};
use ray::__private::{AnyActor, Encoded, EncodedArg, Instance, Registration, lookup};
use ray::{ErrorKind, Result};

use super::link::{Handles, Link};
use super::message::{Call, Creation, Message, Value};

/// Runs until the parent closes the socket.
pub(super) fn run(socket: i32) -> ! {
    // SAFETY: the parent has given this socket to the process, and nothing else here owns it.
    let stream = unsafe { UnixStream::from_raw_fd(socket) };
    let mut reader = stream.try_clone().expect("a socket can be cloned");
    let parent = Arc::new(Parent::default());
    let handles: Arc<dyn Handles> = Arc::new(Counter(Arc::clone(&parent)));
    let link = Link::new(stream, handles, "the parent".to_owned());
    let _ = parent.link.set(Arc::clone(&link));
    PARENT.set(Arc::clone(&link)).unwrap_or_else(|_| panic!("there is one parent"));
    let config = ray::Config::new().num_cpus(1).tips(false);
    ray::__private::executor::init_with_executor(config, Arc::clone(&parent) as _).expect("the engine starts");
    while let Ok(message) = Message::read(&mut reader) {
        if let Some(message) = link.handle(message) {
            parent.serve(message);
        }
    }
    std::process::exit(0);
}

/// Calls that every handle has.
const READY: &str = "ray::ActorHandle::ready";
const TERMINATE: &str = "ray::ActorHandle::terminate";

static PARENT: OnceLock<Arc<Link>> = OnceLock::new();

/// Whether this process is a child.
pub(super) fn is_child() -> bool {
    PARENT.get().is_some()
}

/// Has the parent do an operation on a tally, if this process is a child.
pub(super) fn support(operation: &[u8]) -> Option<Vec<u8>> {
    let link = PARENT.get()?;
    let answer = link.ask(|request| Message::Support { request, operation: operation.to_vec() });
    Some(answer.and_then(Encoded::decode).expect("the parent answers"))
}

/// The executor of a child: the parent.
#[derive(Default)]
struct Parent {
    link: OnceLock<Arc<Link>>,
    bodies: Mutex<HashMap<u64, Arc<RemoteBody>>>,
    actor: OnceLock<Actor>,
    /// The actor ends after the call of `terminate`, which succeeds.
    terminates: AtomicBool,
}

impl std::fmt::Debug for Parent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parent")
    }
}

/// A call that waits for the thread of the actor's instance.
type QueuedCall = Box<dyn FnOnce(&Instance) + Send>;

/// The actor whose instance this child holds.
struct Actor {
    id: u64,
    calls: mpsc::Sender<QueuedCall>,
    class: &'static Registration,
    /// A handle of itself.
    own: AnyActor,
    exits: AtomicBool,
}

impl Parent {
    fn link(&self) -> &Arc<Link> {
        self.link.get().expect("set before anything else")
    }

    fn serve(self: &Arc<Self>, message: Message) {
        match message {
            Message::Run { request, task, path, name, args } => self.run(request, task, &path, name, args),
            Message::Create { request, task, actor, class, name, max_concurrency, args } => {
                let reply = self.link().answer(request);
                match lookup(&class).and_then(|found| Ok((found, proxy_of(found, actor)?))) {
                    Ok((found, own)) => self.become_actor(reply, task, actor, found, own, name, max_concurrency, args),
                    Err(error) => reply.send(Err(error)),
                }
            }
            Message::Cancel { task } => {
                let body = self.bodies.lock().get(&task).cloned();
                if let Some(body) = body {
                    body.cancel();
                }
            }
            other => panic!("{other:?} is no message of a parent"),
        }
    }

    fn run(self: &Arc<Self>, request: u64, task: u64, path: &str, name: String, args: Vec<Value>) {
        let reply = self.link().answer(request);
        let args = args.into_iter().map(|value| self.link().encoded(value).into()).collect();
        if let Some(actor) = self.actor.get() {
            return self.call(actor, reply, task, path, name, args);
        }
        let parent = Arc::clone(self);
        match lookup(path) {
            Ok(found) => drop(std::thread::spawn(move || {
                let body = parent
                    .begin(task, RemoteBody::new(task, BodyInfo { name, ..BodyInfo::default() }, found.spec(), found.is_async()));
                let ended = body.run(found.call(args));
                parent.end(task, reply, ended);
            })),
            Err(error) => reply.send(Err(error)),
        }
    }

    fn begin(&self, task: u64, body: RemoteBody) -> Arc<RemoteBody> {
        let body = Arc::new(body);
        self.bodies.lock().insert(task, Arc::clone(&body));
        body
    }

    fn end(&self, task: u64, reply: Reply, ended: Result<Encoded>) {
        self.bodies.lock().remove(&task);
        let exits = self.actor.get().is_some_and(|actor| actor.exits.load(Ordering::Acquire));
        if exits && !self.terminates.load(Ordering::Acquire) {
            reply.send(Err(fail::error(
                ErrorKind::ActorDied,
                "the actor has ended itself by `ray::exit_actor`: create a new one",
            )));
            std::process::exit(0);
        }
        reply.send(ended);
        if self.actor.get().is_some_and(|actor| actor.exits.load(Ordering::Acquire)) {
            std::process::exit(0);
        }
    }

    /// Makes the instance on the thread that runs the actor's calls, one after the other, or, for a concurrent actor, begins
    /// them on threads of their own.
    #[allow(clippy::too_many_arguments)]
    fn become_actor(
        self: &Arc<Self>,
        reply: Reply,
        task: u64,
        id: u64,
        class: &'static Registration,
        own: AnyActor,
        name: String,
        max_concurrency: u32,
        args: Vec<Value>,
    ) {
        let (calls, queue) = mpsc::channel::<QueuedCall>();
        let args = args.into_iter().map(|value| self.link().encoded(value).into()).collect();
        let _ = self.actor.set(Actor { id, calls, class, own, exits: AtomicBool::new(false) });
        let parent = Arc::clone(self);
        std::thread::spawn(move || {
            let body = parent
                .begin(task, RemoteBody::new(task, BodyInfo { name, ..BodyInfo::default() }, class.spec(), class.is_async()));
            let own = &parent.actor.get().expect("set above").own;
            let made = Arc::new(Mutex::new(None));
            let place = Arc::clone(&made);
            let construct = Box::pin(async move {
                let instance = class.begin_construct(args).await?;
                *place.lock() = Some(instance);
                Encoded::of(&())
            });
            let ended = body.run_as(own, construct);
            parent.end(task, reply, ended);
            let Some(instance) = made.lock().take() else { return };
            let concurrent = max_concurrency > 1 || class.methods().iter().any(|method| method.is_async());
            while let Ok(call) = queue.recv() {
                if concurrent {
                    let instance = instance.clone();
                    std::thread::spawn(move || call(&instance));
                } else {
                    call(&instance);
                }
            }
        });
    }

    fn call(self: &Arc<Self>, actor: &Actor, reply: Reply, task: u64, path: &str, name: String, args: Vec<EncodedArg>) {
        let parent = Arc::clone(self);
        let method = path.rsplit("::").next().unwrap_or_default().to_owned();
        let (class, path) = (actor.class, path.to_owned());
        let call = Box::new(move |instance: &Instance| {
            if method.is_empty() || path == READY {
                // The parent only wants to know when all before it has run.
                return reply.send(Encoded::of(&()));
            }
            if path == TERMINATE {
                let actor = parent.actor.get().expect("a call comes after the creation");
                parent.terminates.store(true, Ordering::Release);
                let _ = parent.exit_actor(actor.id);
                return parent.end(task, reply, Encoded::of(&()));
            }
            let method = match class.method(&method) {
                Ok(method) => method,
                Err(error) => return reply.send(Err(error)),
            };
            let body = parent
                .begin(task, RemoteBody::new(task, BodyInfo { name, ..BodyInfo::default() }, method.spec(), method.is_async()));
            let own = &parent.actor.get().expect("a call comes after the creation").own;
            let ended = body.run_as(own, method.call(instance, args));
            parent.end(task, reply, ended);
        });
        let _ = actor.calls.send(call);
    }

    /// The call as a message, its reply, and its arguments, which are to live until the message is sent.
    fn message_of(&self, call: RemoteCall) -> (Call, Reply, Vec<EncodedArg>) {
        let message = Call {
            parent: call.parent,
            task: call.task,
            path: call.spec.path().to_owned(),
            name: call.name().to_owned(),
            args: call.args.iter().map(|argument| self.link().argument(argument)).collect(),
            max_retries: call.max_retries(),
        };
        (message, call.reply, call.args)
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, message: impl FnOnce(u64) -> Message) -> Result<T> {
        self.link().ask(message)?.decode()
    }
}

impl Executor for Parent {
    fn process(&self) -> u32 {
        std::env::var(super::NUMBER).expect("the parent sets it").parse().expect("a number")
    }

    fn submit(&self, call: RemoteCall) {
        let (call, reply, _args) = self.message_of(call);
        self.link().request(reply, |request| Message::Submit { request, actor: None, call });
    }

    fn create_actor(&self, creation: RemoteCreation) -> Result<RemoteActor> {
        let settings = Creation::of(&creation);
        let class = creation.class.path().to_owned();
        let (call, reply, _args) = self.message_of(creation.call);
        let made = self.ask(|request| Message::NewActor { request, class, creation: settings, call });
        // The parent has the constructor's failure, for the calls.
        reply.send(Ok(unit()));
        made
    }

    fn call_actor(&self, actor: u64, call: RemoteCall) {
        let (call, reply, _args) = self.message_of(call);
        self.link().request(reply, |request| Message::Submit { request, actor: Some(actor), call });
    }

    fn acquire_actor(&self, actor: u64) -> bool {
        self.link().send(&Message::Acquire { actor });
        true
    }

    fn release_actor(&self, actor: u64) {
        self.link().send(&Message::Release { actor });
    }

    fn kill_actor(&self, actor: u64, restart: bool) {
        self.link().send(&Message::Kill { actor, restart });
    }

    fn actor_state(&self, actor: u64) -> RemoteState {
        let lives = self.ask(|request| Message::Alive { request, actor }).unwrap_or(false);
        if lives { RemoteState::Alive } else { RemoteState::Dead }
    }

    fn exit_actor(&self, actor: u64) -> Result<()> {
        match self.actor.get() {
            Some(own) if own.id == actor => {
                own.exits.store(true, Ordering::Release);
                self.link().send(&Message::Exit);
                Ok(())
            }
            _ => Err(fail::error(ErrorKind::InvalidArgument, "the actor does not run in this process")),
        }
    }

    fn find_actor(&self, namespace: &str, name: &str) -> Result<RemoteActor> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.ask(|request| Message::Find { request, namespace, name })
    }

    fn named_actors(&self) -> Vec<(String, String)> {
        self.ask(|request| Message::Names { request }).unwrap_or_default()
    }

    fn cancel(&self, task: u64, recursive: bool, force: bool) {
        self.link().send(&Message::CancelTask { task, recursive, force });
    }

    fn total_resources(&self) -> BTreeMap<String, f64> {
        self.ask(|request| Message::Resources { request, free: false }).unwrap_or_default()
    }

    fn available_resources(&self) -> BTreeMap<String, f64> {
        self.ask(|request| Message::Resources { request, free: true }).unwrap_or_default()
    }

    fn shutdown(&self) {}
}

/// Counts handles at the parent. The parent counts one more for each handle that it sends itself.
struct Counter(Arc<Parent>);

impl Handles for Counter {
    fn send(&self, _actor: u64) {}

    fn receive(&self, _actor: u64) {}

    fn release(&self, actor: u64) {
        self.0.release_actor(actor);
    }
}
