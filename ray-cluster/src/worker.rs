//! The process that a worker of Ray starts: the same program, which serves the worker in place of its `main`.
//!
//! # Rules
//!
//! 1. The worker sends one function at a time, or makes this process the instance of an actor and sends the calls of its methods.
//! 2. The thread that reads a call runs its body, and another thread reads meanwhile if that is needed ([`Reading`]). So answers
//!    arrive while bodies wait.
//! 3. The calls of an actor run one after the other. If the actor is concurrent (it has async methods, concurrency groups, or a
//!    `max_concurrency` larger than 1), each call is handed to a thread of its own. A method by `&mut self` begins after the calls
//!    that came before it; methods by `&self` may begin in another order.
//! 4. The process ends when the worker closes the socket, or asks it to finish: then the instance of the actor is dropped first, after
//!    the call that runs.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use ray_core::__private::executor::{PROCESSES, RemoteBody, fail, fetch, init_with_executor, proxy_of};
use ray_core::__private::{AnyActor, Encoded, Instance, Registration, lookup};
use ray_core::{ClusterInfo, Config, Error, ErrorKind, Result};
use serde::Deserialize;

use crate::call::ReadCall;
use crate::channel::{Receiver, Sender};
use crate::document::ReadDocuments;
use crate::executor::{Cluster, Host};
use crate::frame::{Kind, PROTOCOL, Reader, Writer, malformed};
use crate::identity;
use crate::link::Link;
use crate::reading::Reading;

/// The variable that tells a program that a worker has started it. The socket is its standard input.
pub(crate) const VARIABLE: &str = "RAY_RUST_WORKER";

/// Serves the worker, to the end of the process.
pub(crate) fn serve(config: Config) -> ! {
    let (worker, receiver) = connect(config).unwrap_or_else(|error| end_with(&error));
    for _ in 0..READERS {
        let reader = Arc::clone(&worker);
        worker.spawn(move || reader.read());
    }
    worker.reading.free(receiver, || true);
    loop {
        std::thread::park();
    }
}

/// One thread runs a body, and the other reads.
const READERS: usize = 2;

fn end_with(why: &dyn std::fmt::Display) -> ! {
    eprintln!("the Rust program cannot serve its Ray worker: {why}");
    std::process::exit(70);
}

/// The socket, in whose place the bodies get an empty standard input.
fn socket() -> io::Result<UnixStream> {
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let empty = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(empty)?;
    Ok(socket.into())
}

/// What the worker tells of itself.
#[derive(Debug, Deserialize)]
struct Told {
    namespace: String,
    #[serde(flatten)]
    cluster: ClusterInfo,
}

fn connect(mut config: Config) -> Result<(Arc<Worker>, Receiver)> {
    // The driver has given them to Ray; the engine of a worker has neither.
    config.take_node();
    config.take_runtime_env()?;
    let broken = |error: io::Error| fail::error(ErrorKind::System, format!("no connection to the worker: {error}"));
    if ray_core::is_initialized() {
        let what = "ray was used before `ray::init()`: `ray::init()` must stand first in `main`, because a worker's program branches off there";
        return Err(fail::error(ErrorKind::AlreadyInitialized, what));
    }
    let socket = socket().map_err(broken)?;
    let sender = Sender::new(socket.try_clone().map_err(broken)?);
    let mut receiver = Receiver::new(socket);
    let mut hello = Writer::new(Kind::Hello);
    let (build, registry) = identity::of_worker().map_err(broken)?;
    hello.u32(PROTOCOL).u32(build).u32(registry);
    sender.send(hello).map_err(broken)?;
    let mut told = None;
    receiver
        .next(|_, frame| {
            told = Some(frame.rest().to_vec());
            Ok(())
        })
        .map_err(broken)?;
    let told = told.ok_or_else(|| fail::error(ErrorKind::System, "the worker has ended"))?;
    let told: Told = Encoded::from(told).decode()?;
    let reading = Arc::new(Reading::default());
    let link = Link::new(sender, Some(Arc::clone(&reading)));
    let worker = Arc::new(Worker {
        link: Arc::clone(&link),
        reading,
        documents: ReadDocuments::default(),
        bodies: Mutex::default(),
        actor: OnceLock::new(),
        stack: config.body_stack_size(),
    });
    let host = Here(Arc::clone(&worker));
    let cluster = Cluster::new(link, number(), told.cluster, Box::new(host));
    let config = config.num_cpus(1).tips(false).ignore_reinit_error(true).namespace(told.namespace);
    init_with_executor(config, cluster)?;
    Ok((worker, receiver))
}

/// The number of this process among those of the program. It begins the ids of the tasks that this process submits. The ids are
/// only shown, so two processes may have the same number.
fn number() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    (now ^ std::process::id().rotate_left(8)) % (PROCESSES - 1) + 1
}

/// The bodies of this process.
struct Worker {
    link: Arc<Link>,
    reading: Arc<Reading>,
    documents: ReadDocuments,
    /// The bodies that run, by the request that has sent them.
    bodies: Mutex<HashMap<u64, Arc<RemoteBody>>>,
    actor: OnceLock<Actor>,
    /// The stack of each thread that runs bodies, in bytes.
    stack: usize,
}

/// A call, for the thread that has read it.
type Call = Box<dyn FnOnce() + Send>;

/// The actor whose instance this process has.
struct Actor {
    number: u64,
    class: &'static Registration,
    /// A handle of the actor itself.
    own: AnyActor,
    /// Whether each call begins on a thread of its own.
    is_concurrent: bool,
    state: Mutex<ActorState>,
    exits: AtomicBool,
}

#[derive(Default)]
struct ActorState {
    /// None before the end of the constructor.
    instance: Option<Instance>,
    /// The calls that run, the constructor among them.
    running: usize,
    /// The instance is to be dropped when no call runs.
    finishes: bool,
}

impl Actor {
    /// A call was read; returns the instance, which exists after the constructor.
    fn enter(&self) -> Option<Instance> {
        let mut state = self.state.lock();
        state.running += 1;
        state.instance.clone()
    }

    /// A call has ended.
    fn leave(&self) {
        let mut state = self.state.lock();
        state.running -= 1;
        self.finish_if_idle(state);
    }

    /// Drops the instance, and ends the process, as soon as no call runs.
    fn finish(&self) {
        let mut state = self.state.lock();
        state.finishes = true;
        self.finish_if_idle(state);
    }

    fn finish_if_idle(&self, mut state: MutexGuard<'_, ActorState>) {
        if state.finishes && state.running == 0 {
            let instance = state.instance.take();
            drop(state);
            // Ray's worker ends after this process, so a panic of the user's `Drop` must not keep it.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
            std::process::exit(0);
        }
    }
}

/// One call, as the worker sends it.
struct Request {
    number: u64,
    attempt: u32,
    call: ReadCall,
}

const FUNCTION: u8 = 0;
const CONSTRUCTOR: u8 = 1;
/// The method that tells when the calls before it have ended.
const READY: &str = "ray::ActorHandle::ready";

impl Worker {
    /// Starts a thread that runs bodies. A worker without threads cannot answer its calls, so it ends, which Ray sees as a crash.
    fn spawn(&self, run: impl FnOnce() + Send + 'static) {
        if let Err(error) = std::thread::Builder::new().stack_size(self.stack).spawn(run) {
            eprintln!("the Rust program of a Ray worker cannot start a thread: {error}; raise the node's limit of threads");
            std::process::exit(70);
        }
    }

    /// Reads frames when it is this thread's turn, and runs the calls that it reads.
    fn read(self: &Arc<Self>) {
        loop {
            let mut receiver = self.reading.wait();
            loop {
                let mut call = None;
                let read = receiver.next(|kind, frame| {
                    call = self.handle(kind, frame)?;
                    Ok(())
                });
                match read {
                    Ok(true) => {}
                    Ok(false) => std::process::exit(0),
                    Err(error) => end_with(&format_args!("the worker's frames cannot be read: {error}")),
                }
                let Some(call) = call else { continue };
                self.reading.free(receiver, || self.link.expects_answers());
                call();
                match self.reading.take() {
                    Some(free) => receiver = free,
                    None => break,
                }
            }
        }
    }

    /// Handles a frame; returns the call that this thread is to run.
    fn handle(self: &Arc<Self>, kind: Kind, frame: &mut Reader<'_>) -> io::Result<Option<Call>> {
        match kind {
            Kind::Settled => self.link.settled(frame)?,
            Kind::Answer => self.link.answered(frame)?,
            Kind::Run => return self.run(frame),
            Kind::Stop => {
                let body = self.bodies.lock().get(&frame.u64()?).cloned();
                if let Some(body) = body {
                    body.cancel();
                }
            }
            // The drop of the instance may wait for answers, so another thread must be able to read.
            Kind::Finish => {
                let worker = Arc::clone(self);
                return Ok(Some(Box::new(move || match worker.actor.get() {
                    Some(actor) => actor.finish(),
                    None => std::process::exit(0),
                })));
            }
            other => return Err(malformed(format!("a worker's program gets no frame of kind {other:?}"))),
        }
        Ok(None)
    }

    fn run(self: &Arc<Self>, frame: &mut Reader<'_>) -> io::Result<Option<Call>> {
        let (number, what, actor) = (frame.u64()?, frame.u8()?, frame.u64()?);
        let attempt = frame.u32()?;
        let request = Request { number, attempt, call: ReadCall::read(&self.link, &self.documents, frame)? };
        Ok(match what {
            FUNCTION => self.function(request),
            CONSTRUCTOR => self.construct(actor, request),
            _ => self.method(request),
        })
    }

    fn function(self: &Arc<Self>, request: Request) -> Option<Call> {
        let Request { number, attempt, call: ReadCall { task, document, trace, args } } = request;
        match lookup(&document.path) {
            Ok(found) => {
                let body = RemoteBody::new(task, document.body(attempt, trace), found.spec(), found.is_async());
                let (worker, body) = (Arc::clone(self), self.begin(number, body));
                Some(Box::new(move || {
                    let ended = body.run(found.call(args));
                    worker.end(number, ended, |error| found.retries(error));
                }))
            }
            Err(error) => {
                self.end(number, Err(unknown(&error)), |_| false);
                None
            }
        }
    }

    fn construct(self: &Arc<Self>, actor: u64, request: Request) -> Option<Call> {
        let Request { number, attempt, call: ReadCall { task, document, trace, args } } = request;
        // The worker has sent a handle of the actor with this number.
        self.link.actors.enter(actor);
        if let Some(name) = &document.options.name {
            self.link.actors.set_name(actor, name);
        }
        let found = lookup(&document.path).map_err(|error| unknown(&error));
        let found = found.and_then(|class| Ok((class, proxy_of(class, actor)?)));
        let (class, own) = match found {
            Ok(found) => found,
            Err(error) => {
                self.end(number, Err(error), |_| false);
                return None;
            }
        };
        // The attempt of a constructor is the number of the actor's restarts.
        document.actor(attempt).tell(&own);
        let is_async = class.methods().iter().any(|method| method.is_async());
        let options = &document.options;
        let is_concurrent =
            is_async || options.max_concurrency.is_some_and(|calls| calls > 1) || !options.concurrency_groups.is_empty();
        let made = Actor { number: actor, class, own, is_concurrent, state: Mutex::default(), exits: AtomicBool::new(false) };
        let _ = self.actor.get_or_init(|| made).enter();
        let body = RemoteBody::new(task, document.body(0, trace), class.spec(), class.is_async());
        let (worker, body) = (Arc::clone(self), self.begin(number, body));
        Some(Box::new(move || {
            let here = Arc::clone(&worker);
            let construct = Box::pin(async move {
                let instance = class.begin_construct(args).await?;
                here.actor().state.lock().instance = Some(instance);
                Encoded::of(&())
            });
            let ended = body.run_as(&worker.actor().own, construct);
            worker.end(number, ended, |_| false);
            worker.actor().leave();
        }))
    }

    /// The actor of this process, whose constructor was read.
    fn actor(&self) -> &Actor {
        self.actor.get().expect("the constructor of an actor is read before its calls")
    }

    fn method(self: &Arc<Self>, request: Request) -> Option<Call> {
        let Request { number, attempt, call: ReadCall { task, document, trace, args } } = request;
        let Some(actor) = self.actor.get() else {
            let what = "the worker calls a method before the constructor";
            self.end(number, Err(fail::error(ErrorKind::System, what)), |_| false);
            return None;
        };
        let method = actor.class.method(document.path.rsplit("::").next().unwrap_or_default());
        let known = match (actor.enter(), method) {
            (Some(_), _) if document.path == READY => Ok(None),
            (Some(instance), Ok(method)) => {
                let body = RemoteBody::new(task, document.body(attempt, trace), method.spec(), method.is_async());
                // The call takes its place in the line here: the threads of later calls may be faster than its own.
                Ok(Some((method, self.begin(number, body), method.call(&instance, args))))
            }
            (Some(_), Err(error)) => Err(unknown(&error)),
            (None, _) => Err(fail::error(ErrorKind::System, "the constructor of the actor has failed")),
        };
        let worker = Arc::clone(self);
        let call = move || {
            match known {
                Ok(Some((method, body, call))) => {
                    let ended = body.run_as(&worker.actor().own, call);
                    worker.end(number, ended, |error| method.retries(error));
                }
                Ok(None) => worker.end(number, Encoded::of(&()), |_| false),
                Err(error) => worker.end(number, Err(error), |_| false),
            }
            worker.actor().leave();
        };
        if actor.is_concurrent {
            self.spawn(call);
            return None;
        }
        Some(Box::new(call))
    }

    fn begin(&self, request: u64, body: RemoteBody) -> Arc<RemoteBody> {
        let body = Arc::new(body);
        self.bodies.lock().insert(request, Arc::clone(&body));
        body
    }

    /// Sends the outcome of a body.
    fn end(&self, request: u64, ended: Result<Encoded>, retries: impl FnOnce(&Error) -> bool) {
        self.bodies.lock().remove(&request);
        // The value and the objects that are stored for it live until the frame is sent: their drops are frames as well.
        let mut stored = Vec::new();
        let written = ended.as_ref().map_err(Error::clone).and_then(|value| {
            // References to objects of this process: their values are stored, so they must be there.
            self.link.unready_in(value).iter().for_each(fetch);
            let mut frame = Writer::new(Kind::Settled);
            frame.u64(request).u8(0);
            self.link.write_value(&mut frame, value, &mut stored)?;
            Ok(frame)
        });
        let sent = written.and_then(|frame| self.link.send(frame));
        if let Err(error) = sent {
            let dies = self.actor.get().is_some() && error.is_panic();
            // A predicate that panics allows no retry, and must not end the thread.
            let retry = catch_unwind(AssertUnwindSafe(|| retries(&error))).unwrap_or(false);
            let flags = (u8::from(retry), u8::from(dies));
            // An error that is too large is replaced by its text.
            let text = fail::error(error.kind(), error.to_string());
            if self.send_error(request, flags, &error).is_err() {
                let _ = self.send_error(request, flags, &text);
            }
        }
    }

    fn send_error(&self, request: u64, (retry, dies): (u8, u8), error: &Error) -> Result<()> {
        let mut frame = Writer::new(Kind::Settled);
        frame.u64(request).u8(1).u8(retry).u8(dies);
        let full = |error: io::Error| fail::error(ErrorKind::System, error.to_string());
        frame.blob(&error.encode().bytes).map_err(full)?.text(&error.to_string()).map_err(full)?;
        self.link.send(frame)
    }
}

/// The error of a call of a function that this program does not have.
fn unknown(error: &Error) -> Error {
    fail::error(
        ErrorKind::InvalidArgument,
        format!("{error}. The workers run the program of the driver: is it a driver of another version?"),
    )
}

struct Here(Arc<Worker>);

impl Host for Here {
    fn shutdown(&self) {}

    fn exit_actor(&self, number: u64) -> Result<()> {
        match self.0.actor.get() {
            Some(actor) if actor.number == number => {
                if !actor.exits.swap(true, Ordering::AcqRel) {
                    let _ = self.0.link.send(Writer::new(Kind::Exit));
                }
                Ok(())
            }
            _ => Err(fail::error(
                ErrorKind::InvalidArgument,
                "the actor does not run in this process: call exit_actor in a method of it",
            )),
        }
    }

    fn lends_cpu(&self) -> bool {
        self.0.actor.get().is_none()
    }
}
