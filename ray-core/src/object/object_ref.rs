//! References to objects.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::id::{ObjectId, TaskId};
use crate::object::any::AnyRef;
use crate::object::entry::{Header, Hold};
use crate::object::future_waiter::Target;
use crate::object::kind::Kind;
use crate::object::release;
use crate::object::state::Phase;

/// A reference to an object: the future result of a task or of an actor's call, or a value that was stored with
/// [`put`](crate::put).
///
/// References are cheap to clone, and can be sent to any thread, in arguments, values and actors. They are futures: in async
/// code `reference.await` returns a `Result<T>`. The object is freed when its last reference is dropped.
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
#[must_use = "a dropped reference loses the result; call `.tell(..)` if the result is not needed"]
pub struct ObjectRef<T> {
    pub(crate) target: Target,
    object: PhantomData<Arc<T>>,
}

// SAFETY: as for `Arc<T>`: every thread with a reference can get a `&T`, and the last one can move the `T` out or drop it.
unsafe impl<T: Send + Sync> Send for ObjectRef<T> {}
// SAFETY: as for `Arc<T>`: `&ObjectRef<T>` gives a `&T`, and a clone that another thread may drop last.
unsafe impl<T: Send + Sync> Sync for ObjectRef<T> {}
impl<T> Unpin for ObjectRef<T> {}
impl<T> std::panic::UnwindSafe for ObjectRef<T> {}
impl<T> std::panic::RefUnwindSafe for ObjectRef<T> {}

impl<T> ObjectRef<T> {
    /// Takes over a ref that the state counts already.
    ///
    /// # Safety
    /// The caller owns that ref and does not use it afterwards, and the entry's value is a `T` (or an adopted `Arc<T>`).
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
        // SAFETY: our ref keeps the entry alive.
        unsafe { self.entry().as_ref() }
    }

    /// A hold on the entry.
    pub(crate) fn hold(&self) -> Hold {
        // SAFETY: our ref keeps the entry alive.
        unsafe { Hold::new(self.entry()) }
    }

    /// Passes the ref to the caller.
    #[inline]
    pub(crate) fn into_entry(self) -> NonNull<Header> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again, so the target is not duplicated.
        unsafe { std::ptr::read(&raw const this.target) }.into_entry()
    }

    /// The value of a ready entry.
    #[inline]
    pub(crate) fn ready_value(&self) -> &T {
        let header = self.header();
        assert!(header.phase() == Phase::Ready, "the object is read before it is ready");
        // SAFETY: in `Ready` the value is written (rule 1 of `state`). It is a `T` or an `Arc<T>` (see `adopt`), and is not dropped or
        // taken out while this reference exists.
        unsafe {
            let place = self.entry().as_ptr().cast::<u8>().add(header.vtable.value);
            if header.vtable.adopted { Arc::as_ref(&*place.cast::<Arc<T>>()) } else { &*place.cast::<T>() }
        }
    }

    /// The error of a failed entry; marks it as seen.
    pub(crate) fn seen_error(&self) -> Error {
        self.header().state.set_seen();
        self.header().error()
    }

    /// Moves the value out of a ready entry if this is the only reference; otherwise returns the reference.
    #[inline]
    pub(crate) fn take_sole(self) -> Result<T, Self> {
        let entry = self.into_entry();
        // SAFETY: the ref of `self`, which is `entry`'s now, keeps the entry alive until it is given back or adopted below.
        let header = unsafe { entry.as_ref() };
        let table = header.vtable;
        if table.adopted {
            // SAFETY: the ref of `self`, which `into_entry` has passed on.
            return unsafe { Self::adopt(entry) }.take_adopted();
        }
        let now = header.state.load();
        if now.is_exclusive() && now.phase() == Phase::Ready {
            // SAFETY: this is the only ref and the only hold, so no other thread can reach the entry: value and memory are ours. In
            // `Ready` the value is written, and it is a `T` (see `adopt`).
            unsafe {
                let value = entry.as_ptr().cast::<u8>().add(table.value).cast::<T>().read();
                (table.free)(entry);
                return Ok(value);
            }
        }
        if header.state.take() {
            // SAFETY: the step to `Taken` made the value ours; in `Ready` it was written, and it is a `T` (see `adopt`). The ref is
            // that of `self`.
            unsafe {
                let value = entry.as_ptr().cast::<u8>().add(table.value).cast::<T>().read();
                release::drop_ref(entry);
                return Ok(value);
            }
        }
        // SAFETY: the ref of `self`, which `into_entry` has passed on.
        Err(unsafe { Self::adopt(entry) })
    }

    /// As [`take_sole`](Self::take_sole), but leaves the reference, in the phase `Taken`.
    #[inline]
    pub(crate) fn take_in_place(&mut self) -> Option<T> {
        let header = self.header();
        // SAFETY: the step to `Taken` made the value ours; in `Ready` it was written, and it is a `T` (see `adopt`).
        (!header.vtable.adopted && header.state.take())
            .then(|| unsafe { self.entry().as_ptr().cast::<u8>().add(header.vtable.value).cast::<T>().read() })
    }

    #[cold]
    fn take_adopted(self) -> Result<T, Self> {
        if !self.header().state.take() {
            return Err(self);
        }
        // SAFETY: the step to `Taken` made the value ours; in `Ready` it was written, and of an adopted entry it is an `Arc<T>`.
        let adopted = unsafe { self.entry().as_ptr().cast::<u8>().add(self.header().vtable.value).cast::<Arc<T>>().read() };
        match Arc::try_unwrap(adopted) {
            Ok(value) => Ok(value),
            // The user has kept a clone of the `Arc`: make another reference to the same value.
            Err(shared) => Err(self.adopt_again(shared)),
        }
    }

    /// Whether the object is ready or failed, or its engine was shut down: a `get` would not wait. Never blocks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.header().is_ready()
    }

    /// The value, of an object that must be ready.
    ///
    /// # Errors
    /// The error of an object that has failed; `InvalidArgument`: it is not ready, or an await has taken the value.
    pub(crate) fn ready_or_error(&self) -> crate::Result<&T> {
        match self.header().phase() {
            Phase::Ready => Ok(self.ready_value()),
            Phase::Failed => Err(self.seen_error()),
            Phase::Taken => Err(crate::Error::new(
                crate::ErrorKind::InvalidArgument,
                format!("the value of {self:?} was taken by an await: pass a reference that was not awaited"),
            )),
            _ => Err(crate::Error::new(
                crate::ErrorKind::InvalidArgument,
                format!("{self:?} is not ready: wait for the object before its value is encoded or decoded"),
            )),
        }
    }

    /// The id of the object.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        ObjectId::from_raw(self.header().id())
    }

    /// The id of the task that makes the object; none for an object that was stored with [`put`](crate::put).
    #[must_use]
    pub fn task_id(&self) -> Option<TaskId> {
        match self.header().vtable.kind {
            Kind::Put => None,
            Kind::Task => Some(TaskId::from_raw(self.header().id())),
            Kind::Remote => crate::object::remote::task_of(self.header()),
            Kind::Part => crate::object::part::producer(self.header()).map(|whole| TaskId::from_raw(whole.id())),
        }
    }

    /// Another reference to the object, without its type, so that [`wait`](crate::wait) and
    /// [`as_completed`](crate::as_completed) can take references to objects of different types.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let number = ray::put(7);
    /// assert_eq!(number.any().id(), number.id());
    /// ```
    pub fn any(&self) -> AnyRef {
        // SAFETY: this reference has a ref to the entry.
        unsafe { AnyRef::share(self.entry()) }
    }
}

impl<T: Clone> ObjectRef<T> {
    /// The value of a ready entry: moved out if this is the only reference, else cloned.
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
        // A clone is another future: it has no waiter.
        Self { target: Target::new(self.entry()), object: PhantomData }
    }
}

impl<T> Drop for ObjectRef<T> {
    #[inline]
    fn drop(&mut self) {
        self.target.disarm();
        // SAFETY: this reference owns a ref, and is not used after its drop.
        unsafe { release::drop_ref(self.entry()) }
    }
}

/// References are equal if they refer to the same object.
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
