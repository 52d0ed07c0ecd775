//! The parent: it starts the children, hands them calls, and answers theirs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak, mpsc};

use parking_lot::Mutex;
use ray::__private::executor::{Carried, RemoteActor, RemoteObject, Reply, Retries, fail};
use ray::__private::{Encoded, EncodedArg};
use ray::{Error, ErrorKind, Result};

use super::child::Child;
use super::link::{Handles, wait_for};
use super::message::{Argument, Call, Creation, Message, Value};

#[derive(Default)]
pub(super) struct Driver {
    idle: Mutex<Vec<Arc<Child>>>,
    tasks: Mutex<HashMap<u64, Task>>,
    /// Tasks that were cancelled before they began.
    cancelled: Mutex<HashSet<u64>>,
    actors: Mutex<HashMap<u64, Actor>>,
    names: Mutex<HashMap<(String, String), u64>>,
}

/// A task that has not ended.
struct Task {
    parent: Option<u64>,
    child: Option<Arc<Child>>,
}

struct Actor {
    class: String,
    child: Arc<Child>,
    calls: mpsc::Sender<(Job, Vec<Given>)>,
    handles: u64,
    name: Option<(String, String)>,
    death: Option<Error>,
}

/// A call that is to run in a child.
pub(super) struct Job {
    pub(super) task: u64,
    pub(super) parent: Option<u64>,
    pub(super) path: String,
    /// Name and place, for the error where the child ends before it answers.
    pub(super) name: String,
    pub(super) reply: Reply,
    pub(super) retries: Option<Retries>,
}

/// An argument that may not be there yet.
pub(super) enum Given {
    Own(EncodedArg),
    Of(Arc<dyn RemoteObject>),
}

impl Given {
    /// Waits for the value, on the caller's thread.
    fn value(self) -> Result<Encoded> {
        match self {
            Given::Own(EncodedArg::Value(value)) => Ok(value),
            Given::Own(EncodedArg::Reference(reference)) => {
                reference.objects().iter().for_each(wait_for);
                reference.encode_value()
            }
            Given::Of(source) => {
                let (answered, answer) = mpsc::channel();
                source.ask_for(Reply::new(move |value| _ = answered.send(value)));
                answer.recv().expect("a reply is sent or fails")
            }
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Given::Own(EncodedArg::Value(_)) => true,
            Given::Own(EncodedArg::Reference(reference)) => reference.objects().iter().all(|object| object.is_ready()),
            Given::Of(_) => false,
        }
    }
}

fn values(given: Vec<Given>, name: &str) -> Result<Vec<Encoded>> {
    given.into_iter().map(|given| given.value().map_err(|error| fail::argument(name, error))).collect()
}

impl Driver {
    /// Starts a child.
    fn start(self: &Arc<Self>, actor: Option<u64>) -> Arc<Child> {
        let counter: Arc<dyn Handles> = Arc::new(Counter(Arc::downgrade(self)));
        let (child, mut reader) = Child::start(actor, counter);
        let (driver, here) = (Arc::clone(self), Arc::clone(&child));
        std::thread::spawn(move || {
            while let Ok(message) = Message::read(&mut reader) {
                if let Some(message) = here.link.handle(message) {
                    driver.serve(&here, message);
                }
            }
            driver.ended(&here);
        });
        child
    }

    /// Ends every child.
    pub(super) fn end_all(&self) {
        let idle: Vec<_> = self.idle.lock().drain(..).collect();
        idle.iter().for_each(|child| child.kill());
        for actor in self.actors.lock().values() {
            actor.child.kill();
        }
        for task in self.tasks.lock().values() {
            if let Some(child) = &task.child {
                child.kill();
            }
        }
    }

    /// The child has ended, or closed its socket.
    fn ended(&self, child: &Arc<Child>) {
        self.idle.lock().retain(|idle| !Arc::ptr_eq(idle, child));
        if let Some(actor) = child.actor {
            self.record_death(actor, || {
                fail::error(ErrorKind::ActorDied, "the process of the actor has ended: create a new one")
            });
        }
        child.link.close();
        child.kill();
        let _ = child.process.lock().wait();
    }

    /// The actor is dead, unless it was before.
    fn record_death(&self, actor: u64, why: impl FnOnce() -> Error) {
        let name = self.actors.lock().get_mut(&actor).and_then(|actor| {
            actor.death.get_or_insert_with(why);
            actor.name.take()
        });
        if let Some(name) = name {
            self.names.lock().remove(&name);
        }
    }

    /// Runs a function when its arguments are there.
    pub(super) fn submit(self: &Arc<Self>, job: Job, given: Vec<Given>) {
        self.tasks.lock().insert(job.task, Task { parent: job.parent, child: None });
        let driver = Arc::clone(self);
        let there = given.iter().all(Given::is_there);
        let begin = move || match values(given, &job.name) {
            Ok(args) => driver.run(job, args),
            Err(error) => driver.end(job, Err(error)),
        };
        if there { begin() } else { drop(std::thread::spawn(begin)) }
    }

    fn end(&self, job: Job, answer: Result<Encoded>) {
        self.tasks.lock().remove(&job.task);
        job.reply.send(answer);
    }

    fn run(self: &Arc<Self>, mut job: Job, args: Vec<Encoded>) {
        if self.cancelled.lock().remove(&job.task) {
            return self.end(job, Err(fail::error(ErrorKind::Cancelled, "the task was cancelled")));
        }
        let idle = self.idle.lock().pop();
        let child = idle.unwrap_or_else(|| self.start(None));
        if let Some(task) = self.tasks.lock().get_mut(&job.task) {
            task.child = Some(Arc::clone(&child));
        }
        let (task, path, name) = (job.task, job.path.clone(), job.name.clone());
        let sent: Vec<Value> = args.iter().map(|arg| child.link.value(arg)).collect();
        let (driver, here) = (Arc::clone(self), Arc::clone(&child));
        let reply = Reply::new(move |answer| {
            let answer = answer.map_err(|error| fail::crash(&job.name, &here.link.peer, error));
            if !answer.as_ref().is_err_and(Error::is_worker_crashed) {
                driver.idle.lock().push(here);
            }
            match answer {
                Err(error) if job.retries.as_mut().is_some_and(|retries| retries.allow(&error)) => driver.run(job, args),
                answer => driver.end(job, answer),
            }
        });
        child.link.request(reply, |request| Message::Run { request, task, path, name, args: sent });
    }

    /// Creates an actor in a child of its own.
    pub(super) fn create(
        self: &Arc<Self>,
        class: String,
        creation: &Creation,
        job: Job,
        given: Vec<Given>,
    ) -> Result<RemoteActor> {
        if creation.max_restarts != 0 || creation.max_task_retries != 0 {
            let what = "the executor of the tests starts no actor anew: leave out max_restarts and max_task_retries";
            return Err(fail::error(ErrorKind::InvalidArgument, what));
        }
        static NEXT: AtomicU64 = AtomicU64::new(1 << 60);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        if let Some(name) = &creation.name {
            let mut names = self.names.lock();
            if let Some(&there) = names.get(name) {
                if creation.get_if_exists && self.acquire(there) {
                    let class = self.actors.lock().get(&there).map(|actor| actor.class.clone());
                    return Ok(RemoteActor { id: there, class: class.unwrap_or_default() });
                }
                let what = format!("the name `{}` is taken in namespace `{}`", name.1, name.0);
                return Err(fail::error(ErrorKind::ActorAlreadyExists, what));
            }
            names.insert(name.clone(), id);
        }
        let child = self.start(Some(id));
        let (calls, queue) = mpsc::channel();
        let actor = Actor {
            class: class.clone(),
            child: Arc::clone(&child),
            calls,
            handles: 1,
            name: creation.name.clone(),
            death: None,
        };
        self.actors.lock().insert(id, actor);
        let created = RemoteActor { id, class: class.clone() };
        let (driver, max_concurrency) = (Arc::clone(self), creation.max_concurrency);
        std::thread::spawn(move || {
            driver.construct(id, class, max_concurrency, &child, job, given);
            while let Ok((job, given)) = queue.recv() {
                driver.call(id, &child, job, given);
            }
        });
        Ok(created)
    }

    fn construct(
        self: &Arc<Self>,
        actor: u64,
        class: String,
        max_concurrency: u32,
        child: &Arc<Child>,
        job: Job,
        given: Vec<Given>,
    ) {
        let (name, own) = (job.name.clone(), job.name.clone());
        let failed = move |driver: &Driver, error: &Error| {
            driver.record_death(actor, || fail::constructor(&name, error.clone()));
        };
        let args = match values(given, &job.name) {
            Ok(args) => args,
            Err(error) => {
                failed(self, &error);
                return job.reply.send(Err(error));
            }
        };
        let args = args.iter().map(|arg| child.link.value(arg)).collect();
        let (task, driver) = (job.task, Arc::clone(self));
        let reply = Reply::new(move |answer| {
            if let Err(error) = &answer {
                failed(&driver, error);
            }
            job.reply.send(answer);
        });
        child.link.request(reply, |request| Message::Create { request, task, actor, class, name: own, max_concurrency, args });
    }

    /// Sends a call to an actor, in its turn.
    fn call(self: &Arc<Self>, actor: u64, child: &Arc<Child>, job: Job, given: Vec<Given>) {
        let args = match values(given, &job.name) {
            Ok(args) => args,
            Err(error) => return self.end(job, Err(error)),
        };
        if let Some(death) = self.death(actor) {
            return self.end(job, Err(death));
        }
        if self.cancelled.lock().remove(&job.task) {
            return self.end(job, Err(fail::error(ErrorKind::Cancelled, "the task was cancelled")));
        }
        let args = args.iter().map(|arg| child.link.value(arg)).collect();
        let (task, path, name, driver) = (job.task, job.path.clone(), job.name.clone(), Arc::clone(self));
        let reply = Reply::new(move |answer| {
            let answer = answer.map_err(|error| driver.after_a_call(actor, &job.name, error));
            driver.end(job, answer);
        });
        child.link.request(reply, |request| Message::Run { request, task, path, name, args });
    }

    /// The error of a call. A panic ends the actor, and the end of its process is its death.
    fn after_a_call(&self, actor: u64, name: &str, error: Error) -> Error {
        if error.is_panic() {
            let died = fail::panic(name, None, error);
            self.record_death(actor, || died.clone());
            if let Some(actor) = self.actors.lock().get(&actor) {
                actor.child.kill();
            }
            return died;
        }
        match self.death(actor) {
            Some(death) if error.is_worker_crashed() => death,
            // The child got this call before the driver could end it.
            Some(death) if error.to_string().contains("its state may be torn") => death,
            _ => error,
        }
    }

    pub(super) fn death(&self, actor: u64) -> Option<Error> {
        match self.actors.lock().get(&actor) {
            Some(actor) => actor.death.clone(),
            None => Some(fail::error(ErrorKind::ActorDied, "the actor has ended: no handle was left")),
        }
    }

    /// Puts a call in the line of its actor.
    pub(super) fn enqueue(self: &Arc<Self>, actor: u64, job: Job, given: Vec<Given>) {
        let calls = self.actors.lock().get(&actor).map(|actor| actor.calls.clone());
        let Some(calls) = calls else {
            let death = self.death(actor).unwrap_or_else(|| fail::error(ErrorKind::ActorDied, "the actor is dead"));
            return self.end(job, Err(death));
        };
        self.tasks.lock().insert(job.task, Task { parent: job.parent, child: None });
        if let Err(mpsc::SendError((job, _))) = calls.send((job, given)) {
            self.end(job, Err(fail::error(ErrorKind::ActorDied, "the actor is dead")));
        }
    }

    pub(super) fn kill(&self, actor: u64, why: &str) {
        self.record_death(actor, || fail::error(ErrorKind::ActorDied, why));
        let child = self.actors.lock().get(&actor).map(|actor| Arc::clone(&actor.child));
        if let Some(child) = child {
            child.kill();
        }
    }

    /// Cancels a task that has not ended, and, if `recursive`, those that it has submitted.
    pub(super) fn cancel(&self, task: u64, recursive: bool, force: bool) {
        let mut todo = vec![task];
        while let Some(task) = todo.pop() {
            let tasks = self.tasks.lock();
            if recursive {
                todo.extend(tasks.iter().filter(|(_, other)| other.parent == Some(task)).map(|(number, _)| *number));
            }
            let Some(known) = tasks.get(&task) else { continue };
            match &known.child {
                Some(child) if force => child.kill(),
                Some(child) => child.link.send(&Message::Cancel { task }),
                None => _ = self.cancelled.lock().insert(task),
            }
            drop(tasks);
            for actor in self.actors.lock().values() {
                actor.child.link.send(&Message::Cancel { task });
            }
        }
    }

    pub(super) fn acquire(&self, actor: u64) -> bool {
        match self.actors.lock().get_mut(&actor) {
            Some(actor) if actor.death.is_none() => {
                actor.handles += 1;
                true
            }
            _ => false,
        }
    }

    /// With its last handle an actor ends when it has run the calls that it was sent.
    pub(super) fn release(self: &Arc<Self>, actor: u64) {
        let ended = {
            let mut actors = self.actors.lock();
            let Some(known) = actors.get_mut(&actor) else { return };
            known.handles = known.handles.saturating_sub(1);
            if known.handles > 0 { None } else { actors.remove(&actor) }
        };
        let Some(ended) = ended else { return };
        if let Some(name) = ended.name {
            self.names.lock().remove(&name);
        }
        // The child answers this after the calls before it, and is not needed after that.
        let (child, link) = (Arc::clone(&ended.child), Arc::clone(&ended.child.link));
        drop(ended.calls);
        std::thread::spawn(move || {
            let last = Reply::new(move |_| child.kill());
            link.request(last, |request| Message::Run {
                request,
                task: 0,
                path: String::new(),
                name: String::new(),
                args: Vec::new(),
            });
        });
    }

    /// A request of a child.
    fn serve(self: &Arc<Self>, child: &Arc<Child>, message: Message) {
        let link = &child.link;
        match message {
            Message::Submit { request, actor, call } => {
                let (job, given) = job_of(child, call, link.answer(request));
                match actor {
                    Some(actor) => self.enqueue(actor, job, given),
                    None => self.submit(job, given),
                }
            }
            Message::NewActor { request, class, creation, call } => {
                let (job, given) = job_of(child, call, Reply::new(|_| ()));
                link.answer(request).send(self.create(class, &creation, job, given).and_then(|created| Encoded::of(&created)));
            }
            Message::Acquire { actor } => _ = self.acquire(actor),
            Message::Release { actor } => self.release(actor),
            Message::Kill { actor, .. } => self.kill(actor, "the actor was killed by `ray::kill`"),
            Message::Exit => {
                if let Some(actor) = child.actor {
                    let what = "the actor has ended itself by `ray::exit_actor`: create a new one";
                    self.record_death(actor, || fail::error(ErrorKind::ActorDied, what));
                }
            }
            Message::CancelTask { task, recursive, force } => self.cancel(task, recursive, force),
            Message::Find { request, namespace, name } => {
                link.answer(request).send(self.find(&namespace, &name).and_then(|found| Encoded::of(&found)));
            }
            Message::Alive { request, actor } => link.answer(request).send(Encoded::of(&self.death(actor).is_none())),
            Message::Names { request } => link.answer(request).send(Encoded::of(&self.all_names())),
            Message::Resources { request, .. } => link.answer(request).send(Encoded::of(&resources_of_all())),
            Message::Support { request, operation } => {
                let reply = link.answer(request);
                // It may wait for another process.
                std::thread::spawn(move || reply.send(Encoded::of(&crate::support::serve(&operation))));
            }
            other => panic!("{other:?} is no message of a child"),
        }
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Result<RemoteActor> {
        let actor = self.names.lock().get(&(namespace.to_owned(), name.to_owned())).copied();
        let found = actor.and_then(|id| Some(RemoteActor { id, class: self.actors.lock().get(&id)?.class.clone() }));
        found.ok_or_else(|| {
            fail::error(ErrorKind::ActorNotFound, format!("no actor is named `{name}` in namespace `{namespace}`"))
        })
    }

    pub(super) fn all_names(&self) -> Vec<(String, String)> {
        let mut names: Vec<_> = self.names.lock().keys().cloned().collect();
        names.sort();
        names
    }
}

/// A call of a child.
fn job_of(child: &Arc<Child>, call: Call, reply: Reply) -> (Job, Vec<Given>) {
    let given = call.args.into_iter().map(|argument| match argument {
        Argument::Value(value) => Given::Own(child.link.encoded(value).into()),
        Argument::Reference(place) => match child.link.carried(place) {
            Carried::Remote(source) => Given::Of(source),
            other => panic!("{other:?} is no object of a child"),
        },
    });
    let given = given.collect();
    let retries = Retries::of(call.max_retries);
    (Job { task: call.task, parent: call.parent, path: call.path, name: call.name, reply, retries: Some(retries) }, given)
}

/// Processes are started as they are needed, so no resource is counted. The figure is that of the shared engine.
pub(super) fn resources_of_all() -> BTreeMap<String, f64> {
    BTreeMap::from([("CPU".to_owned(), 32.0)])
}

/// Counts handles for the children.
struct Counter(Weak<Driver>);

/// The parent counts the handles of all processes, so also those that are on their way.
impl Handles for Counter {
    fn send(&self, actor: u64) {
        if let Some(driver) = self.0.upgrade() {
            driver.acquire(actor);
        }
    }

    fn receive(&self, actor: u64) {
        self.send(actor);
    }

    fn release(&self, actor: u64) {
        if let Some(driver) = self.0.upgrade() {
            driver.release(actor);
        }
    }
}
