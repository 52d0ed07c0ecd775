//! The aliases, flags and `macro_rules` that the expansion of `#[remote]` uses. They keep an expansion short.
//!
//! `#[remote]` emits trait impls, which describe a function or a method, and calls of the macros in this file, whose code is the same
//! for each function or method. Nothing here is public API.
//!
//! A user's constant with the name of a binding in one of these macros would turn the binding into a pattern, and every remote
//! function is a constant. A tuple struct of that name would be an error, and each method of an actor has a hidden tuple struct
//! `__ray_<name>`. Therefore every binding here begins with `__bound_`.

use crate::actor::class::{Flag, No, Yes};
use std::marker::PhantomData;

use crate::__private::{
    ActorClass, Arg, Carrier, Codec, Constructor, ErrorCodec, Function, FunctionCall, MethodCall, RemoteMethod, ResultType,
    RetryArgs, StreamSpec,
};

/// The arguments of a call of `F`.
pub type FunctionArgs<F> = <F as Function>::Args;
/// The type of [`Function::CALL`].
pub type FunctionCallOf<F> = FunctionCall<FunctionArgs<F>, <F as Function>::Output>;
/// The type of [`Function::RETRY`].
pub type FunctionRetry<F> = Option<RetryArgs<FunctionArgs<F>>>;
/// The type of [`Function::CODEC`].
pub type FunctionCodec<F> = Option<Codec<FunctionArgs<F>, <F as Function>::Output>>;

/// The arguments of a call of the method `M`.
pub type MethodArgs<M> = <M as RemoteMethod>::Args;
/// The type of [`RemoteMethod::CALL`].
pub type MethodCallOf<M> = MethodCall<<M as RemoteMethod>::Actor, MethodArgs<M>, <M as RemoteMethod>::Output>;
/// The type of [`RemoteMethod::RETRY`].
pub type MethodRetry<M> = Option<RetryArgs<MethodArgs<M>>>;
/// The type of [`RemoteMethod::CODEC`].
pub type MethodCodec<M> = Option<Codec<MethodArgs<M>, <M as RemoteMethod>::Output>>;

/// What a call of the method `M` returns.
pub type MethodRefs<M> = <M as RemoteMethod>::Refs;
/// The `T` of a `Result<T, E>`, also if the type has an alias.
pub type OkOf<R> = <R as ResultType>::Ok;

/// The type of an `ERROR`.
pub type ErrorCodecOrNone = Option<ErrorCodec>;

/// The type of a `STREAM`.
pub type StreamSpecOrNone = Option<StreamSpec>;

/// The arguments of a constructor.
pub type InitArgs<C> = <C as Constructor>::Args;
/// The type of [`Constructor::CALL`].
pub type InitCall<C> = FunctionCall<InitArgs<C>, <C as Constructor>::Actor>;
/// The type of [`Constructor::RETRY`].
pub type InitRetry<C> = Option<RetryArgs<InitArgs<C>>>;
/// The type of [`Constructor::CODEC`].
pub type InitCodec<C> = Option<Codec<InitArgs<C>, ()>>;

/// How arguments are cloned for another attempt, if `F` asks for it.
#[diagnostic::on_unimplemented(
    message = "these arguments are given again when the actor restarts or a call is retried, so they must be `Clone`",
    label = "an argument here is not `Clone`",
    note = "derive `Clone` for it, or leave `max_restarts` and `max_task_retries` out of the struct's #[remote(..)]"
)]
pub trait KeptIf<F: Flag>: Sized {
    /// `None` if no arguments are kept.
    const RETRY: Option<RetryArgs<Self>>;
}
impl<P> KeptIf<No> for P {
    const RETRY: Option<RetryArgs<P>> = None;
}
impl<P: Clone> KeptIf<Yes> for P {
    const RETRY: Option<RetryArgs<P>> = Some(RetryArgs::cloning());
}

/// Keeps arguments if they are `Clone`: `<Keeping<P>>::KEEP`, with [`NotClone`] in scope.
#[derive(Debug)]
pub struct Keeping<P>(PhantomData<P>);
impl<P: Clone> Keeping<P> {
    /// Each attempt gets a clone of the arguments.
    pub const KEEP: Option<RetryArgs<P>> = Some(RetryArgs::cloning());
}

/// The fallback for arguments that are not `Clone`.
pub trait NotClone<P> {
    /// The arguments are not kept.
    const KEEP: Option<RetryArgs<P>> = None;
}
impl<P> NotClone<P> for Keeping<P> {}

/// The flags of a class, as methods of its [`Carrier`]. For a type that is not a class, method resolution finds [`NoClass`] instead,
/// so that rustc reports that error once, at another place.
pub trait ClassFlags<A: ActorClass> {
    /// Whether the class asks for restarts.
    fn ray_restarts(&self) -> A::Restarts {
        unreachable!("only its type is asked for")
    }
    /// Whether the class asks for retries.
    fn ray_retries(&self) -> A::Retries {
        unreachable!("only its type is asked for")
    }
}
impl<A: ActorClass> ClassFlags<A> for &Carrier<A> {}

/// The flags of a type that is not a class.
pub trait NoClass {
    /// A type that is not a class asks for no restarts.
    fn ray_restarts(&self) -> No {
        No
    }
    /// A type that is not a class asks for no retries.
    fn ray_retries(&self) -> No {
        No
    }
}
impl<A> NoClass for Carrier<A> {}

/// A flag's type.
#[derive(Debug)]
pub struct Asked<F>(PhantomData<F>);

/// Makes the type of the flag that `ask` would return. This is a step of its own so that rustc knows the type before it looks for
/// [`KeptIf`].
pub const fn ask<F: Flag, A: Fn() -> F>(ask: A) -> Asked<F> {
    std::mem::forget(ask);
    Asked(PhantomData)
}

impl<F: Flag> Asked<F> {
    /// How the arguments `P` are cloned, if the flag asks for it.
    pub const fn kept<P: KeptIf<F>>(&self) -> Option<RetryArgs<P>> {
        P::RETRY
    }
}

/// `Sync`, if `NEEDED`.
#[diagnostic::on_unimplemented(
    message = "calls of `{Self}` run at the same time, so it must be `Sync`",
    label = "more than one call at a time",
    note = "`max_concurrency` over 1 and concurrency groups let `&self` methods share the state: put `Cell`, `RefCell` and `Rc` in it aside for atomics, `Mutex` and `Arc`"
)]
pub trait SyncIf<const NEEDED: bool> {}
impl<A: ?Sized> SyncIf<false> for A {}
impl<A: ?Sized + Sync> SyncIf<true> for A {}

/// Accepts any argument, after an error in the parameter's type, so that calls of the function give no further errors.
pub trait IntoAny<T>: Sized {
    /// Exists for type checking only; it is never run.
    fn into_any(self) -> Arg<T> {
        unreachable!("the crate does not compile")
    }
}
impl<T, X> IntoAny<T> for X {}

/// Compiles if `A` is `Sync` or need not be.
pub const fn sync_if<A: ?Sized + SyncIf<NEEDED>, const NEEDED: bool>() {}

/// The name and the place of a function, a class, a constructor or a method, in one `static` each. `$shown` is the name in
/// messages, if that is not the last part of the path.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_spec {
    ($name:literal $($shown:literal)? $(, $mark:ident)*) => {{
        static __RAY_SPEC: $crate::__private::Spec = $crate::__private::Spec::new(
            ::core::concat!(::core::module_path!(), "::", $name),
            ::core::file!(),
            ::core::line!(),
        )$(.named($shown))?$(.$mark())*;
        &__RAY_SPEC
    }};
}
pub use crate::__ray_spec as spec;

/// Enters a function or an actor class in the registry.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_register {
    ($kind:ident $name:ty) => {
        #[allow(deprecated)]
        const _: () = {
            $crate::__private::inventory::submit! { $crate::__private::Registration::$kind::<$name>() }
        };
    };
}
pub use crate::__ray_register as register;

/// The outcome of a body: its value, or its flattened `Result`.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_finish {
    (Plain $value:expr) => {
        ::core::result::Result::Ok($value)
    };
    (Fallible $value:expr) => {
        match $value {
            ::core::result::Result::Ok(__bound_value) => ::core::result::Result::Ok(__bound_value),
            ::core::result::Result::Err(__bound_error) => {
                ::core::result::Result::Err($crate::__private::task_error!(__bound_error))
            }
        }
    };
}
pub use crate::__ray_finish as finish;

/// A `CALL`: the closure that destructures the stored arguments and calls the body.
///
/// The caller passes the whole `$body`, with the span of the user's function, so that an error about an `async` block that is not
/// `Send` names that place.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_call {
    ($call:ident $how:ident ($($state:ident)?) ($($argument:ident)*) $body:expr) => {
        $crate::__private::$call::$how(|$($state,)? ($($argument,)*)| $body)
    };
}
pub use crate::__ray_call as call;

/// The value of `Actor::METHODS`.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_method_entries {
    ($($(#[$cfg:meta])* $marker:ty),*) => {
        &[$($(#[$cfg])* $crate::__private::MethodEntry::new::<$marker>()),*]
    };
}
pub use crate::__ray_method_entries as method_entries;

/// The struct of an actor's methods. All of them have the same link.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_link_methods {
    ($methods:ident $link:ident $($(#[$cfg:meta])* $name:ident),*) => {{
        let _ = $link;
        $methods { $($(#[$cfg])* $name: __ray_methods::$name($link)),* }
    }};
}
pub use crate::__ray_link_methods as link_methods;

/// The items that every `impl RemoteMethod` has.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_method_items {
    ($class:ty; $refs:ty; $spec:expr; $call:expr; $options:expr; $retry:expr; $codec:expr; $error:expr) => {
        type Actor = $class;
        type Refs = $refs;
        const SPEC: &'static $crate::__private::Spec = $spec;
        const CALL: $crate::__private::MethodCallOf<Self> = $call;
        const OPTIONS: $crate::__private::MethodOptions = $options;
        const RETRY: $crate::__private::MethodRetry<Self> = $retry;
        const KEEP: $crate::__private::MethodRetry<Self> = {
            // rustc prefers the inherent constant to that of the trait, if its bound holds.
            #[allow(unused_imports)]
            use $crate::__private::NotClone as _;
            <$crate::__private::Keeping<$crate::__private::MethodArgs<Self>>>::KEEP
        };
        const CODEC: $crate::__private::MethodCodec<Self> = $codec;
        const ERROR: $crate::__private::ErrorCodecOrNone = $error;
        fn link(&self) -> $crate::__private::Link<$class> {
            self.0
        }
    };
}
pub use crate::__ray_method_items as method_items;

/// Hidden types that stand for a constructor or a generic function. The type parameter is the class, or the parameters of
/// the function.
///
/// The class is a parameter, so that an impl on the type is no more visible than the class is (E0446).
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_markers {
    ($($(#[$cfg:meta])* [$($vis:tt)*] $name:ident),*) => {$(
        $(#[$cfg])*
        #[allow(non_camel_case_types, dead_code, missing_debug_implementations, unreachable_pub)]
        #[doc(hidden)]
        $($vis)* struct $name<A>(::core::marker::PhantomData<fn() -> A>);
        $(#[$cfg])*
        impl<A> ::core::clone::Clone for $name<A> {
            fn clone(&self) -> Self {
                *self
            }
        }
        $(#[$cfg])*
        impl<A> ::core::marker::Copy for $name<A> {}
    )*};
}
pub use crate::__ray_markers as markers;

/// Hidden types that stand for the methods of a class. They have the actor of a handle, and are part of this handle.
///
/// They are not `Clone`: nothing else keeps the actor alive. A marker is as visible as its method, so that the types of the method may
/// be no more visible either (E0446).
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_method_markers {
    ($($(#[$cfg:meta])* [$($vis:tt)*] $name:ident),*) => {
        #[doc(hidden)]
        mod __ray_methods {$(
            $(#[$cfg])*
            #[allow(non_camel_case_types, dead_code, missing_debug_implementations, unreachable_pub)]
            $($vis)* struct $name<A>(pub $crate::__private::Link<A>);
        )*}
    };
}
pub use crate::__ray_method_markers as method_markers;

/// The value of an `OPTIONS`, in a const that rustc evaluates where it is defined. So rustc checks an attribute with a constant of
/// the user even if no code submits a call.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_options {
    ($options:ident $($setters:tt)*) => {{
        const __RAY_OPTIONS: $crate::__private::$options = $crate::__private::$options::new()$($setters)*;
        __RAY_OPTIONS
    }};
}
pub use crate::__ray_options as options;

/// The value of a `CODEC`.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_codec {
    (portable $args:expr, $output:expr) => {
        ::core::option::Option::Some($crate::__private::Codec::new($args, $output))
    };
    (local) => {
        ::core::option::Option::None
    };
}
pub use crate::__ray_codec as codec;

/// The value of a `RETRY`, if the attribute of the function or method itself asks for retries.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_cloned {
    () => {
        ::core::option::Option::Some($crate::__private::RetryArgs::cloning())
    };
}
pub use crate::__ray_cloned as cloned;

/// How arguments are cloned for a restart or a retry, if the attribute of the struct asks for that.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_kept {
    ($args:ident, $class:ty, $flag:ident) => {
        $crate::__private::ask(|| {
            use $crate::__private::{ClassFlags as _, NoClass as _};
            (&&$crate::__private::Carrier::<$class>::NEW).$flag()
        })
        .kept::<$crate::__private::$args<Self>>()
    };
}
pub use crate::__ray_kept as kept;
