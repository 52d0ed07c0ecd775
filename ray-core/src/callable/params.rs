//! Parameters: how each is declared, and what a caller may give for it.

use std::marker::PhantomData;

use super::arg::{Arg, ArgList, IntoArg, IntoShared, Lend, Shared};

/// A parameter `T`: the body owns it.
#[derive(Debug)]
pub struct Value<T>(PhantomData<fn() -> T>);

/// A parameter `&T`: the body reads the stored object in place.
#[derive(Debug)]
pub struct Borrow<T: ?Sized>(PhantomData<fn() -> Box<T>>);

/// A parameter's kind.
pub trait Param: 'static {
    /// What is kept of an argument until the body runs.
    type Stored: ArgList + Send + 'static;
}

impl<T: Send + Sync + 'static> Param for Value<T> {
    type Stored = Arg<T>;
}

impl<T: Lend + ?Sized + 'static> Param for Borrow<T> {
    type Stored = Shared<T>;
}

/// What may be given for a parameter.
pub trait IntoParam<P: Param> {
    /// The argument as it is kept.
    fn into_param(self) -> P::Stored;
}

impl<T: Send + Sync + 'static, X: IntoArg<T>> IntoParam<Value<T>> for X {
    #[inline]
    fn into_param(self) -> Arg<T> {
        self.into_arg()
    }
}

impl<T: Lend + ?Sized + 'static, X: IntoShared<T>> IntoParam<Borrow<T>> for X {
    #[inline]
    fn into_param(self) -> Shared<T> {
        self.into_shared()
    }
}

/// A tuple of parameters' kinds.
pub trait Params: 'static {
    /// The tuple of kept arguments.
    type Args: ArgList + Send + 'static;
}

macro_rules! tuples {
    ($($P:ident)*) => {
        impl<$($P: Param),*> Params for ($($P,)*) {
            type Args = ($($P::Stored,)*);
        }
    };
}
crate::arity::for_each_arity!(tuples);
