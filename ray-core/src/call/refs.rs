//! The return type of a submission: one reference, or a tuple of references with `num_returns`.

use crate::object::object_ref::ObjectRef;
use crate::object::parts;
use crate::object::parts::Promise;

/// The references that stand for an output `T`.
pub trait Refs<T>: Sized + 'static {
    /// Makes the references from the reference to the whole output.
    #[doc(hidden)]
    fn from_whole(whole: ObjectRef<T>) -> Self;
}

/// The return type of a submission of a stream function.
#[diagnostic::on_unimplemented(
    message = "`backpressure` is an option of functions that return a stream",
    label = "this function makes one object for each call",
    note = "a function that returns `impl Iterator<Item = T>` or `impl Stream<Item = T>`, or has a `Yielder<T>`, makes a stream"
)]
pub trait StreamRefs {}

/// The return type of a submission of a function that is no stream function.
#[diagnostic::on_unimplemented(
    message = "a stream function cannot be called by generic code over `RemoteFunction`",
    label = "this function makes a stream of objects for each call",
    note = "call it by its name, `f.remote(..)`, which returns the stream"
)]
pub trait WholeRefs {}
impl<T> WholeRefs for ObjectRef<T> {}

impl<T: 'static> Refs<T> for ObjectRef<T> {
    #[inline]
    fn from_whole(whole: ObjectRef<T>) -> Self {
        whole
    }
}

macro_rules! tuples {
    ($($T:ident $at:tt),*) => {
        impl<$($T),*> WholeRefs for ($(ObjectRef<$T>,)*) {}
        impl<$($T: Send + Sync + 'static),*> Refs<($($T,)*)> for ($(ObjectRef<$T>,)*) {
            fn from_whole(whole: ObjectRef<($($T,)*)>) -> Self {
                let promises = ($(Promise::<$T>::new(&whole),)*);
                let refs = ($(promises.$at.object(),)*);
                parts::split(whole, promises, |whole, promises| match whole {
                    Ok(values) => { $(promises.$at.fulfil(values.$at);)* }
                    Err(error) => { $(promises.$at.fail(error.clone());)* }
                });
                refs
            }
        }
    };
}
tuples! { A 0, B 1 }
tuples! { A 0, B 1, C 2 }
tuples! { A 0, B 1, C 2, D 3 }
tuples! { A 0, B 1, C 2, D 3, E 4 }
tuples! { A 0, B 1, C 2, D 3, E 4, F 5 }
tuples! { A 0, B 1, C 2, D 3, E 4, F 5, G 6 }
tuples! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7 }
tuples! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8 }
tuples! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9 }
tuples! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10 }
tuples! { A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11 }
