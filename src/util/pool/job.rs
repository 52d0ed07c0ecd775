//! Calls of remote functions as data, which a worker of a pool runs.

use std::fmt;

use ray_core::__private::{
    AnyValue, Arg, EncodedArg, EncodedError, Function, FunctionCall, IntoArg, IntoShared, Lend, Shared, lookup, run_body,
};
use ray_core::{Error, ErrorKind, Result};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A parameter of a remote function, as it is kept until the body runs. Sealed: the forms of `T` and `&T`.
pub trait Slot: sealed::Sealed + Sized {
    /// The type of the value that a caller gives: `T`, or what `&T` borrows from.
    type Value: Serialize + DeserializeOwned + Send + Sync + 'static;
    #[doc(hidden)]
    fn of(value: Self::Value) -> Self;
}

/// The parameters of a remote function. Sealed: tuples of [`Slot`]s.
pub trait Slots: sealed::Sealed + Sized {
    /// The values that a caller gives, as a tuple.
    type Values;
    #[doc(hidden)]
    fn erase(values: Self::Values) -> Vec<AnyValue>;
    #[doc(hidden)]
    fn of(values: Vec<AnyValue>) -> Result<Self>;
}

/// The remote functions that a [`Pool`](super::Pool) runs: the arguments and the result are values that can be sent to another process.
#[diagnostic::on_unimplemented(
    message = "a pool cannot run `{Self}`",
    label = "not a remote function with at most six parameters, whose arguments and result can be serialised",
    note = "pass the name of a `#[remote]` function: `pool.apply(square, (3,))`; a closure is a task of its own, `ray::task(move || ..)`"
)]
pub trait Pooled: Function<Args: Slots, Output: Serialize + DeserializeOwned> {}

impl<F: Function<Args: Slots, Output: Serialize + DeserializeOwned>> Pooled for F {}

/// Those of them with one parameter.
#[diagnostic::on_unimplemented(
    message = "a pool cannot call `{Self}` with single values",
    label = "not a remote function with one parameter, whose argument and result can be serialised",
    note = "pass the name of a `#[remote]` function: `pool.map(square, 0..4)`; a function of several parameters is called with tuples, by `starmap`"
)]
pub trait Mapped: Pooled {
    /// The type of the value that a caller gives.
    type Value;
    #[doc(hidden)]
    fn args(value: Self::Value) -> <Self::Args as Slots>::Values;
}

impl<F, P> Mapped for F
where
    F: Pooled + Function<Args = (P,)>,
    P: Slot,
    (P,): Slots<Values = (P::Value,)>,
{
    type Value = P::Value;
    fn args(value: P::Value) -> (P::Value,) {
        (value,)
    }
}

mod sealed {
    pub trait Sealed {}
}

impl<T> sealed::Sealed for Arg<T> {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Slot for Arg<T> {
    type Value = T;
    fn of(value: T) -> Self {
        IntoArg::<T>::into_arg(value)
    }
}

impl<T: Lend + ?Sized> sealed::Sealed for Shared<T> {}

impl<T: Lend + ?Sized> Slot for Shared<T>
where
    T::Owned: IntoShared<T> + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    type Value = T::Owned;
    fn of(value: T::Owned) -> Self {
        value.into_shared()
    }
}

macro_rules! slots {
    ($($P:ident)*) => {
        impl<$($P: Slot),*> sealed::Sealed for ($($P,)*) {}

        #[allow(non_snake_case, unused_mut, unused_variables)]
        impl<$($P: Slot),*> Slots for ($($P,)*) {
            type Values = ($($P::Value,)*);
            fn erase(($($P,)*): Self::Values) -> Vec<AnyValue> {
                vec![$(AnyValue::new($P)),*]
            }
            fn of(values: Vec<AnyValue>) -> Result<Self> {
                let mut values = values.into_iter();
                Ok(($({
                    let value = values.next().ok_or_else(|| Error::of_kind(ErrorKind::InvalidArgument, "an argument is missing"))?;
                    <$P as Slot>::of(value.typed()?)
                },)*))
            }
        }
    };
}

slots!();
slots!(P0);
slots!(P0 P1);
slots!(P0 P1 P2);
slots!(P0 P1 P2 P3);
slots!(P0 P1 P2 P3 P4);
slots!(P0 P1 P2 P3 P4 P5);

/// The arguments of one call.
pub(super) type Call = Vec<AnyValue>;

/// Calls of one function.
#[derive(Clone, ray_core::__private::serde::Serialize, ray_core::__private::serde::Deserialize)]
#[serde(crate = "ray_core::__private::serde")]
pub(crate) struct Chunk {
    /// The function's name in the registry.
    path: String,
    calls: Vec<Call>,
    /// Runs a call whose arguments were moved. It is not sent: in another process the registry finds the function.
    #[serde(skip)]
    run: Option<fn(Call) -> Result<AnyValue>>,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}, {} calls)", self.path, self.calls.len())
    }
}

impl Chunk {
    pub(super) fn new<F: Function<Args: Slots, Output: Serialize>>(_: F, calls: Vec<Call>) -> Self {
        Self { path: F::SPEC.path().to_owned(), calls, run: Some(run::<F>) }
    }

    /// Runs the calls one after the other.
    pub(super) fn run(self) -> Vec<Done> {
        let Self { path, calls, run } = self;
        let run_one = |call: Call| match run {
            Some(run) => run(call),
            None => {
                let args: Result<Vec<EncodedArg>> = call.into_iter().map(|arg| arg.encoded().map(EncodedArg::from)).collect();
                lookup(&path)?.invoke(args?).map(AnyValue::from)
            }
        };
        calls.into_iter().map(|call| Done(run_one(call))).collect()
    }
}

fn run<F: Function<Args: Slots, Output: Serialize>>(call: Call) -> Result<AnyValue> {
    let args = F::Args::of(call)?;
    run_body::<F>(args).map(AnyValue::new)
}

/// Whether a pool can run the function.
pub(super) fn check<F: Function>() -> Result<()> {
    if F::CODEC.is_none() || matches!(F::CALL, FunctionCall::Async(_)) {
        let what = format!(
            "a pool cannot run `{}`: it runs functions that are neither `async` nor `local`; submit it with `.remote(..)`",
            F::SPEC.path()
        );
        return Err(Error::of_kind(ErrorKind::InvalidArgument, what));
    }
    Ok(())
}

/// The outcome of a call.
#[derive(Clone, Debug)]
pub struct Done(Result<AnyValue>);

impl Done {
    pub(super) fn typed<R: DeserializeOwned + Send + Sync + 'static>(self) -> Result<R> {
        self.0?.typed()
    }
}

impl Serialize for Done {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().map_err(|error| error.encode().bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Done {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let done = Result::<AnyValue, Vec<u8>>::deserialize(deserializer)?;
        // The error names the function that returned it, so its decoder is found in the registry.
        Ok(Self(done.map_err(|bytes| EncodedError { bytes }.decode(None))))
    }
}
