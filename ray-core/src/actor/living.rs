//! The list of the actors of an engine that have run once and have not ended. A shutdown ends them. Without the list it
//! would not find the idle ones, since only their handles refer to them.
//!
//! An actor enters the list when a runner leaves it for the first time, so an actor that ends earlier does not pay for the
//! list. The list has a hold on each of its members. It is divided by the actors' addresses into parts, each with a lock of
//! its own.

use std::ptr::{NonNull, null_mut};

use parking_lot::Mutex;

use crate::actor::head::{ActorHead, ActorHold};

const PARTS: usize = 8;

/// The list; see the [module](self).
pub(crate) struct Living {
    parts: [Mutex<Part>; PARTS],
}

struct Part {
    first: *mut ActorHead,
    /// The engine shuts down, and no actor may enter.
    closed: bool,
}

// SAFETY: the list has a hold on each member, and an `ActorHead` is Sync; the part's lock guards the links.
unsafe impl Send for Part {}

impl Living {
    pub(crate) fn new() -> Self {
        Self { parts: [const { Mutex::new(Part { first: null_mut(), closed: false }) }; PARTS] }
    }

    fn part(&self, actor: NonNull<ActorHead>) -> &Mutex<Part> {
        &self.parts[(actor.as_ptr().addr() >> 8) % PARTS]
    }

    /// Puts an actor in the list, in which it is not yet; `false`: the engine shuts down, and the caller ends the actor.
    #[must_use]
    pub(crate) fn enter(&self, actor: &ActorHold) -> bool {
        let head = actor.head().as_ptr();
        let mut part = self.part(actor.head()).lock();
        if part.closed {
            return false;
        }
        // The hold of the list.
        let _ = std::mem::ManuallyDrop::new(actor.clone());
        actor.links.before.set(head);
        actor.links.after.set(part.first);
        // SAFETY: null, or a member, which the list's hold keeps.
        if let Some(first) = unsafe { part.first.as_ref() } {
            first.links.before.set(head);
        }
        part.first = head;
        true
    }

    /// Takes an actor out of the list, if it is a member.
    pub(crate) fn leave(&self, actor: &ActorHold) {
        let mut part = self.part(actor.head()).lock();
        let hold = part.unlink(actor.head());
        drop(part);
        drop(hold);
    }

    /// Closes the list, and takes all members out.
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
    /// Takes an actor out of this part, and returns the list's hold on it; `None`: the actor was no member.
    fn unlink(&mut self, actor: NonNull<ActorHead>) -> Option<ActorHold> {
        // SAFETY: the caller or the list has a hold on the actor, and the list has holds on its neighbours. The part's
        // lock, which the caller has through `&mut self`, guards the links. The hold that is adopted is the one that
        // `enter` counted.
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
