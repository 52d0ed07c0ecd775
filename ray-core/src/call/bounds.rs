//! The bounds of arguments and results as traits of their own. If a bound is not met, rustc prints the text here once, instead of
//! naming each auto trait and each serde trait.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::arg::{Arg, ArgList, Lend, Shared};

/// Types that threads may share: `Send + Sync + 'static`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be shared with another thread",
    label = "not `Send + Sync + 'static`",
    note = "what a remote function takes and gives is read by other threads: use `Arc` for `Rc`, `Mutex` or an atomic for `RefCell` and `Cell`, an owned type for one that borrows"
)]
pub trait Shareable: Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> Shareable for T {}

/// Types that can be sent to another process: `Serialize + DeserializeOwned`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to another process",
    label = "not `Serialize + DeserializeOwned`",
    note = "what runs in this process can run on a cluster too: derive `serde::Serialize` and `serde::Deserialize`, or write #[remote(local)] to keep the function (for methods: the impl) in this process"
)]
pub trait Wire: Serialize + DeserializeOwned {}
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Wire for T {}

/// An argument in the form in which it is kept.
pub trait Kept: ArgList + Send + 'static {}
impl<T: Shareable> Kept for Arg<T> {}
impl<T: Lend + ?Sized + 'static> Kept for Shared<T> where T::Owned: Shareable {}

/// The arguments of a call in the form in which they are kept: a tuple of [`Kept`].
pub trait Args: ArgList + Send + 'static {}

macro_rules! tuples {
    ($($P:ident)*) => {
        impl<$($P: Kept),*> Args for ($($P,)*) {}
    };
}
crate::base::arity::for_each_arity!(tuples);
