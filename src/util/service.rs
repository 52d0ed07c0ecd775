//! What [`Queue`](super::Queue), [`Semaphore`](super::Semaphore) and [`Event`](super::Event) have in common: a state that the
//! members of a program share, and callers that wait for it.
//!
//! An actor owns the state. A request either ends at once or, if it has a *ticket*, may have to wait. The caller of a waiting
//! request calls the actor's `wait(ticket)`, which returns when the ticket is settled, and then collects the outcome. The outcome
//! stays in the state until it is collected, so a caller that gives up loses nothing: it collects the ticket early, or abandons it.
//!
//! Where the actor runs in the caller's process, requests go to the state directly ([`Local`]), without a call, and futures wait
//! there. Only the `wait` of a blocking caller is a call then, so that a waiting body lends its CPU and ends with its cancel, as in
//! every other wait for a call.

mod tickets;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use ray_core::__private::{Actor, check_may_block};
use ray_core::{ActorHandle, ActorId, ActorState, Error, ErrorKind, ObjectRef, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
pub(in crate::util) use tickets::{Line, Removed, Ticket, Tickets, new_ticket};

/// How often a thread tries again before it waits, each time after a change or so many looks for one.
const TRIES: u32 = 6;
const LOOKS: u32 = 100;

/// How long a caller with a shorter time-out waits for the reply of the actor.
const REPLY: Duration = Duration::from_secs(1);

/// The rules of a state. They do not block and know no threads.
pub(in crate::util) trait Rules: Send + 'static {
    type Request: From<OfTicket> + Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    type Reply: Reply;

    /// Whether the request has to wait now.
    fn would_wait(&self, request: &Self::Request) -> bool;

    /// Handles a request.
    fn serve(&mut self, request: Self::Request) -> Self::Reply;

    /// The tickets that callers wait for.
    fn line(&mut self) -> &mut dyn Line;

    /// The request that takes back the item or the permit of this reply, whose caller is gone.
    fn undo(reply: Self::Reply) -> Option<Self::Request>;
}

/// A request about a ticket.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum OfTicket {
    /// Asks for the outcome if the ticket is settled; otherwise the caller gives up, and the ticket is removed.
    Collect(Ticket),
    /// The caller is gone: removes the ticket, and gives what it has received to others.
    Abandon(Ticket),
}

/// The reply to a request.
pub(in crate::util) trait Reply:
    Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static
{
    /// Whether the request has a ticket now, and is to be waited for.
    fn waits(&self) -> bool;
}

/// A state with its lock.
#[derive(Debug)]
pub(in crate::util) struct Shared<R> {
    /// None: the actor has ended.
    rules: Mutex<Option<R>>,
    /// The number of requests. A caller that looks again takes the lock only when it has changed.
    served: AtomicU64,
}

impl<R: Rules> Shared<R> {
    /// Handles a request, unless the actor has ended; then the request comes back.
    pub(in crate::util) fn ask(&self, request: R::Request) -> Result<R::Reply, R::Request> {
        self.serve(self.rules.lock(), request)
    }

    /// As [`ask`](Self::ask). If the request would have to wait, the caller first looks again for about as long as a wait costs.
    fn ask_patiently(&self, request: R::Request) -> Result<R::Reply, R::Request> {
        for _ in 0..TRIES {
            let state = self.rules.lock();
            if !state.as_ref().is_some_and(|rules| rules.would_wait(&request)) {
                return self.serve(state, request);
            }
            let served = self.served.load(Ordering::Relaxed);
            drop(state);
            let changes = (0..LOOKS).any(|_| {
                std::hint::spin_loop();
                self.served.load(Ordering::Relaxed) != served
            });
            if !changes {
                std::thread::yield_now();
            }
        }
        self.ask(request)
    }

    fn serve(&self, mut state: MutexGuard<'_, Option<R>>, request: R::Request) -> Result<R::Reply, R::Request> {
        let Some(rules) = state.as_mut() else { return Err(request) };
        let reply = rules.serve(request);
        let woken = rules.line().woken();
        self.served.fetch_add(1, Ordering::Relaxed);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Ok(reply)
    }

    /// Waits until the ticket is settled or removed, or the actor has ended.
    pub(in crate::util) async fn wait(&self, ticket: Ticket) {
        poll_fn(|context| self.rules.lock().as_mut().map_or(Poll::Ready(()), |rules| rules.line().poll(ticket, context))).await;
    }
}

/// The states whose actors run in this process, by the numbers of the actors.
static LOCAL: LazyLock<Mutex<HashMap<ActorId, Weak<dyn Any + Send + Sync>>>> = LazyLock::new(Mutex::default);

/// The state in its actor.
#[derive(Debug)]
pub(in crate::util) struct Owned<R: Rules> {
    shared: Arc<Shared<R>>,
    actor: Option<ActorId>,
}

impl<R: Rules> Owned<R> {
    /// For the constructor of the actor.
    pub(in crate::util) fn new(rules: R) -> Self {
        let shared = Arc::new(Shared { rules: Mutex::new(Some(rules)), served: AtomicU64::new(0) });
        // In strict mode all requests are calls, so that they are encoded.
        let actor = ray_core::context().actor_id().filter(|_| ray_core::__private::moves_values());
        if let Some(actor) = actor {
            let erased: Arc<dyn Any + Send + Sync> = shared.clone();
            LOCAL.lock().insert(actor, Arc::downgrade(&erased));
        }
        Self { shared, actor }
    }

    pub(in crate::util) fn ask(&self, request: R::Request) -> Result<R::Reply> {
        self.shared.ask(request).map_err(|_| gone())
    }

    pub(in crate::util) async fn wait(&self, ticket: Ticket) {
        self.shared.wait(ticket).await;
    }
}

impl<R: Rules> Drop for Owned<R> {
    fn drop(&mut self) {
        if let Some(actor) = self.actor {
            let mut local = LOCAL.lock();
            // After a restart the entry is that of the next instance.
            let is_own = |entry: &Weak<dyn Any + Send + Sync>| std::ptr::addr_eq(entry.as_ptr(), Arc::as_ptr(&self.shared));
            if local.get(&actor).is_some_and(is_own) {
                local.remove(&actor);
            }
        }
        let ended = self.shared.rules.lock().take();
        if let Some(mut ended) = ended {
            ended.line().close().into_iter().for_each(Waker::wake);
        }
    }
}

fn gone() -> Error {
    Error::of_kind(ErrorKind::ActorDied, "the actor has ended")
}

/// The actor class of a state.
pub(in crate::util) trait Service: Actor {
    type Rules: Rules;
    fn ask(actor: &ActorHandle<Self>, request: RequestOf<Self>) -> ObjectRef<ReplyOf<Self>>;
    fn wait(actor: &ActorHandle<Self>, ticket: Ticket) -> ObjectRef<()>;
}

pub(in crate::util) type RequestOf<S> = <<S as Service>::Rules as Rules>::Request;
pub(in crate::util) type ReplyOf<S> = <<S as Service>::Rules as Rules>::Reply;

/// A handle of the actor, with the way to its state if the state is in this process.
#[derive(Serialize, Deserialize)]
#[serde(bound = "", transparent)]
pub(in crate::util) struct Client<S: Service> {
    pub(in crate::util) actor: ActorHandle<S>,
    #[serde(skip)]
    local: Local<S>,
}

/// The parts that all handles have: `Debug`, equality, the way from the handle of the actor, and from a borrow as an argument; and the
/// way to the actor. `$field` is a further field of the handle, with its value.
macro_rules! handle {
    ($name:literal [$($item:ident)?] $handle:ty, $actor:ty $(, $field:ident: $value:expr)?) => {
        impl crate::util::service::Service for $actor {
            type Rules = Rules;

            fn ask(actor: &ray_core::ActorHandle<Self>, request: Request) -> ray_core::ObjectRef<Reply> {
                actor.ask.remote(request)
            }

            fn wait(actor: &ray_core::ActorHandle<Self>, ticket: crate::util::service::Ticket) -> ray_core::ObjectRef<()> {
                actor.wait.remote(ticket)
            }
        }

        impl$(<$item>)? std::fmt::Debug for $handle {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple($name).field(&self.client.actor.id()).finish()
            }
        }

        /// Two handles are equal if they have the same actor.
        impl$(<$item>)? PartialEq for $handle {
            fn eq(&self, other: &Self) -> bool {
                self.client.actor == other.client.actor
            }
        }

        impl$(<$item>)? Eq for $handle {}

        impl$(<$item>)? From<ray_core::ActorHandle<$actor>> for $handle {
            fn from(actor: ray_core::ActorHandle<$actor>) -> Self {
                Self { client: crate::util::service::Client::new(actor) $(, $field: $value)? }
            }
        }

        impl$(<$item>)? ray_core::__private::IntoArg<$handle> for &$handle {
            fn into_arg(self) -> ray_core::__private::Arg<$handle> {
                self.clone().into_arg()
            }
        }
    };
}
pub(in crate::util) use handle;

/// The state, once it was found in this process.
type Local<S> = OnceLock<Arc<Shared<<S as Service>::Rules>>>;

impl<S: Service> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), local: self.local.clone() }
    }
}

impl<S: Service> Client<S> {
    pub(in crate::util) fn new(actor: ActorHandle<S>) -> Self {
        Self { actor, local: OnceLock::new() }
    }

    /// The state, if the actor is alive and runs in this process.
    fn local(&self) -> Option<&Shared<S::Rules>> {
        let shared = match self.local.get() {
            Some(found) => found,
            None => {
                let found = LOCAL.lock().get(&self.actor.id())?.upgrade()?;
                let found = found.downcast::<Shared<S::Rules>>().ok()?;
                self.local.get_or_init(|| found)
            }
        };
        // A killed actor is dead at once, but its state is dropped only when its last body has ended.
        (self.actor.state() == ActorState::Alive).then_some(&**shared)
    }

    /// Handles a request by the state in this process; otherwise the request comes back.
    fn ask_local(&self, request: RequestOf<S>, patient: bool) -> Result<ReplyOf<S>, RequestOf<S>> {
        match self.local() {
            Some(shared) if patient => shared.ask_patiently(request),
            Some(shared) => shared.ask(request),
            None => Err(request),
        }
    }

    /// A request that does not wait.
    #[track_caller]
    pub(in crate::util) fn now(&self, request: RequestOf<S>) -> Result<ReplyOf<S>> {
        match self.ask_local(request, false) {
            Ok(reply) => Ok(reply),
            Err(request) => {
                check_may_block()?;
                Asked::new(self, request, 0).get(None)
            }
        }
    }

    /// As [`now`](Self::now), in async code.
    pub(in crate::util) async fn now_async(&self, request: RequestOf<S>) -> Result<ReplyOf<S>> {
        match self.ask_local(request, false) {
            Ok(reply) => Ok(reply),
            Err(request) => Asked::new(self, request, 0).get_async().await,
        }
    }

    /// A request that may wait. After the time-out the reply is that of a request that must not wait.
    #[track_caller]
    pub(in crate::util) fn wait(
        &self,
        request: impl FnOnce(Ticket) -> RequestOf<S>,
        timeout: Option<Duration>,
    ) -> Result<ReplyOf<S>> {
        // A time-out beyond the range of the clock is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let ticket = new_ticket();
        let reply = match self.ask_local(request(ticket), timeout.is_none_or(|timeout| !timeout.is_zero())) {
            Ok(reply) => reply,
            Err(request) => {
                // Nothing is sent where its answer cannot be waited for.
                check_may_block()?;
                // The time-out is that of the wait. The actor of another process has more time for its reply.
                let latest = deadline.and_then(|deadline| Some(deadline.max(Instant::now().checked_add(REPLY)?)));
                Asked::new(self, request, ticket).get(latest)?
            }
        };
        if !reply.waits() {
            return Ok(reply);
        }
        let waiting = Waiting { client: self, ticket, is_over: false };
        if timeout.is_none_or(|timeout| !timeout.is_zero()) {
            let call = S::wait(&self.actor, ticket);
            match get_until(&call, deadline) {
                Err(error) if !error.is_timeout() => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.now(waiting.collect())
    }

    /// As [`wait`](Self::wait), in async code. It may be dropped at any time.
    pub(in crate::util) async fn wait_async(&self, request: impl FnOnce(Ticket) -> RequestOf<S>) -> Result<ReplyOf<S>> {
        let ticket = new_ticket();
        let reply = match self.ask_local(request(ticket), false) {
            Ok(reply) => reply,
            Err(request) => Asked::new(self, request, ticket).get_async().await?,
        };
        if !reply.waits() {
            return Ok(reply);
        }
        let waiting = Waiting { client: self, ticket, is_over: false };
        match self.local() {
            Some(shared) => shared.wait(ticket).await,
            None => S::wait(&self.actor, ticket).await?,
        }
        self.now_async(waiting.collect()).await
    }

    /// Sends a request without waiting for its reply.
    pub(in crate::util) fn send(&self, request: RequestOf<S>) {
        if let Err(request) = self.ask_local(request, false) {
            let call = S::ask(&self.actor, request);
            let reply = call.clone();
            // Reads the reply, since an unread failure would be logged.
            call.on_ready(move || drop(reply.try_get()));
        }
    }
}

#[track_caller]
fn get_until<T: Clone>(object: &ObjectRef<T>, deadline: Option<Instant>) -> Result<T> {
    match deadline {
        None => ray_core::get(object),
        Some(deadline) => ray_core::get_timeout(object, deadline.saturating_duration_since(Instant::now())),
    }
}

/// A request to an actor in another process. If its caller does not get the reply, the request is undone.
struct Asked<'a, S: Service> {
    client: &'a Client<S>,
    call: ObjectRef<ReplyOf<S>>,
    ticket: Ticket,
    has_reply: bool,
}

impl<'a, S: Service> Asked<'a, S> {
    fn new(client: &'a Client<S>, request: RequestOf<S>, ticket: Ticket) -> Self {
        Self { client, call: S::ask(&client.actor, request), ticket, has_reply: false }
    }

    #[track_caller]
    fn get(mut self, deadline: Option<Instant>) -> Result<ReplyOf<S>> {
        let reply = get_until(&self.call, deadline);
        self.has_reply = reply.is_ok();
        reply
    }

    async fn get_async(mut self) -> Result<ReplyOf<S>> {
        let reply = (&self.call).await;
        self.has_reply = reply.is_ok();
        reply
    }
}

impl<S: Service> Drop for Asked<'_, S> {
    fn drop(&mut self) {
        if self.has_reply {
            return;
        }
        let (client, call, ticket) = (self.client.clone(), self.call.clone(), self.ticket);
        self.call.on_ready(move || {
            let Ok(Some(reply)) = call.try_get() else { return };
            let undo = if reply.waits() { Some(OfTicket::Abandon(ticket).into()) } else { S::Rules::undo(reply) };
            undo.into_iter().for_each(|undo| client.send(undo));
        });
    }
}

/// A ticket that is waited for. If its caller gives up, the ticket is abandoned.
struct Waiting<'a, S: Service> {
    client: &'a Client<S>,
    ticket: Ticket,
    is_over: bool,
}

impl<S: Service> Waiting<'_, S> {
    /// The request for the outcome, which the caller now makes in any case.
    fn collect(mut self) -> RequestOf<S> {
        self.is_over = true;
        OfTicket::Collect(self.ticket).into()
    }
}

impl<S: Service> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        if !self.is_over {
            self.client.send(OfTicket::Abandon(self.ticket).into());
        }
    }
}
