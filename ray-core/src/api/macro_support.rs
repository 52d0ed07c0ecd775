//! The aliases, flags and `macro_rules` that the expansion of `#[remote]` uses. They keep an expansion short.
//!
//! `#[remote]` emits trait impls, which describe a function or a method, and calls of the macros in this file, whose code is the same
//! for each function or method. Nothing here is public API.
//!
//! A user's unit struct with the name of a binding in one of these macros would turn the binding into a pattern, and every remote
//! function is a unit struct. A tuple struct of that name would be an error, and each method of an actor has a hidden tuple struct
//! `__ray_<name>`. Therefore every binding here begins with `__bound_`.

use crate::actor::class::{Flag, No, Yes};
use std::marker::PhantomData;

use crate::__private::{
    ActorClass, Arg, Carrier, Codec, Constructor, ErrorCodec, Function, FunctionCall, Method, MethodCall, Outcome, RemoteMethod,
    ResultType, RetryArgs,
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

/// The type of the field that stands for a method in a handle.
pub type MethodOf<M> = Method<M, <M as RemoteMethod>::Args>;
/// The `T` of a `Result<T, E>`, also if the type has an alias.
pub type OkOf<R> = <R as ResultType>::Ok;

/// The type of an `ERROR`.
pub type ErrorCodecOrNone = Option<ErrorCodec>;

/// The arguments of a constructor.
pub type InitArgs<C> = <C as Constructor>::Args;
/// The type of [`Constructor::CALL`].
pub type InitCall<C> = fn(InitArgs<C>) -> Outcome<<C as Constructor>::Actor>;
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
    note = "`max_concurrency` over 1 lets `&self` methods share the state: put `Cell`, `RefCell` and `Rc` in it aside for atomics, `Mutex` and `Arc`"
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
    (Constructor ($($argument:ident)*) $body:expr) => {
        |($($argument,)*)| $body
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
        $methods { $($(#[$cfg])* $name: $crate::__private::Method::new($link)),* }
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
    };
}
pub use crate::__ray_method_items as method_items;

/// The methods that a user calls on a remote function.
///
/// The caller passes the names, with the spans of the user's function, so that notes of rustc point there. `mut` turns a parameter
/// that has the name of a unit struct in scope (a remote function is one) into a single clear error (E0530).
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_function_surface {
    (
        [$($vis:tt)*] [$remote:ident $try_remote:ident $tell:ident $options:ident] $name:ident $function:ty,
        [$($generics:tt)*] [$($bounds:tt)*]
        ($($argument:ident: [$($of:tt)*] $convert:path),*) -> $refs:ty
    ) => {
        #[allow(dead_code, deprecated, unreachable_pub, private_interfaces, unused_mut, clippy::too_many_arguments)]
        impl $name {
            /// Submits a call and returns at once, with a reference to the result.
            ///
            /// All errors, also those of the submission, come from the reference.
            #[must_use = "the result comes through this reference; `tell` submits a call without one"]
            $($vis)* fn $remote<$($generics)*>(self, $(mut $argument: $($of)*),*) -> $refs $($bounds)* {
                $crate::__private::submit::<$function>(($($convert($argument),)*))
            }

            /// Like `remote`, but returns an error if the call cannot be submitted.
            $($vis)* fn $try_remote<$($generics)*>(self, $(mut $argument: $($of)*),*) -> $crate::__private::Outcome<$refs>
            $($bounds)*
            {
                $crate::__private::try_submit::<$function>(($($convert($argument),)*))
            }

            /// Submits a call without a reference to the result; a failure is logged.
            $($vis)* fn $tell<$($generics)*>(self, $(mut $argument: $($of)*),*) $($bounds)* {
                $crate::__private::tell::<$function>(($($convert($argument),)*));
            }

            /// Submits a call for each item, at most 100 at a time, and iterates over the results in the order of the items.
            $($vis)* fn map<__RayItems: ::core::iter::IntoIterator>(self, __bound_items: __RayItems) -> $crate::__private::Map<Self, __RayItems::IntoIter>
            where
                Self: $crate::__private::RemoteFunction<(__RayItems::Item,)>,
            {
                $crate::__private::Map::new(self, __bound_items, true)
            }

            /// As `map`; the results come in the order in which the calls end.
            $($vis)* fn map_unordered<__RayItems: ::core::iter::IntoIterator>(self, __bound_items: __RayItems) -> $crate::__private::Map<Self, __RayItems::IntoIter>
            where
                Self: $crate::__private::RemoteFunction<(__RayItems::Item,)>,
            {
                $crate::__private::Map::new(self, __bound_items, false)
            }

            /// Options for the next call: `.options().num_cpus(2.0).remote(..)`.
            #[must_use = "options do nothing until `remote`, `try_remote` or `tell`"]
            $($vis)* fn $options<$($generics)*>(self) -> $crate::__private::Configured<$function, <$function as $crate::__private::Function>::Args>
            $($bounds)*
            {
                $crate::__private::Configured::new()
            }
        }
    };
}
pub use crate::__ray_function_surface as function_surface;

/// The methods that a user calls on an actor class.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_class_surface {
    (
        [$($vis:tt)*] [$remote:ident $try_remote:ident $options:ident] [$($generics:tt)*] $class:ty, $constructor:ty,
        [$($bounds:tt)*] ($($argument:ident: [$($of:tt)*] $convert:path),*)
    ) => {
        #[allow(dead_code, deprecated, unreachable_pub, private_interfaces, unused_mut, clippy::too_many_arguments)]
        impl<$($generics)*> $class $($bounds)* {
            /// Starts an actor and returns its handle at once; `new` runs in the actor.
            ///
            /// All errors come from the first call, or from the handle's `ready()`.
            #[must_use = "an actor ends with its last handle"]
            $($vis)* fn $remote($(mut $argument: $($of)*),*) -> $crate::__private::ActorHandle<Self> {
                $crate::__private::create::<$constructor>(($($convert($argument),)*))
            }

            /// Like `remote`, but returns an error if the actor cannot be created.
            $($vis)* fn $try_remote($(mut $argument: $($of)*),*) -> $crate::__private::Outcome<$crate::__private::ActorHandle<Self>> {
                $crate::__private::try_create::<$constructor>(($($convert($argument),)*))
            }

            /// Options for the actor: `.options().name("counter").remote(..)`.
            #[must_use = "options do nothing until `remote` or `try_remote`"]
            $($vis)* fn $options() -> $crate::__private::ActorBuilder<$constructor, <$constructor as $crate::__private::Constructor>::Args> {
                $crate::__private::ActorBuilder::new()
            }
        }
    };
}
pub use crate::__ray_class_surface as class_surface;

/// Hidden types that stand for a method, a constructor or a generic function. The type parameter is the class, or the parameters of
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

/// `call(..)` on a remote function, and `square(7)` if a function pointer can have its signature.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_plain_call {
    (
        $name:ident [$($before:tt)*] $call:ident [$($generics:tt)*] ($($argument:ident: $of:ty),*) [$($output:tt)*]
        [$($bounds:tt)*] [$($body:tt)*] [$($wait:tt)*] $($plain:ident as $pointer:ty)?
    ) => {
        #[allow(dead_code, deprecated, unreachable_pub, private_interfaces, unused_mut, clippy::too_many_arguments)]
        impl $name {
            /// Calls the function on this thread, like any other function.
            $($before)* fn $call<$($generics)*>(self, $(mut $argument: $of),*) $($output)* $($bounds)* {
                $($body)*($($argument),*)$($wait)*
            }
        }
        $(#[allow(deprecated)] impl ::core::ops::Deref for $name {
            type Target = $pointer;
            fn deref(&self) -> &Self::Target {
                const __RAY_BODY: &$pointer = &($plain as $pointer);
                __RAY_BODY
            }
        })?
    };
}
pub use crate::__ray_plain_call as plain_call;
