//! Objects and handles of a [`Link`] as ray-core has them.

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;
use ray_core::__private::executor::{CarriedActor, RemoteObject, Reply};
use ray_core::Error;

use crate::frame::Kind;
use crate::link::Link;
use crate::outcome::Origin;

/// An object that the other side has.
pub(crate) struct Object {
    link: Arc<Link>,
    pub(crate) number: u64,
    origin: Origin,
    state: Mutex<ObjectState>,
}

/// A request of this process for an object.
#[derive(Debug)]
pub(crate) enum Wish {
    /// The value of an object.
    Value(Reply),
    /// An answer when the object is ready; it has no value.
    Readiness(Reply),
}

impl Wish {
    fn fail(self, error: Error) {
        let (Wish::Value(reply) | Wish::Readiness(reply)) = self;
        reply.send(Err(error));
    }
}

/// Whether the other side knows the object.
#[derive(Debug)]
enum ObjectState {
    /// The call is not sent yet; the other side is asked for this then.
    Unsent(Vec<Wish>),
    Sent,
    /// The call was not sent, because of this error.
    Failed(Error),
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({:x})", self.number)
    }
}

impl Object {
    fn new(link: &Arc<Link>, number: u64, origin: Origin, state: ObjectState) -> Arc<Self> {
        Arc::new(Self { link: Arc::clone(link), number, origin, state: Mutex::new(state) })
    }

    /// An object that the other side has, or will have when it reads the frames that were sent.
    pub(crate) fn known(link: &Arc<Link>, number: u64, origin: Origin) -> Arc<Self> {
        Self::new(link, number, origin, ObjectState::Sent)
    }

    /// The result of a call that is not sent yet.
    pub(crate) fn unsent(link: &Arc<Link>, number: u64, origin: Origin) -> Arc<Self> {
        Self::new(link, number, origin, ObjectState::Unsent(Vec::new()))
    }

    /// Whether the other side of this connection knows the object.
    pub(crate) fn is_known_to(&self, link: &Arc<Link>) -> bool {
        Arc::ptr_eq(&self.link, link) && matches!(*self.state.lock(), ObjectState::Sent)
    }

    fn leave_unsent(&self, state: ObjectState) -> Vec<Wish> {
        match std::mem::replace(&mut *self.state.lock(), state) {
            ObjectState::Unsent(wishes) => wishes,
            ObjectState::Sent | ObjectState::Failed(_) => Vec::new(),
        }
    }

    fn ask(&self, wish: Wish) {
        let mut state = self.state.lock();
        match &mut *state {
            ObjectState::Unsent(wishes) => wishes.push(wish),
            ObjectState::Sent => {
                drop(state);
                self.link.ask_for(self.number, wish, self.origin.clone());
            }
            ObjectState::Failed(error) => {
                let error = error.clone();
                drop(state);
                wish.fail(error);
            }
        }
    }

    /// The call was sent.
    pub(crate) fn sent(&self) {
        for wish in self.leave_unsent(ObjectState::Sent) {
            self.link.ask_for(self.number, wish, self.origin.clone());
        }
    }

    /// The call cannot be sent.
    pub(crate) fn fail(&self, error: Error) {
        for wish in self.leave_unsent(ObjectState::Failed(error.clone())) {
            wish.fail(error.clone());
        }
    }
}

impl RemoteObject for Object {
    fn id(&self) -> u64 {
        self.number
    }

    fn ask_for(&self, reply: Reply) {
        self.ask(Wish::Value(reply));
    }

    fn ask_readiness(&self, reply: Reply) -> Option<Reply> {
        self.ask(Wish::Readiness(reply));
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if matches!(self.state.get_mut(), ObjectState::Sent) {
            self.link.send_short(Kind::Drop, self.number, None);
        }
    }
}

/// A handle in a value that was received. It counts as one.
pub(crate) struct Handle {
    link: Arc<Link>,
    number: u64,
    class: String,
}

impl Handle {
    pub(crate) fn new(link: &Arc<Link>, number: u64, class: String) -> Self {
        Self { link: Arc::clone(link), number, class }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({:x}, {})", self.number, self.class)
    }
}

impl CarriedActor for Handle {
    fn id(&self) -> u64 {
        self.number
    }

    fn class(&self) -> &str {
        &self.class
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.release_actor(self.number);
    }
}
