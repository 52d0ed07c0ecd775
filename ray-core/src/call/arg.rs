//! Arguments: the types that a caller may pass for a parameter, and how an argument is kept until the body runs.
//!
//! An argument that is passed as a reference is a *dependency*: the task does not start before the object is ready, and fails with
//! the object's error. So a body never waits for an argument.

mod portable;

use std::ffi::{CStr, CString, OsStr, OsString};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use crate::base::epoch;
use crate::base::error::{Error, Result};
use crate::call::codec::ReferenceArg;
use crate::object::any::AnyRef;
use crate::object::encoded::Encoded;
use crate::object::entry::Header;
use crate::object::object_ref::ObjectRef;

pub use portable::Portable;

/// Arguments without their types. Sealed: the engine's argument types and tuples of them implement it.
pub trait ArgList: sealed::Sealed {
    /// Whether no argument is a reference, so that there is nothing to wait for.
    #[doc(hidden)]
    fn is_plain(&self) -> bool;
    /// Calls `see` for each reference.
    #[doc(hidden)]
    fn each_dependency(&self, see: &mut dyn FnMut(Dependency));
}

/// A reference among arguments.
#[derive(Clone, Copy, Debug)]
pub struct Dependency(pub(crate) NonNull<Header>);

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::Arg<T> {}
    impl<T: super::Lend + ?Sized> Sealed for super::Shared<T> {}
    impl<C> Sealed for super::Closure<C> {}
    impl<A> Sealed for super::Many<A> {}
}

/// A closure as the argument of its own task; it has no dependencies.
pub(crate) struct Closure<C>(pub(crate) C);

impl<C> ArgList for Closure<C> {
    fn is_plain(&self) -> bool {
        true
    }
    fn each_dependency(&self, _see: &mut dyn FnMut(Dependency)) {}
}

/// The arguments of several calls that one task makes.
pub(crate) struct Many<A>(pub(crate) Vec<A>);

impl<A: ArgList> ArgList for Many<A> {
    fn is_plain(&self) -> bool {
        self.0.iter().all(ArgList::is_plain)
    }
    fn each_dependency(&self, see: &mut dyn FnMut(Dependency)) {
        self.0.iter().for_each(|args| args.each_dependency(see));
    }
}

/// An argument for a parameter of type `T`, as it is kept until the body runs.
pub struct Arg<T>(Repr<T>);

enum Repr<T> {
    Value(T),
    Ref(ObjectRef<T>, fn(ObjectRef<T>) -> T),
    Arc(Arc<T>, fn(Arc<T>) -> T),
    Gather(Box<dyn Gather<T>>),
}

/// Several references that make one value.
trait Gather<T>: Send {
    fn each_dependency(&self, see: &mut dyn FnMut(Dependency));
    fn gather(self: Box<Self>) -> T;
    fn clone_box(&self) -> Box<dyn Gather<T>>;
    /// The references in the form in which they leave the process; `encode` encodes the value that they make.
    fn encoded(&self, encode: fn(&T) -> Result<Encoded>) -> ReferenceArg;
}

impl<T> std::fmt::Debug for Arg<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Repr::Value(_) => "Arg::Value",
            Repr::Ref(..) => "Arg::Ref",
            Repr::Arc(..) => "Arg::Arc",
            Repr::Gather(_) => "Arg::Gather",
        })
    }
}

impl<T> Arg<T> {
    /// The value: moved out if this is the last reference to it, otherwise cloned. Called when every dependency is ready.
    #[inline]
    #[must_use]
    pub fn take(self) -> T {
        match self.0 {
            Repr::Value(value) => value,
            Repr::Ref(object, take) => take(object),
            Repr::Arc(value, take) => take(value),
            Repr::Gather(many) => many.gather(),
        }
    }
}

impl<T: Clone> Clone for Arg<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Repr::Value(value) => Repr::Value(value.clone()),
            Repr::Ref(object, take) => Repr::Ref(object.clone(), *take),
            Repr::Arc(value, take) => Repr::Arc(Arc::clone(value), *take),
            Repr::Gather(many) => Repr::Gather(many.clone_box()),
        })
    }
}

impl<T> ArgList for Arg<T> {
    #[inline]
    fn is_plain(&self) -> bool {
        matches!(self.0, Repr::Value(_) | Repr::Arc(..))
    }
    fn each_dependency(&self, see: &mut dyn FnMut(Dependency)) {
        match &self.0 {
            Repr::Value(_) | Repr::Arc(..) => {}
            Repr::Ref(object, _) => see(Dependency(object.entry())),
            Repr::Gather(many) => many.each_dependency(see),
        }
    }
}

/// The types that a caller may pass for a parameter `T`: a `T`, an `ObjectRef<T>` or `&ObjectRef<T>`, an `Arc<T>` or `&Arc<T>`;
/// `&str` and `&String` for a `String`, and references in a `Vec` for a `Vec`. References and `Arc`s require `T: Clone`: the value is moved out
/// if this is the last reference to it, otherwise it is cloned.
#[diagnostic::on_unimplemented(
    message = "the remote call takes `{T}` here, not `{Self}`",
    label = "expected `{T}`, `ObjectRef<{T}>` or `&ObjectRef<{T}>`",
    note = "an argument is the parameter's type itself, a reference to such an object, or an `Arc` of it; a reference or an `Arc` needs `{T}: Clone` (a parameter `&{T}` does not)"
)]
pub trait IntoArg<T> {
    /// Converts the argument into the form in which it is kept.
    fn into_arg(self) -> Arg<T>;
}

impl<T> IntoArg<T> for T {
    #[inline]
    fn into_arg(self) -> Arg<T> {
        Arg(Repr::Value(self))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<T> for ObjectRef<T> {
    fn into_arg(self) -> Arg<T> {
        Arg(Repr::Ref(self, ObjectRef::take_ready))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<T> for &ObjectRef<T> {
    fn into_arg(self) -> Arg<T> {
        Arg(Repr::Ref(self.clone(), ObjectRef::take_ready))
    }
}

impl<T: Clone> IntoArg<T> for Arc<T> {
    fn into_arg(self) -> Arg<T> {
        Arg(Repr::Arc(self, Arc::unwrap_or_clone))
    }
}

impl<T: Clone> IntoArg<T> for &Arc<T> {
    fn into_arg(self) -> Arg<T> {
        Arg(Repr::Arc(Arc::clone(self), Arc::unwrap_or_clone))
    }
}

impl IntoArg<String> for &str {
    fn into_arg(self) -> Arg<String> {
        Arg(Repr::Value(self.to_owned()))
    }
}

impl IntoArg<String> for &String {
    fn into_arg(self) -> Arg<String> {
        Arg(Repr::Value(self.clone()))
    }
}

impl<T> Arg<T> {
    /// An argument that is a value.
    pub(crate) fn of(value: T) -> Self {
        Self(Repr::Value(value))
    }
}

impl<T: Clone + Send + Sync + 'static> Arg<T> {
    /// An argument that has failed: its task does not run, and fails with the error.
    pub(crate) fn failed(error: Error) -> Self {
        ObjectRef::failed(error, epoch::current()).into_arg()
    }
}

impl<T> IntoArg<ObjectRef<T>> for &ObjectRef<T> {
    fn into_arg(self) -> Arg<ObjectRef<T>> {
        Arg(Repr::Value(self.clone()))
    }
}

impl<T: Clone + Send + Sync + 'static> Gather<Vec<T>> for Vec<ObjectRef<T>> {
    fn each_dependency(&self, see: &mut dyn FnMut(Dependency)) {
        self.iter().for_each(|object| see(Dependency(object.entry())));
    }
    fn gather(self: Box<Self>) -> Vec<T> {
        self.into_iter().map(ObjectRef::take_ready).collect()
    }
    fn clone_box(&self) -> Box<dyn Gather<Vec<T>>> {
        Box::new(self.clone())
    }
    fn encoded(&self, encode: fn(&Vec<T>) -> Result<Encoded>) -> ReferenceArg {
        let value_of = |object: &AnyRef| object.typed::<T>()?.ready_or_error().cloned();
        ReferenceArg::gathered(self.iter().map(ObjectRef::any).collect(), move |objects| {
            encode(&objects.iter().map(value_of).collect::<Result<Vec<T>>>()?)
        })
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<Vec<T>> for Vec<ObjectRef<T>> {
    fn into_arg(self) -> Arg<Vec<T>> {
        Arg(Repr::Gather(Box::new(self)))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<Vec<T>> for &Vec<ObjectRef<T>> {
    fn into_arg(self) -> Arg<Vec<T>> {
        self.clone().into_arg()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoArg<Vec<T>> for &[ObjectRef<T>] {
    fn into_arg(self) -> Arg<Vec<T>> {
        self.to_vec().into_arg()
    }
}

impl<T: Clone + Send + Sync + 'static, const N: usize> IntoArg<Vec<T>> for [ObjectRef<T>; N] {
    fn into_arg(self) -> Arg<Vec<T>> {
        Vec::from(self).into_arg()
    }
}

/// The types `T` of a parameter `&T`. The type of the stored object is `T::Owned`.
#[diagnostic::on_unimplemented(
    message = "a remote function cannot borrow a `{Self}`, because a value of this type cannot be stored",
    label = "this type has no size: write `&T` with its owned form, as `&String` for `&str`, or `Arc<dyn Trait>` for `&dyn Trait`",
    note = "an argument is stored until the function runs: a parameter is a type with a size, a `&` of one, or one of `&[T]`, `&str`, `&Path`, `&OsStr` and `&CStr`"
)]
pub trait Lend {
    /// The stored type: `Vec<T>` for `[T]`, `String` for `str`, `PathBuf` for `Path`, and so on; the type itself if it has a size.
    type Owned;
    /// Borrows the stored value as the parameter's type.
    fn lend(owned: &Self::Owned) -> &Self;
}

#[diagnostic::do_not_recommend]
impl<T> Lend for T {
    type Owned = T;
    fn lend(owned: &T) -> &T {
        owned
    }
}

impl<T> Lend for [T] {
    type Owned = Vec<T>;
    fn lend(owned: &Vec<T>) -> &[T] {
        owned
    }
}

macro_rules! lend_as {
    ($($borrowed:ty, $owned:ty);*) => {$(
        impl Lend for $borrowed {
            type Owned = $owned;
            fn lend(owned: &$owned) -> &$borrowed {
                owned
            }
        }
    )*};
}
lend_as!(str, String; Path, PathBuf; OsStr, OsString; CStr, CString);

/// An argument for a parameter `&T`, as it is kept until the body runs; it dereferences to `T`.
pub struct Shared<T: Lend + ?Sized>(SharedRepr<T>);

enum SharedRepr<T: Lend + ?Sized> {
    Value(T::Owned),
    Ref(ObjectRef<T::Owned>),
    Arc(Arc<T::Owned>),
    Gather(Box<dyn Gather<T::Owned>>, OnceLock<T::Owned>),
}

impl<T: Lend + ?Sized> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl<T: Lend + ?Sized> Deref for Shared<T> {
    type Target = T;
    /// Called when every dependency is ready.
    fn deref(&self) -> &T {
        match &self.0 {
            SharedRepr::Value(value) => T::lend(value),
            SharedRepr::Ref(object) => T::lend(object.ready_value()),
            SharedRepr::Arc(value) => T::lend(value),
            SharedRepr::Gather(many, gathered) => T::lend(gathered.get_or_init(|| many.clone_box().gather())),
        }
    }
}

impl<T: Lend + ?Sized> Clone for Shared<T>
where
    T::Owned: Clone,
{
    fn clone(&self) -> Self {
        Self(match &self.0 {
            SharedRepr::Value(value) => SharedRepr::Value(value.clone()),
            SharedRepr::Ref(object) => SharedRepr::Ref(object.clone()),
            SharedRepr::Arc(value) => SharedRepr::Arc(Arc::clone(value)),
            SharedRepr::Gather(many, _) => SharedRepr::Gather(many.clone_box(), OnceLock::new()),
        })
    }
}

impl<T: Lend + ?Sized> ArgList for Shared<T> {
    #[inline]
    fn is_plain(&self) -> bool {
        matches!(self.0, SharedRepr::Value(_) | SharedRepr::Arc(_))
    }
    fn each_dependency(&self, see: &mut dyn FnMut(Dependency)) {
        match &self.0 {
            SharedRepr::Value(_) | SharedRepr::Arc(_) => {}
            SharedRepr::Ref(object) => see(Dependency(object.entry())),
            SharedRepr::Gather(many, _) => many.each_dependency(see),
        }
    }
}

/// The types that a caller may pass for a parameter `&T`: a `T`, an `ObjectRef<T>` or `&ObjectRef<T>`, an `Arc<T>` or `&Arc<T>`;
/// for `&[T]` also arrays, a `Vec<T>`, and references in a `Vec`; for `&str` a `String`, and `&str` or `&String`, which are copied;
/// for `&Path` a `PathBuf`, and `&Path` or a text, which are copied, and likewise for `&OsStr` and `&CStr`.
/// The body reads the stored object in place, so `T: Clone` is not required, except for references in a `Vec`, which are cloned
/// into one.
#[diagnostic::on_unimplemented(
    message = "the remote call takes a `&{T}` here, which `{Self}` cannot lend",
    label = "expected an owned value or a reference to such an object (`ObjectRef`)",
    note = "a parameter `&{T}` takes the owned value (moved into the task), a reference to such an object, or an `Arc` of it; a plain borrow cannot outlive the call: `ray::put` the value and pass `&object_ref`"
)]
pub trait IntoShared<T: Lend + ?Sized> {
    /// Converts the argument into the form in which it is kept.
    fn into_shared(self) -> Shared<T>;
}

impl<T: Send + Sync + 'static> IntoShared<T> for T {
    fn into_shared(self) -> Shared<T> {
        Shared(SharedRepr::Value(self))
    }
}

macro_rules! lend_from {
    ([$($generics:tt)*] $borrowed:ty, $owned:ty) => {
        impl<$($generics)*> IntoShared<$borrowed> for ObjectRef<$owned> {
            fn into_shared(self) -> Shared<$borrowed> {
                Shared(SharedRepr::Ref(self))
            }
        }
        impl<$($generics)*> IntoShared<$borrowed> for &ObjectRef<$owned> {
            fn into_shared(self) -> Shared<$borrowed> {
                Shared(SharedRepr::Ref(self.clone()))
            }
        }
        impl<$($generics)*> IntoShared<$borrowed> for Arc<$owned> {
            fn into_shared(self) -> Shared<$borrowed> {
                Shared(SharedRepr::Arc(self))
            }
        }
        impl<$($generics)*> IntoShared<$borrowed> for &Arc<$owned> {
            fn into_shared(self) -> Shared<$borrowed> {
                Shared(SharedRepr::Arc(Arc::clone(self)))
            }
        }
    };
}
lend_from!([T: Send + Sync + 'static] T, T);
lend_from!([T: Send + Sync + 'static] [T], Vec<T>);
lend_from!([] str, String);
lend_from!([] Path, PathBuf);
lend_from!([] OsStr, OsString);
lend_from!([] CStr, CString);

impl<T: Send + Sync + 'static> IntoShared<[T]> for Vec<T> {
    fn into_shared(self) -> Shared<[T]> {
        Shared(SharedRepr::Value(self))
    }
}

impl<T: Send + Sync + 'static, const N: usize> IntoShared<[T]> for [T; N] {
    fn into_shared(self) -> Shared<[T]> {
        Shared(SharedRepr::Value(Vec::from(self)))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoShared<[T]> for Vec<ObjectRef<T>> {
    fn into_shared(self) -> Shared<[T]> {
        Shared(SharedRepr::Gather(Box::new(self), OnceLock::new()))
    }
}

impl<T: Clone + Send + Sync + 'static> IntoShared<[T]> for &Vec<ObjectRef<T>> {
    fn into_shared(self) -> Shared<[T]> {
        self.clone().into_shared()
    }
}

impl<T: Clone + Send + Sync + 'static> IntoShared<[T]> for &[ObjectRef<T>] {
    fn into_shared(self) -> Shared<[T]> {
        self.to_vec().into_shared()
    }
}

/// The arguments that are moved or copied into the owned form of a borrowed parameter.
macro_rules! lend_value {
    ($borrowed:ty, $owned:ty: $($argument:ty),*) => {$(
        impl IntoShared<$borrowed> for $argument {
            fn into_shared(self) -> Shared<$borrowed> {
                Shared(SharedRepr::Value(<$owned>::from(self)))
            }
        }
    )*};
}
lend_value!(str, String: String, &str, &String);
lend_value!(Path, PathBuf: PathBuf, &Path, &PathBuf, String, &str);
lend_value!(OsStr, OsString: OsString, &OsStr, &OsString, String, &str);
lend_value!(CStr, CString: CString, &CStr);

impl IntoShared<String> for &str {
    fn into_shared(self) -> Shared<String> {
        Shared(SharedRepr::Value(self.to_owned()))
    }
}

macro_rules! tuples {
    ($($P:ident)*) => {
        impl<$($P: ArgList),*> sealed::Sealed for ($($P,)*) {}
        #[allow(non_snake_case, unused_variables)]
        impl<$($P: ArgList),*> ArgList for ($($P,)*) {
            #[inline]
            fn is_plain(&self) -> bool {
                let ($($P,)*) = self;
                true $(&& $P.is_plain())*
            }
            fn each_dependency(&self, see: &mut dyn FnMut(Dependency)) {
                let ($($P,)*) = self;
                $($P.each_dependency(see);)*
            }
        }
    };
}
crate::base::arity::for_each_arity!(tuples);
