//! References to objects.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::object::alarm::Target;

use crate::base::error::{Error, Result};
use crate::base::id::{ObjectId, TaskId};
use crate::object::entry;
use crate::object::entry::{Header, Kind};
use crate::object::state::Phase;

use crate::object::any::AnyRef;

/// A reference to an object: the future result of a task or an actor's call, or a value that was [`put`](crate::put).
///
/// References are cheap to clone, may go to any thread, into arguments, values and actors, and are futures: in async
/// code `reference.await` gives a `Result<T>`. The object is freed when the last reference goes.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/objects.html).
///
/// ```
/// # extern crate ray_core as ray;
/// let object = ray::put(vec![1, 2, 3]);
/// let same = object.clone();
/// assert_eq!(object, same);
/// assert_eq!(ray::get(&object)?, [1, 2, 3]);
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use = "a dropped reference loses the result; call `.tell(..)` where none is wanted"]
pub struct ObjectRef<T> {
    pub(crate) target: Target,
    object: PhantomData<Arc<T>>,
}

// SAFETY: a reference gives `&T` to every thread that has one, and the last one gives or drops the `T`.
unsafe impl<T: Send + Sync> Send for ObjectRef<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for ObjectRef<T> {}
impl<T> Unpin for ObjectRef<T> {}
impl<T> std::panic::UnwindSafe for ObjectRef<T> {}
impl<T> std::panic::RefUnwindSafe for ObjectRef<T> {}

impl<T> ObjectRef<T> {
    /// Takes over a ref that is counted already.
    ///
    /// # Safety
    /// The caller owns that ref, and the entry's value is a `T` (or an adopted `Arc<T>`).
    #[inline]
    pub(crate) unsafe fn adopt(entry: NonNull<Header>) -> Self {
        Self { target: Target::new(entry), object: PhantomData }
    }

    #[inline]
    pub(crate) fn entry(&self) -> NonNull<Header> {
        self.target.entry()
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: alive by our ref.
        unsafe { self.entry().as_ref() }
    }

    /// Gives the ref to the caller.
    #[inline]
    pub(crate) fn into_entry(self) -> NonNull<Header> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not touched again.
        unsafe { std::ptr::read(&raw const this.target) }.into_entry()
    }

    /// The value of a ready entry.
    #[inline]
    pub(crate) fn ready_value(&self) -> &T {
        let header = self.header();
        assert!(header.phase() == Phase::Ready, "the object is read before it is ready");
        // SAFETY: ready, so written, and not taken while we have a ref.
        unsafe {
            let place = self.entry().as_ptr().cast::<u8>().add(header.vtable.value);
            if header.vtable.adopted { Arc::as_ref(&*place.cast::<Arc<T>>()) } else { &*place.cast::<T>() }
        }
    }

    /// The error of a failed entry, marked as seen.
    pub(crate) fn seen_error(&self) -> Error {
        self.header().state.set_seen();
        self.header().error()
    }

    /// Moves the value out of a ready entry if this is the only reference.
    #[inline]
    pub(crate) fn take_sole(self) -> Result<T, Self> {
        let entry = self.into_entry();
        // SAFETY: alive by the ref that was ours, and is again at every end below.
        let header = unsafe { entry.as_ref() };
        let table = header.vtable;
        if table.adopted {
            // SAFETY: our ref.
            return unsafe { Self::adopt(entry) }.take_adopted();
        }
        let now = header.state.load();
        if now.is_exclusive() && now.phase() == Phase::Ready {
            // SAFETY: nobody else can reach the entry: value and memory are ours.
            unsafe {
                let value = entry.as_ptr().cast::<u8>().add(table.value).cast::<T>().read();
                (table.free)(entry);
                return Ok(value);
            }
        }
        if header.state.take() {
            // SAFETY: the exchange made the value ours, and the ref is.
            unsafe {
                let value = entry.as_ptr().cast::<u8>().add(table.value).cast::<T>().read();
                entry::drop_ref(entry);
                return Ok(value);
            }
        }
        // SAFETY: our ref.
        Err(unsafe { Self::adopt(entry) })
    }

    /// As [`take_sole`](Self::take_sole), leaving a reference whose value is taken: making another one costs an allocation.
    #[inline]
    pub(crate) fn take_in_place(&mut self) -> Option<T> {
        let header = self.header();
        // SAFETY: the exchange made the value ours.
        (!header.vtable.adopted && header.state.take())
            .then(|| unsafe { self.entry().as_ptr().cast::<u8>().add(header.vtable.value).cast::<T>().read() })
    }

    #[cold]
    fn take_adopted(self) -> Result<T, Self> {
        if !self.header().state.take() {
            return Err(self);
        }
        // SAFETY: the exchange made the value ours.
        let adopted = unsafe { self.entry().as_ptr().cast::<u8>().add(self.header().vtable.value).cast::<Arc<T>>().read() };
        match Arc::try_unwrap(adopted) {
            Ok(value) => Ok(value),
            // The user has kept the Arc: a reference to the same object, as before.
            Err(shared) => Err(self.adopt_again(shared)),
        }
    }

    /// Whether the task has ended, well or not, or its engine has. Never blocks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.header().is_ready()
    }

    /// The value, of an object that must be ready.
    ///
    /// # Errors
    /// The error of an object that has failed; `InvalidArgument`: it is not ready.
    pub(crate) fn ready_or_error(&self) -> crate::Result<&T> {
        match self.header().phase() {
            Phase::Ready => Ok(self.ready_value()),
            Phase::Failed => Err(self.seen_error()),
            _ => Err(crate::Error::new(
                crate::ErrorKind::InvalidArgument,
                format!("{self:?} is not ready: wait for the object before its value is encoded or decoded"),
            )),
        }
    }

    /// The object's number.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        ObjectId::from_raw(self.header().id())
    }

    /// The number of the task that makes the object; none for what was `put`.
    #[must_use]
    pub fn task_id(&self) -> Option<TaskId> {
        match self.header().vtable.kind {
            Kind::Put => None,
            Kind::Task => Some(TaskId::from_raw(self.header().id())),
            Kind::Remote => crate::object::remote::task_of(self.header()),
            Kind::Part => crate::object::part::producer(self.header()).map(|whole| TaskId::from_raw(whole.id())),
        }
    }

    /// The same reference without its type, so that [`wait`](crate::api::wait) and [`as_completed`](crate::as_completed)
    /// take references to objects of different types.
    pub fn any(&self) -> AnyRef {
        // SAFETY: alive by our ref.
        unsafe { AnyRef::share(self.entry()) }
    }
}

impl<T: Clone> ObjectRef<T> {
    /// The value of a ready entry: moved out where this is the last reference, else cloned.
    #[inline]
    pub(crate) fn take_ready(self) -> T {
        match self.take_sole() {
            Ok(value) => value,
            Err(shared) => shared.ready_value().clone(),
        }
    }
}

impl<T> Clone for ObjectRef<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.header().state.add_ref();
        // A clone is a future of its own.
        Self { target: Target::new(self.entry()), object: PhantomData }
    }
}

impl<T> Drop for ObjectRef<T> {
    #[inline]
    fn drop(&mut self) {
        self.target.disarm();
        // SAFETY: it is ours.
        unsafe { entry::drop_ref(self.entry()) }
    }
}

/// By identity: references are equal if they refer to the same object.
impl<T> PartialEq for ObjectRef<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entry() == other.entry()
    }
}

impl<T> Eq for ObjectRef<T> {}

impl<T> Hash for ObjectRef<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entry().hash(state);
    }
}

impl<T> fmt::Debug for ObjectRef<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectRef({})", self.id())
    }
}
