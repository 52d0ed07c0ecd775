//! The one allocation of an actor: its methods, its head, its instance. See [`head`](crate::actor::head) for the rules and
//! for the order of the fields.
//!
//! # Rules
//!
//! 1. The address of an actor, everywhere in the engine, is that of its head. It is derived from the address of the cell,
//!    so that the cell can be reached from it.
//! 2. The methods are written when the cell is made, and dropped when it is freed.
//! 3. The instance is the runner's (see rule 3 of [`head`](crate::actor::head)). Of a concurrent actor it belongs to the
//!    calls that have slots.

use std::any::TypeId;
use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::class::{Actor, ActorClass, Link};
use crate::actor::head::{ActorHead, ActorVTable};
use crate::call::function::Outcome;
use crate::object::block;

/// See the [module](self).
#[repr(C)]
pub(crate) struct ActorCell<A: Actor> {
    methods: MaybeUninit<A::Methods>,
    head: ActorHead,
    instance: UnsafeCell<MaybeUninit<A>>,
}

impl<A: Actor> ActorCell<A> {
    const TABLE: &'static ActorVTable = &ActorVTable {
        type_id: TypeId::of::<A>(),
        spec: A::SPEC,
        drop_instance: Self::drop_instance,
        restore: if A::Class::CHECKPOINTS.is_some() { Some(Self::restore) } else { None },
        free: Self::free,
    };

    /// Allocates an actor without an instance, with one handle.
    pub(crate) fn allocate(epoch: u32) -> NonNull<ActorHead> {
        // The evidence that the class is `Send` must be evaluated: a constant that is never used may panic.
        const { _ = A::MOVABLE };
        let cell = block::place(Self {
            methods: MaybeUninit::uninit(),
            head: ActorHead::new(epoch, Self::TABLE),
            instance: UnsafeCell::new(MaybeUninit::uninit()),
        });
        // SAFETY: the cell was made above, and no other thread knows it yet.
        unsafe {
            let head = NonNull::new_unchecked(&raw mut (*cell.as_ptr()).head);
            (*cell.as_ptr()).methods.write(A::methods(Link::new(head)));
            head
        }
    }

    /// The cell of a head.
    ///
    /// # Safety
    /// The head is that of a cell of this class.
    #[inline]
    unsafe fn of(head: NonNull<ActorHead>) -> NonNull<Self> {
        // SAFETY: the head lies in a cell of this class, and its address was derived from the cell's (rule 1).
        unsafe { head.byte_sub(offset_of!(Self, head)).cast() }
    }

    /// The methods of a cell.
    ///
    /// # Safety
    /// The head is that of a cell of this class, alive for `'a`.
    #[inline]
    pub(crate) unsafe fn methods<'a>(head: NonNull<ActorHead>) -> &'a A::Methods {
        // SAFETY: the caller guarantees the class and the lifetime; the methods exist as long as the cell (rule 2).
        unsafe { (*Self::of(head).as_ptr()).methods.assume_init_ref() }
    }

    /// The place of the instance.
    ///
    /// # Safety
    /// The head is that of a cell of this class, and alive.
    #[inline]
    pub(crate) unsafe fn instance(head: NonNull<ActorHead>) -> *mut A {
        // SAFETY: the caller guarantees the class and that the cell is alive; no reference to the instance is made.
        unsafe { (*(*Self::of(head).as_ptr()).instance.get()).as_mut_ptr() }
    }

    /// # Safety
    /// As [`ActorVTable::restore`].
    unsafe fn restore(head: NonNull<ActorHead>) -> Option<Outcome<()>> {
        let checkpoints = A::Class::CHECKPOINTS?;
        // SAFETY: the caller is the runner, which keeps the actor alive.
        let cold = unsafe { head.as_ref() }.cold_state();
        cold.changes.store(0, Ordering::Relaxed);
        let checkpoint = cold.checkpoint.lock().clone()?;
        Some(checkpoints.restore(&checkpoint).map(|instance| {
            assert_eq!(TypeId::of::<A::Class>(), TypeId::of::<A>(), "a class is its own type");
            // SAFETY: the table is that of this class. The caller is the runner and there is no instance, so the place is free
            // memory for an instance of `A`, which is the type `A::Class`.
            unsafe { Self::instance(head).cast::<A::Class>().write(instance) };
        }))
    }

    /// # Safety
    /// As [`ActorVTable::drop_instance`].
    unsafe fn drop_instance(head: NonNull<ActorHead>) {
        // SAFETY: the table is that of this class, and the instance exists and is the caller's (rule 3).
        crate::base::users_code::quietly(|| unsafe { Self::instance(head).drop_in_place() });
    }

    /// # Safety
    /// As [`ActorVTable::free`].
    unsafe fn free(head: NonNull<ActorHead>) {
        // SAFETY: the table is that of this class, and the last hold is gone, so no other thread reaches the cell. The
        // instance was dropped when the actor ended.
        unsafe {
            let cell = Self::of(head);
            (*cell.as_ptr()).methods.assume_init_drop();
            block::remove(cell);
        }
    }
}
