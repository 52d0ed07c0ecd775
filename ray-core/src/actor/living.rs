//! The actors of an engine that have run once and have not ended, so that a shutdown can end those that are idle: nothing
//! else refers to them but their handles.
//!
//! An actor enters when a runner leaves it for the first time, so one that ends before that costs nothing. The list
//! has a hold on each of its members. It is cut into parts by the actors' addresses, each under a lock of its own.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};

use parking_lot::Mutex;

use crate::actor::cell::{ActorHead, ActorHold};

const PARTS: usize = 8;

/// A member's neighbours; touched under the lock of its part of the list.
pub(crate) struct Links {
    /// Null outside of the list; the first member's is itself.
    before: Cell<*mut ActorHead>,
    after: Cell<*mut ActorHead>,
}

impl Links {
    pub(crate) fn new() -> Self {
        Self { before: Cell::new(null_mut()), after: Cell::new(null_mut()) }
    }
}

/// The list.
pub(crate) struct Living {
    parts: [Mutex<Part>; PARTS],
}

struct Part {
    first: *mut ActorHead,
    /// The engine shuts down: nobody enters any more.
    closed: bool,
}

// SAFETY: the members are held, and an ActorHead is Sync but for its links, which the part's lock guards.
unsafe impl Send for Part {}

impl Living {
    pub(crate) fn new() -> Self {
        Self { parts: [const { Mutex::new(Part { first: null_mut(), closed: false }) }; PARTS] }
    }

    fn part(&self, actor: NonNull<ActorHead>) -> &Mutex<Part> {
        &self.parts[(actor.as_ptr().addr() >> 8) % PARTS]
    }

    /// Enters an actor that is not in the list; `false`: the engine shuts down, and the caller ends the actor.
    #[must_use]
    pub(crate) fn enter(&self, actor: &ActorHold) -> bool {
        let head = actor.head().as_ptr();
        let mut part = self.part(actor.head()).lock();
        if part.closed {
            return false;
        }
        // The list's.
        let _ = std::mem::ManuallyDrop::new(actor.clone());
        actor.links.before.set(head);
        actor.links.after.set(part.first);
        // SAFETY: null or a member, which is held.
        if let Some(first) = unsafe { part.first.as_ref() } {
            first.links.before.set(head);
        }
        part.first = head;
        true
    }

    /// Takes an actor out, if it is in the list.
    pub(crate) fn leave(&self, actor: &ActorHold) {
        let mut part = self.part(actor.head()).lock();
        let hold = part.unlink(actor.head());
        drop(part);
        drop(hold);
    }

    /// Closes the list, and takes all out.
    pub(crate) fn close(&self) -> Vec<ActorHold> {
        let mut all = Vec::new();
        for part in &self.parts {
            let mut part = part.lock();
            part.closed = true;
            while let Some(first) = NonNull::new(part.first) {
                all.extend(part.unlink(first));
            }
        }
        all
    }
}

impl Part {
    /// The list's hold on the actor, if it was a member.
    fn unlink(&mut self, actor: NonNull<ActorHead>) -> Option<ActorHold> {
        // SAFETY: held by the caller or by the list; so are its neighbours, by the list.
        unsafe {
            let links = &actor.as_ref().links;
            let (before, after) = (links.before.replace(null_mut()), links.after.replace(null_mut()));
            if before.is_null() {
                return None;
            }
            let first = before == actor.as_ptr();
            if first {
                self.first = after;
            } else {
                (*before).links.after.set(after);
            }
            if let Some(next) = after.as_ref() {
                next.links.before.set(if first { after } else { before });
            }
            Some(ActorHold::adopt(actor))
        }
    }
}
