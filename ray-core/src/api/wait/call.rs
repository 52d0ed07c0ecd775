//! A reference to the result of calls that one task makes.

use crate::api::wait::{Place, Reference};
use crate::object::object_ref::ObjectRef;

/// The object of a task, and the number of calls that the task makes.
#[derive(Debug)]
pub(in crate::api) struct Call<T> {
    pub(in crate::api) object: ObjectRef<T>,
    pub(in crate::api) items: usize,
}

impl<T> super::sealed::Sealed for Call<T> {}

impl<T> Reference for Call<T> {
    fn place(&self) -> Place<'_> {
        self.object.place()
    }
}
