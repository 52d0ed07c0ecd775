//! A handle of an actor that has forgotten the class.

use std::any::TypeId;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::class::Actor;
use crate::actor::handle::ActorHandle;
use crate::actor::head::ActorHead;
use crate::actor::{remote, schedule};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::ActorId;
use crate::object::carried::CarriedActor;
use std::sync::Arc;

/// A handle of an actor of any class. It counts as a handle: while it lives, the actor does not end by itself.
#[doc(hidden)]
pub struct AnyActor(NonNull<ActorHead>);

// SAFETY: it gives no access to the instance, and the head is Sync.
unsafe impl Send for AnyActor {}
// SAFETY: a shared `AnyActor` gives no access to the instance, and the head is Sync.
unsafe impl Sync for AnyActor {}

// By number, and not by address: each handle of an actor of another process may have its own proxy here.
impl PartialEq for AnyActor {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.id() == other.id()
    }
}

impl Eq for AnyActor {}

impl Hash for AnyActor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl AnyActor {
    /// Takes over a handle that is counted already.
    ///
    /// # Safety
    /// The caller owns it.
    pub(super) unsafe fn adopt(head: NonNull<ActorHead>) -> Self {
        Self(head)
    }

    #[inline]
    pub(super) fn address(&self) -> NonNull<ActorHead> {
        self.0
    }

    #[inline]
    pub(super) fn head(&self) -> &ActorHead {
        // SAFETY: alive by the handles' common hold.
        unsafe { self.0.as_ref() }
    }

    /// The handle with its class again.
    ///
    /// # Errors
    /// `Serialization`: the actor's class is another.
    pub fn typed<A: Actor>(&self) -> Result<ActorHandle<A>> {
        if self.head().vtable.type_id != TypeId::of::<A>() {
            return Err(Error::new(
                ErrorKind::Serialization,
                format!(
                    "the handle is of an actor of class `{}`, and one of class `{}` is expected: send a handle of the expected class",
                    self.class(),
                    A::SPEC.path()
                ),
            ));
        }
        // SAFETY: the clone is counted, and the class is `A`.
        Ok(unsafe { ActorHandle::adopt(std::mem::ManuallyDrop::new(self.clone()).0) })
    }

    /// The actor's number.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.head().id()
    }

    /// Module path and name of the class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.head().vtable.spec.path()
    }
}

impl CarriedActor for AnyActor {
    fn id(&self) -> u64 {
        self.head().caller()
    }

    fn class(&self) -> &str {
        self.head().vtable.spec.path()
    }
}

impl Clone for AnyActor {
    #[inline]
    fn clone(&self) -> Self {
        if self.head().handles.fetch_add(1, Ordering::Relaxed) > u32::MAX / 2 {
            crate::base::log::abort("an actor has too many handles: are clones of an `ActorHandle` leaked?");
        }
        Self(self.0)
    }
}

impl Drop for AnyActor {
    #[inline]
    fn drop(&mut self) {
        if self.head().handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the last handle is gone, and with it the common hold of the handles is the callee's.
            unsafe { drop_last(self.0) }
        }
    }
}

/// Tells the actor, or the executor that has it, that it has no handle any more.
///
/// # Safety
/// The caller has dropped the last handle, and gives the common hold of the handles away.
#[inline(never)]
unsafe fn drop_last(head: NonNull<ActorHead>) {
    // SAFETY: the caller's hold keeps the actor alive; the callee takes it over.
    unsafe {
        match remote::executor_of(head.as_ref()) {
            Some(executor) => remote::release(head, &Arc::clone(executor)),
            None => schedule::orphan(head),
        }
    }
}

impl fmt::Debug for AnyActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyActor({}, {})", self.head().vtable.spec.name(), self.id())
    }
}
