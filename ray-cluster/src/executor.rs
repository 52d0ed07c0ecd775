//! The executor of a process on a cluster: it sends the calls of the typed API to the Python package.
//!
//! The driver and the processes of the workers have the same executor. Only the other side of the link differs: the driver's bridge
//! runs beside the program, and the bridge of a worker's process is the worker.
//!
//! # Calls whose arguments are not on the cluster
//!
//! Most arguments that are references are objects that Ray has, so a call is sent at once, and Ray waits for its arguments. A local
//! object (one of several returns of a task, or an object of this process) is stored when it is ready. Until then the call waits
//! here, and so do the later calls of the same caller to the same actor, unless its class allows calls out of order.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use ray_core::__private::executor::{
    Executor, RemoteActor, RemoteCall, RemoteCreation, RemoteNode, RemoteObject, RemoteState, Reply, fail, fetch, unit,
};
use ray_core::__private::{AnyRef, Encoded, EncodedArg};
use ray_core::{ClusterInfo, Error, ErrorKind, Result, TraceContext};

use crate::call::Call;
use crate::document;
use crate::frame::{Kind, Writer};
use crate::link::Link;
use crate::object::Object;
use crate::outcome::Origin;
use crate::question::{Found, Question, question};

/// The part of the executor that differs between a driver and a worker.
pub(crate) trait Host: Any + Send + Sync {
    /// The engine of this process ends.
    fn shutdown(&self);

    /// The actor whose method runs in this process ends after it.
    ///
    /// # Errors
    /// `InvalidArgument`: it does not run here.
    fn exit_actor(&self, actor: u64) -> Result<()>;

    /// Whether Ray can give the CPU of a body of this process to others while the body waits: in a worker that runs functions.
    fn lends_cpu(&self) -> bool;
}

/// The executor.
pub(crate) struct Cluster {
    link: Arc<Link>,
    process: u32,
    info: ClusterInfo,
    pub(crate) host: Box<dyn Host>,
    /// The tasks of the calls that wait here, and whether each was cancelled meanwhile.
    waiting: Mutex<HashMap<u64, bool>>,
    /// The calls to actors that wait here, by actor and caller. An empty line: the last of its calls is being sent.
    lines: Mutex<HashMap<(u64, u64), VecDeque<Waiting>>>,
    ended: AtomicBool,
    me: std::sync::Weak<Self>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// A call that is to be sent, without its reply.
struct Waiting {
    task: u64,
    name: Cow<'static, str>,
    document: Arc<[u8]>,
    trace: Option<TraceContext>,
    args: Vec<EncodedArg>,
    /// None for a function.
    actor: Option<u64>,
    object: Arc<Object>,
}

impl Cluster {
    pub(crate) fn new(link: Arc<Link>, process: u32, info: ClusterInfo, host: Box<dyn Host>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            link,
            process,
            info,
            host,
            waiting: Mutex::default(),
            lines: Mutex::default(),
            ended: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    fn send(&self, call: &Waiting) -> Result<()> {
        let mut frame = Writer::new(if call.actor.is_some() { Kind::Call } else { Kind::Submit });
        if let Some(actor) = call.actor {
            frame.u64(actor);
        }
        // They live until the frame is sent: the drop of a stored object is a frame as well.
        let mut stored = Vec::new();
        let written =
            Call { task: call.task, name: &call.name, document: &call.document, trace: call.trace.as_ref(), args: &call.args };
        written.write(&self.link, &mut frame, &mut stored)?;
        self.link.send(frame)
    }

    /// Sends a call that has waited.
    fn send_late(&self, call: &Waiting) {
        let cancelled = self.waiting.lock().remove(&call.task) == Some(true);
        let sent = if cancelled { Err(fail::error(ErrorKind::Cancelled, "the task was cancelled")) } else { self.send(call) };
        match sent {
            Ok(()) => call.object.sent(),
            Err(error) => call.object.fail(error),
        }
    }

    fn start(&self, call: RemoteCall, actor: Option<u64>, document: Result<Arc<[u8]>>) {
        let name: Cow<'static, str> = if call.has_settings() { call.name().to_owned().into() } else { call.spec.name().into() };
        let origin = match actor {
            Some(actor) => Origin::Method(name.clone(), actor),
            None => Origin::Task(name.clone()),
        };
        let document = match document {
            Ok(document) => document,
            Err(error) => return call.reply.send(Err(error)),
        };
        let unready = self.link.unready(&call.args);
        let line = actor.filter(|_| !call.out_of_order).map(|actor| (actor, call.caller));
        let mut lines = self.lines.lock();
        let stands = line.as_ref().is_some_and(|line| lines.contains_key(line));
        if unready.is_empty() && !stands {
            let object = Object::known(&self.link, call.task, origin);
            let waiting = Waiting { task: call.task, name, document, trace: call.trace, args: call.args, actor, object };
            // A call to an actor is sent under the lock, so that no other thread sends a later call of its caller before it.
            let sent = self.send(&waiting);
            drop(lines);
            return match sent {
                Ok(()) => call.reply.defer(waiting.object),
                Err(error) => {
                    waiting.object.fail(error.clone());
                    call.reply.send(Err(error));
                }
            };
        }
        self.waiting.lock().insert(call.task, false);
        let object = Object::unsent(&self.link, call.task, origin);
        let waiting =
            Waiting { task: call.task, name, document, trace: call.trace, args: call.args, actor, object: Arc::clone(&object) };
        match line {
            Some(line) if stands => lines.get_mut(&line).expect("it was found above").push_back(waiting),
            Some(line) => {
                lines.insert(line, VecDeque::from([waiting]));
                drop(lines);
                self.drain(line, unready);
            }
            None => {
                drop(lines);
                let me = self.me.upgrade().expect("a method of it runs");
                when_ready(unready, move || me.send_late(&waiting));
            }
        }
        call.reply.defer(object);
    }

    /// Sends the calls of a line, each when its arguments are ready.
    fn drain(&self, line: (u64, u64), unready: Vec<AnyRef>) {
        let me = self.me.upgrade().expect("a method of it runs");
        std::thread::spawn(move || {
            unready.iter().for_each(fetch);
            loop {
                let mut lines = me.lines.lock();
                let Some(call) = lines.get_mut(&line).and_then(VecDeque::pop_front) else {
                    lines.remove(&line);
                    return;
                };
                drop(lines);
                me.link.unready(&call.args).iter().for_each(fetch);
                me.send_late(&call);
            }
        });
    }

    fn resources(&self, what: &str) -> BTreeMap<String, f64> {
        self.link.ask(&question(what)).unwrap_or_default()
    }
}

/// Runs `then` when all objects are settled, on a thread of its own if they are not yet.
fn when_ready(objects: Vec<AnyRef>, then: impl FnOnce() + Send + 'static) {
    if objects.iter().all(AnyRef::is_here) {
        return then();
    }
    std::thread::spawn(move || {
        objects.iter().for_each(fetch);
        then();
    });
}

impl Executor for Cluster {
    fn process(&self) -> u32 {
        self.process
    }

    fn submit(&self, call: RemoteCall) {
        let document = self.link.documents.of_function(&call);
        self.start(call, None, document);
    }

    fn create_actor(&self, creation: RemoteCreation) -> Result<RemoteActor> {
        let document = document::of_creation(&creation);
        let name = creation.name().map(|(_, name)| name.to_owned());
        let RemoteCall { task, args, reply, spec, trace, .. } = creation.call;
        self.link.unready(&args).iter().for_each(fetch);
        let number = self.link.fresh_actor();
        let mut stored = Vec::new();
        let created = self.link.ask_with(|request| {
            let mut frame = Writer::new(Kind::Create);
            frame.u64(request).u64(number);
            let call = Call { task, name: spec.name(), document: &document, trace: trace.as_ref(), args: &args };
            call.write(&self.link, &mut frame, &mut stored)?;
            Ok(frame)
        });
        // The calls fail with the failure of the constructor.
        reply.send(Ok(unit()));
        let Found { actor, class } = created?;
        self.link.actors.enter(actor);
        if let Some(name) = &name {
            self.link.actors.set_name(actor, name);
        }
        Ok(RemoteActor { id: actor, class })
    }

    fn call_actor(&self, actor: u64, call: RemoteCall) {
        let document = self.link.documents.of_method(&call);
        self.start(call, Some(actor), document);
    }

    fn put(&self, value: &Encoded) -> Option<Arc<dyn RemoteObject>> {
        match self.link.store(value) {
            Ok(object) => Some(object),
            Err(error) => Some(Arc::new(NotStored(error))),
        }
    }

    fn body_waits(&self, task: u64, waits: bool) {
        if self.host.lends_cpu() {
            self.link.send_short(Kind::Waits, task, Some(u8::from(waits)));
        }
    }

    fn acquire_actor(&self, actor: u64) -> bool {
        self.link.actors.acquire(actor, || self.link.send_short(Kind::Acquire, actor, None))
    }

    fn release_actor(&self, actor: u64) {
        self.link.release_actor(actor);
    }

    fn kill_actor(&self, actor: u64, restart: bool) {
        self.link.send_short(Kind::Kill, actor, Some(u8::from(restart)));
    }

    fn actor_state(&self, actor: u64) -> RemoteState {
        if self.link.actors.has_died(actor) {
            return RemoteState::Dead;
        }
        // Without an answer the connection has ended, and no call reaches the actor any more.
        self.link.ask(&Question { actor: Some(actor), ..question("state") }).unwrap_or(RemoteState::Dead)
    }

    fn actor_name(&self, actor: u64) -> Option<String> {
        self.link.actors.name(actor)
    }

    fn exit_actor(&self, actor: u64) -> Result<()> {
        self.host.exit_actor(actor)
    }

    fn find_actor(&self, namespace: &str, name: &str) -> Result<RemoteActor> {
        let found = self.link.ask(&Question { namespace: Some(namespace), name: Some(name), ..question("find") })?;
        let Some(Found { actor, class }) = found else {
            let what = format!("no actor is named `{name}` in namespace `{namespace}`");
            return Err(fail::error(ErrorKind::ActorNotFound, what));
        };
        self.link.actors.found(actor, name);
        Ok(RemoteActor { id: actor, class })
    }

    fn named_actors(&self) -> Vec<(String, String)> {
        self.link.ask(&question("names")).unwrap_or_default()
    }

    fn cancel(&self, task: u64, recursive: bool, force: bool) {
        if let Some(cancelled) = self.waiting.lock().get_mut(&task) {
            *cancelled = true;
            return;
        }
        self.link.send_short(Kind::Cancel, task, Some(u8::from(recursive) | u8::from(force) << 1));
    }

    fn cluster(&self) -> Option<&ClusterInfo> {
        Some(&self.info)
    }

    fn nodes(&self) -> Result<Option<Vec<RemoteNode>>> {
        self.link.ask(&question("nodes")).map(Some)
    }

    fn total_resources(&self) -> BTreeMap<String, f64> {
        self.resources("resources")
    }

    fn available_resources(&self) -> BTreeMap<String, f64> {
        self.resources("available")
    }

    fn shutdown(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.host.shutdown();
        }
    }
}

/// An object that could not be stored.
#[derive(Debug)]
struct NotStored(Error);

impl RemoteObject for NotStored {
    fn id(&self) -> u64 {
        0
    }

    fn ask_for(&self, reply: Reply) {
        reply.send(Err(self.0.clone()));
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
