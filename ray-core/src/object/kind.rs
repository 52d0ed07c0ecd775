//! What an entry is: how its object is made, and the type of the object.

use std::any::TypeId;

/// A type at run time.
#[derive(Clone, Copy)]
pub(crate) struct ValueType {
    id: TypeId,
    name: fn() -> &'static str,
}

impl ValueType {
    pub(crate) const fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: std::any::type_name::<T> }
    }

    /// Whether a reference to a `T` may refer to the object: it holds a `T`, or will never hold a value.
    pub(crate) fn fits<T: 'static>(&self) -> bool {
        self.id == TypeId::of::<T>() || self.id == TypeId::of::<NoValue>()
    }

    pub(crate) fn name(&self) -> &'static str {
        (self.name)()
    }
}

/// The type of an object that has failed from the start, where the type of its references is not known to be `'static`.
#[derive(Debug)]
pub(crate) enum NoValue {}

/// How an object is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stored by `put`, made of the user's `Arc`, or a call that failed before it became a task.
    Put,
    /// The result of a task: of a function, an actor's method or constructor. The entry begins with a
    /// [`TaskHead`](crate::task::head::TaskHead).
    Task,
    /// A part of a returned tuple.
    Part,
    /// An object that another process makes; see [`remote`](crate::object::remote).
    Remote,
}
