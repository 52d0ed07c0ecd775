//! The process that a worker of Ray starts: the same program, which serves the worker in place of its `main`.
//!
//! # Rules
//!
//! 1. The worker sends one function at a time, or makes this process the instance of an actor and sends the calls of its methods.
//! 2. A body runs on a thread of its own. The thread of [`serve`] only reads frames, so answers arrive while bodies wait.
//! 3. The calls of an actor run one after the other, on one thread. If the actor is concurrent (it has async methods, or
//!    `max_concurrency` is larger than 1), each call begins on a thread of its own, in the order in which the calls came.
//! 4. The process ends when the worker closes the socket.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use ray_core::__private::executor::{PROCESSES, RemoteBody, fail, init_with_executor, proxy_of};
use ray_core::__private::{AnyActor, Encoded, EncodedArg, Instance, Registration, lookup};
use ray_core::{ClusterInfo, Config, Error, ErrorKind, Result};
use serde::Deserialize;

use crate::channel::{Receiver, Sender};
use crate::document::{Document, ReadDocuments};
use crate::executor::{Cluster, Host, wait_for};
use crate::frame::{Kind, PROTOCOL, Reader, Writer, malformed};
use crate::link::Link;

/// The variable that tells a program that a worker has started it. The socket is its standard input.
pub(crate) const VARIABLE: &str = "RAY_RUST_WORKER";

/// Serves the worker, to the end of the process.
pub(crate) fn serve(config: Config) -> ! {
    let ended = connect(config).map_err(|error| error.to_string()).and_then(|(worker, receiver)| {
        worker.read(receiver).map_err(|error| format!("the worker's frames cannot be read: {error}"))
    });
    match ended {
        Ok(()) => std::process::exit(0),
        Err(why) => {
            eprintln!("the Rust program cannot serve its Ray worker: {why}");
            std::process::exit(70);
        }
    }
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

fn connect(config: Config) -> Result<(Arc<Worker>, Receiver)> {
    let broken = |error: io::Error| fail::error(ErrorKind::System, format!("no connection to the worker: {error}"));
    if ray_core::is_initialized() {
        let what = "ray was used before `ray::init()`: `ray::init()` must stand first in `main`, because a worker's program branches off there";
        return Err(fail::error(ErrorKind::AlreadyInitialized, what));
    }
    let socket = socket().map_err(broken)?;
    let sender = Sender::new(socket.try_clone().map_err(broken)?);
    let mut receiver = Receiver::new(socket);
    let mut hello = Writer::new(Kind::Hello);
    hello.u32(PROTOCOL);
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
    let link = Link::new(sender);
    let worker = Arc::new(Worker::new(Arc::clone(&link), config.body_stack_size()));
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
    documents: ReadDocuments,
    /// The bodies that run, by the request that has sent them.
    bodies: Mutex<HashMap<u64, Arc<RemoteBody>>>,
    functions: mpsc::Sender<Work>,
    actor: OnceLock<Actor>,
    /// The stack of each thread that runs bodies, in bytes.
    stack: usize,
}

/// What a thread runs.
type Work = Box<dyn FnOnce() + Send>;
/// What the thread of an actor runs.
type Call = Box<dyn FnOnce(&Instance) + Send>;

/// The actor whose instance this process has.
struct Actor {
    number: u64,
    class: &'static Registration,
    /// A handle of the actor itself.
    own: AnyActor,
    /// None: the instance is to be dropped.
    calls: Mutex<Option<mpsc::Sender<Call>>>,
    exits: AtomicBool,
}

/// One call, as the worker sends it.
struct Request {
    number: u64,
    task: u64,
    attempt: u32,
    document: Arc<Document>,
    args: Vec<EncodedArg>,
}

const FUNCTION: u8 = 0;
const CONSTRUCTOR: u8 = 1;
/// The method that tells when the calls before it have ended.
const READY: &str = "ray::ActorHandle::ready";

impl Worker {
    fn new(link: Arc<Link>, stack: usize) -> Self {
        let (functions, queue) = mpsc::channel::<Work>();
        let documents = ReadDocuments::default();
        let worker = Self { link, documents, bodies: Mutex::default(), functions, actor: OnceLock::new(), stack };
        worker.spawn(move || queue.into_iter().for_each(|work| work()));
        worker
    }

    /// Starts a thread that runs bodies. A worker without threads cannot answer its calls, so it ends, which Ray sees as a crash.
    fn spawn(&self, run: impl FnOnce() + Send + 'static) {
        if let Err(error) = std::thread::Builder::new().stack_size(self.stack).spawn(run) {
            eprintln!("the Rust program of a Ray worker cannot start a thread: {error}; raise the node's limit of threads");
            std::process::exit(70);
        }
    }

    fn read(self: &Arc<Self>, mut receiver: Receiver) -> io::Result<()> {
        while receiver.next(|kind, frame| self.handle(kind, frame))? {}
        Ok(())
    }

    fn handle(self: &Arc<Self>, kind: Kind, frame: &mut Reader<'_>) -> io::Result<()> {
        match kind {
            Kind::Settled => self.link.settled(frame),
            Kind::Answer => self.link.answered(frame),
            Kind::Run => self.run(frame),
            Kind::Stop => {
                let body = self.bodies.lock().get(&frame.u64()?).cloned();
                if let Some(body) = body {
                    body.cancel();
                }
                Ok(())
            }
            Kind::Finish => {
                match self.actor.get() {
                    Some(actor) => drop(actor.calls.lock().take()),
                    None => std::process::exit(0),
                }
                Ok(())
            }
            other => Err(malformed(format!("a worker's program gets no frame of kind {other:?}"))),
        }
    }

    fn run(self: &Arc<Self>, frame: &mut Reader<'_>) -> io::Result<()> {
        let (number, what, actor) = (frame.u64()?, frame.u8()?, frame.u64()?);
        let (task, attempt) = (frame.u64()?, frame.u32()?);
        let document = self.documents.read(frame.blob()?).map_err(io::Error::other)?;
        let count = frame.u16()?;
        let args = (0..count).map(|_| Ok(self.link.read_value(frame)?.into())).collect::<io::Result<_>>()?;
        let request = Request { number, task, attempt, document, args };
        match what {
            FUNCTION => self.function(request),
            CONSTRUCTOR => self.construct(actor, request),
            _ => self.method(request),
        }
        Ok(())
    }

    fn function(self: &Arc<Self>, request: Request) {
        match lookup(&request.document.path) {
            Ok(found) => {
                let worker = Arc::clone(self);
                let work = move || {
                    let Request { number, task, attempt, document, args } = request;
                    let body =
                        worker.begin(number, RemoteBody::new(task, document.body(attempt), found.spec(), found.is_async()));
                    let ended = body.run(found.call(args));
                    worker.end(number, ended, |error| found.retries(error));
                };
                let _ = self.functions.send(Box::new(work));
            }
            Err(error) => self.end(request.number, Err(unknown(&error)), |_| false),
        }
    }

    /// Makes the instance on the thread that runs the actor's calls.
    fn construct(self: &Arc<Self>, actor: u64, request: Request) {
        let found = lookup(&request.document.path).map_err(|error| unknown(&error));
        let found = found.and_then(|class| Ok((class, proxy_of(class, actor)?)));
        let (class, own) = match found {
            Ok(found) => found,
            Err(error) => return self.end(request.number, Err(error), |_| false),
        };
        let (calls, queue) = mpsc::channel::<Call>();
        let _ =
            self.actor.set(Actor { number: actor, class, own, calls: Mutex::new(Some(calls)), exits: AtomicBool::new(false) });
        let worker = Arc::clone(self);
        self.spawn(move || {
            let Request { number, task, attempt, document, args } = request;
            let body = worker.begin(number, RemoteBody::new(task, document.body(attempt), class.spec(), false));
            let own = &worker.actor.get().expect("it was set above").own;
            let made = Arc::new(Mutex::new(None));
            let place = Arc::clone(&made);
            let construct = Box::pin(async move {
                *place.lock() = Some(class.construct(args)?);
                Encoded::of(&())
            });
            let ended = body.run_as(own, construct);
            worker.end(number, ended, |_| false);
            let Some(instance) = made.lock().take() else { return };
            let is_async = class.methods().iter().any(|method| method.is_async());
            let concurrent = is_async || document.options.max_concurrency.is_some_and(|calls| calls > 1);
            for call in queue {
                if concurrent {
                    let instance = instance.clone();
                    worker.spawn(move || call(&instance));
                } else {
                    call(&instance);
                }
            }
            // Ray's worker ends after this process, so a panic of the user's `Drop` must not keep it.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
            std::process::exit(0);
        });
    }

    fn method(self: &Arc<Self>, request: Request) {
        let Some(actor) = self.actor.get() else {
            let what = "the worker calls a method before the constructor";
            return self.end(request.number, Err(fail::error(ErrorKind::System, what)), |_| false);
        };
        let worker = Arc::clone(self);
        let class = actor.class;
        let call = Box::new(move |instance: &Instance| {
            let Request { number, task, attempt, document, args } = request;
            if document.path == READY {
                return worker.end(number, Encoded::of(&()), |_| false);
            }
            let method = match class.method(document.path.rsplit("::").next().unwrap_or_default()) {
                Ok(method) => method,
                Err(error) => return worker.end(number, Err(unknown(&error)), |_| false),
            };
            let body = worker.begin(number, RemoteBody::new(task, document.body(attempt), method.spec(), method.is_async()));
            let own = &worker.actor.get().expect("a call comes after the constructor").own;
            let ended = body.run_as(own, method.call(instance, args));
            worker.end(number, ended, |error| method.retries(error));
        });
        if let Some(calls) = &*actor.calls.lock() {
            let _ = calls.send(call);
        }
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
            self.link.unready_in(value).iter().for_each(wait_for);
            let mut frame = Writer::new(Kind::Settled);
            frame.u64(request).u8(0);
            self.link.write_value(&mut frame, value, &mut stored)?;
            Ok(frame)
        });
        let sent = written.and_then(|frame| self.link.send(frame));
        if let Err(error) = sent {
            let dies = self.actor.get().is_some() && error.is_panic();
            let flags = (u8::from(retries(&error)), u8::from(dies));
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
