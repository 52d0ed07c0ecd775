//! Objects that no task makes: stored values, adopted `Arc`s, and objects that fail from the start.

use crate::base::config::Mode;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::error::Error;
use crate::engine::thread_state::ThreadState;
use crate::object::block;
use crate::object::encoded::Encoded;
use crate::object::entry::{Header, VTable};
use crate::object::kind::{Kind, NoValue, ValueType};
use crate::object::object_ref::ObjectRef;
use crate::object::remote;
use crate::object::state::{Phase, State};

/// An entry that has its value from the start or never gets one. `V` is the object's type, or an `Arc` of it.
#[repr(C)]
pub(crate) struct Stored<V> {
    header: Header,
    value: UnsafeCell<MaybeUninit<V>>,
}

impl<V> Stored<V> {
    #[inline]
    pub(crate) fn allocate(table: &'static VTable, epoch: u32, phase: Phase, value: MaybeUninit<V>) -> NonNull<Header> {
        let header = Header::new(State::new(phase, 1, 0), table, epoch);
        if phase == Phase::Ready {
            header.set_stamp(crate::object::stamp::next_if_kept());
        }
        let cell = Self { header, value: UnsafeCell::new(value) };
        block::place(cell).cast()
    }

    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: the caller of the table's function owns the value and calls this once; the entry is a `Stored<V>`.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold is gone, so no thread refers to the entry, and its value was dropped before.
        unsafe { block::remove(entry.cast::<Self>()) };
    }
}

/// The tables of a type, for stored values and adopted `Arc`s.
struct Tables<T>(PhantomData<T>);

impl<T> Tables<T> {
    /// The table of stored values whose references have the type `holds`.
    const fn stored(holds: ValueType) -> VTable {
        VTable {
            value: offset_of!(Stored<T>, value),
            adopted: false,
            holds,
            nested: needs_drop::<T>(),
            kind: Kind::Put,
            remote: None,
            drop_value: Stored::<T>::drop_value,
            free: Stored::<T>::free,
            task: None,
        }
    }

    /// The table of objects that have failed, for a `T` that need not be `'static`.
    const FAILED: &'static VTable = &Self::stored(ValueType::of::<NoValue>());
}

impl<T: 'static> Tables<T> {
    const PUT: &'static VTable = &Self::stored(ValueType::of::<T>());
    const ADOPTED: &'static VTable = &VTable {
        value: offset_of!(Stored<Arc<T>>, value),
        adopted: true,
        holds: ValueType::of::<T>(),
        nested: true,
        kind: Kind::Put,
        remote: None,
        drop_value: Stored::<Arc<T>>::drop_value,
        free: Stored::<Arc<T>>::free,
        task: None,
    };
}

impl<T: 'static> ObjectRef<T> {
    pub(crate) fn stored(value: T, epoch: u32) -> Self {
        let entry = Stored::<T>::allocate(Tables::<T>::PUT, epoch, Phase::Ready, MaybeUninit::new(value));
        // SAFETY: the entry is new, is a `Stored<T>`, and has one ref, which the reference takes over.
        unsafe { Self::adopt(entry) }
    }

    /// A reference to an object that has failed before anything began.
    #[cold]
    pub(crate) fn failed(error: Error, epoch: u32) -> Self {
        Self::failed_in(Tables::<T>::PUT, error, epoch)
    }

    pub(crate) fn from_arc(value: Arc<T>, epoch: u32) -> Self {
        let entry = Stored::<Arc<T>>::allocate(Tables::<T>::ADOPTED, epoch, Phase::Ready, MaybeUninit::new(value));
        // SAFETY: the entry is new, is a `Stored<Arc<T>>` with an adopted table, and has one ref, which the reference takes over.
        unsafe { Self::adopt(entry) }
    }
}

impl<T> ObjectRef<T> {
    /// Like [`failed`](Self::failed); replaces a reference whose value was taken.
    #[cold]
    pub(crate) fn taken(error: Error, epoch: u32) -> Self {
        Self::failed_in(Tables::<T>::FAILED, error, epoch)
    }

    fn failed_in(table: &'static VTable, error: Error, epoch: u32) -> Self {
        let entry = Stored::<T>::allocate(table, epoch, Phase::Running, MaybeUninit::uninit());
        // SAFETY: the entry is new and no other thread knows it; both tables that are passed are those of a `Stored<T>`; the
        // reference takes over the one ref.
        unsafe {
            entry.as_ref().fail(|_| true, error);
            Self::adopt(entry)
        }
    }

    /// Makes another object of an `Arc` that was the value of this one.
    pub(crate) fn adopt_again(&self, value: Arc<T>) -> Self {
        let table = self.header().vtable;
        assert!(table.adopted, "the value of this object was an `Arc`");
        let entry = Stored::<Arc<T>>::allocate(table, self.header().epoch, Phase::Ready, MaybeUninit::new(value));
        // SAFETY: the entry is new and has one ref, which the reference takes over. The table is that of an adopted entry of `T`,
        // which is a `Stored<Arc<T>>` like the new one.
        unsafe { Self::adopt(entry) }
    }
}

/// Stores a value once; any number of tasks can share it. The value is moved, whatever its size, and never copied; parameters `&T`
/// read it in place. [Ray's page](https://docs.ray.io/en/latest/ray-core/objects.html).
///
/// The type must be serialisable, because the same program may run on a cluster; [`put_local`] takes any type.
///
/// # Errors
/// This function returns none. If the engine cannot start, or in strict mode if the value cannot be encoded and decoded, the object
/// has failed.
///
/// ```
/// # extern crate ray_core as ray;
/// let zeros = ray::put(vec![0f64; 1_000_000]);
/// assert_eq!(zeros.view()?.len(), 1_000_000);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn put<T: Serialize + DeserializeOwned + Send + Sync + 'static>(value: T) -> ObjectRef<T> {
    match crate::engine::thread::current() {
        Ok(state) => match state.engine.settings.mode {
            Mode::Embedded => ObjectRef::stored(value, state.epoch),
            Mode::Strict => match crate::call::codec::renew(value) {
                Ok(value) => ObjectRef::stored(value, state.epoch),
                Err(error) => ObjectRef::failed(error, state.epoch),
            },
            Mode::Remote => put_remote(state, value),
        },
        Err(error) => ObjectRef::failed(error, crate::base::epoch::current()),
    }
}

/// Stores a value in the store of the executor, or in this process if the executor has none.
#[cold]
fn put_remote<T: Serialize + DeserializeOwned + Send + Sync + 'static>(state: &ThreadState, value: T) -> ObjectRef<T> {
    let stored = Encoded::of(&value).map(|encoded| state.engine.executor.as_ref().and_then(|executor| executor.put(&encoded)));
    match stored {
        Ok(Some(object)) => remote::reference(object),
        Ok(None) => ObjectRef::stored(value, state.epoch),
        Err(error) => ObjectRef::failed(error, state.epoch),
    }
}

/// Like [`put`], for a type that never leaves the process: a channel, a file, a lock.
///
/// # Errors
/// Those of [`put`].
///
/// ```
/// # extern crate ray_core as ray;
/// let (sender, receiver) = std::sync::mpsc::channel::<u32>();
/// let sender = ray::put_local(sender);
/// sender.view()?.send(7).unwrap();
/// assert_eq!(receiver.recv(), Ok(7));
/// # Ok::<(), ray::Error>(())
/// ```
pub fn put_local<T: Send + Sync + 'static>(value: T) -> ObjectRef<T> {
    match crate::engine::thread::current() {
        Ok(state) => ObjectRef::stored(value, state.epoch),
        Err(error) => ObjectRef::failed(error, crate::base::epoch::current()),
    }
}

/// Adopts an `Arc`: the object shares the value of the `Arc`, and no copy is made.
///
/// ```
/// # extern crate ray_core as ray;
/// let mine = std::sync::Arc::new(vec![1, 2, 3]);
/// let object = ray::ObjectRef::from(mine.clone());
/// assert!(std::ptr::eq(&*object.view()?, &*mine));
/// # Ok::<(), ray::Error>(())
/// ```
impl<T: Send + Sync + 'static> From<Arc<T>> for ObjectRef<T> {
    fn from(value: Arc<T>) -> Self {
        match crate::engine::thread::current() {
            Ok(state) => Self::from_arc(value, state.epoch),
            Err(error) => Self::failed(error, crate::base::epoch::current()),
        }
    }
}
