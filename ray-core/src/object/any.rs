//! A reference without a type parameter.

use crate::object::remote::RemoteObject;
use std::any::type_name;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::ObjectId;
use crate::object::entry::Header;
use crate::object::object_ref::ObjectRef;
use crate::object::release;

/// A reference to an object of any type, made by [`ObjectRef::any`](crate::ObjectRef::any). It keeps the object alive as any
/// reference does. [`wait`](crate::wait) and [`as_completed`](crate::as_completed) take it; the program finds the typed reference
/// by its [`id`](AnyRef::id).
///
/// ```
/// # extern crate ray_core as ray;
/// let (number, text) = (ray::put(7), ray::put("seven".to_owned()));
/// let (ready, rest) = ray::wait(vec![number.any(), text.any()], 2)?;
/// assert_eq!((ready.len(), rest.len()), (2, 0));
/// assert_eq!(ready[0].id(), number.id());
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use]
pub struct AnyRef(NonNull<Header>);

// SAFETY: it gives no access to the value, and values are `Send`, so any thread may drop the last reference.
unsafe impl Send for AnyRef {}
// SAFETY: `&AnyRef` gives no access to the value; its methods read and write atomics of the header only.
unsafe impl Sync for AnyRef {}

impl AnyRef {
    /// Adds a ref to the entry.
    ///
    /// # Safety
    /// The caller has a ref to the entry.
    pub(crate) unsafe fn share(entry: NonNull<Header>) -> Self {
        // SAFETY: the caller's ref keeps the entry alive.
        unsafe { entry.as_ref() }.state.add_ref();
        Self(entry)
    }

    pub(crate) fn entry(&self) -> NonNull<Header> {
        self.0
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: our ref keeps the entry alive.
        unsafe { self.0.as_ref() }
    }

    /// The reference with its type again.
    ///
    /// # Errors
    /// `Serialization`: the object's type is another.
    pub(crate) fn typed<T: 'static>(&self) -> Result<ObjectRef<T>> {
        let holds = &self.header().vtable.holds;
        if !holds.fits::<T>() {
            return Err(Error::new(
                ErrorKind::Serialization,
                format!(
                    "the reference is to an object of type `{}`, and a reference to a `{}` is expected: send a reference to the expected type",
                    holds.name(),
                    type_name::<T>()
                ),
            ));
        }
        // SAFETY: alive by our ref; the adopted ref is counted here, and the object is a `T` or will never have a value.
        unsafe {
            self.header().state.add_ref();
            Ok(ObjectRef::adopt(self.0))
        }
    }

    /// What a transport has put in the place of a reference that it has decoded.
    #[doc(hidden)]
    #[must_use]
    pub fn remote(&self) -> Option<Arc<dyn RemoteObject>> {
        crate::object::remote::source(self.header()).cloned()
    }

    /// The id of the object.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        ObjectId::from_raw(self.header().id())
    }

    /// Whether the object is settled in this process, or its engine was shut down. Asks for the value, if another process has it.
    #[doc(hidden)]
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.header().want();
        self.header().phase().is_settled() || crate::base::epoch::check_object(self.header().epoch).is_err()
    }

    /// Whether the object is ready or failed, or its engine was shut down: a `get` would not wait. Never blocks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.header().is_ready()
    }
}

impl Clone for AnyRef {
    fn clone(&self) -> Self {
        // SAFETY: this reference has a ref to the entry.
        unsafe { Self::share(self.0) }
    }
}

impl Drop for AnyRef {
    fn drop(&mut self) {
        // SAFETY: this reference owns a ref, and is not used after its drop.
        unsafe { release::drop_ref(self.0) }
    }
}

impl PartialEq for AnyRef {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for AnyRef {}

impl Hash for AnyRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for AnyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyRef({})", self.id())
    }
}
