//! The `macro_rules` that define what a user calls: the constant of a remote function, and `remote` and its variants on functions,
//! classes and methods. The expansion of `#[remote]` calls them.
//!
//! The rule about the names of bindings is in `api/macro_support`.

/// The items that have the name of a remote function: its type, in a module of its own, and a constant of this type.
///
/// A constant, and not a unit struct, because rustc then warns of a function that is never used: the registry names the type of each
/// function, but only a call names the constant. Rustdoc sees a function instead, so that it shows the signature.
///
/// The module has a name that no other function has. So two functions of one name have two types, and rustc reports the second
/// constant only, and not each impl for the type as well.
///
/// The caller passes the module and the constant as tokens with the span of the user's function, so that rustc points there.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_function_items {
    (
        [$(#[$cfg:meta])*] [$($docs:tt)*] [$($rustdoc:tt)*] [$($vis:tt)*] [$($module:tt)*] [$($value:tt)*] [$($signature:tt)*]
    ) => {
        $(#[$cfg])*
        #[doc(hidden)]
        #[allow(non_snake_case)]
        $($module)*
        $(#[$cfg])*
        #[cfg(not(doc))]
        $($docs)*
        #[allow(non_upper_case_globals)]
        $($vis)* $($value)*
        $(#[$cfg])*
        #[cfg(doc)]
        $($rustdoc)*
        $($vis)* $($signature)* {
            ::core::unreachable!()
        }
    };
}
pub use crate::__ray_function_items as function_items;

/// The methods that a user calls on a remote function.
///
/// The caller passes the names, with the spans of the user's function, so that notes of rustc point there. `mut` turns a parameter
/// that has the name of a constant in scope (a remote function is one) into a single clear error (E0530).
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_function_surface {
    (
        [$($vis:tt)*] [$remote:ident $try_remote:ident $tell:ident $options:ident] $name:ty, $function:ty,
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
            #[track_caller]
            $($vis)* fn map<__RayItems: ::core::iter::IntoIterator>(self, __bound_items: __RayItems) -> $crate::__private::Map<Self, __RayItems::IntoIter>
            where
                Self: $crate::__private::RemoteFunction<(__RayItems::Item,)>,
            {
                $crate::__private::Map::new(self, __bound_items, true)
            }

            /// As `map`; the results come in the order in which the calls end.
            #[track_caller]
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
///
/// Only these methods construct the struct `$created`, so rustc warns of it if nothing creates the actor. It has the name and the span
/// of the class. An `allow(dead_code)` on the methods would be a use of it; rustc reports none of them, because they are generated
/// code.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_class_surface {
    (
        [$($vis:tt)*] [$remote:ident $try_remote:ident $options:ident] [$($lints:tt)*] [$($marker:tt)*] $created:ident,
        [$($generics:tt)*] $class:ty, $constructor:ty, [$($bounds:tt)*] ($($argument:ident: [$($of:tt)*] $convert:path),*)
    ) => {
        #[doc(hidden)]
        mod __ray_created {
            $($lints)*
            #[allow(non_camel_case_types)]
            $($marker)*
        }
        #[allow(deprecated, unreachable_pub, private_interfaces, unused_mut, clippy::too_many_arguments)]
        impl<$($generics)*> $class $($bounds)* {
            /// Starts an actor and returns its handle at once; `new` runs in the actor.
            ///
            /// All errors come from the first call, or from the handle's `ready()`.
            #[must_use = "an actor ends with its last handle"]
            $($vis)* fn $remote($(mut $argument: $($of)*),*) -> $crate::__private::ActorHandle<Self> {
                let _ = __ray_created::$created;
                $crate::__private::create::<$constructor>(($($convert($argument),)*))
            }

            /// Like `remote`, but returns an error if the actor cannot be created.
            $($vis)* fn $try_remote($(mut $argument: $($of)*),*) -> $crate::__private::Outcome<$crate::__private::ActorHandle<Self>> {
                let _ = __ray_created::$created;
                $crate::__private::try_create::<$constructor>(($($convert($argument),)*))
            }

            /// Options for the actor: `.options().name("counter").remote(..)`.
            #[must_use = "options do nothing until `remote` or `try_remote`"]
            $($vis)* fn $options() -> $crate::__private::ActorBuilder<$constructor, <$constructor as $crate::__private::Constructor>::Args> {
                let _ = __ray_created::$created;
                $crate::__private::ActorBuilder::new()
            }
        }
    };
}
pub use crate::__ray_class_surface as class_surface;

/// The methods that a user calls on a method of a handle, and a method with its name for a call without `.remote`, which does not
/// compile.
///
/// The caller passes the names, with the spans of the user's method, so that notes of rustc point there.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_method_surface {
    (
        [$($vis:tt)*] [$remote:ident $try_remote:ident $tell:ident $options:ident] $name:ident $method:ty, $methods:ty,
        [$($generics:tt)*] [$($bounds:tt)*] ($($argument:ident: [$($of:tt)*] $convert:path),*)
    ) => {
        #[allow(dead_code, deprecated, unreachable_pub, private_interfaces, unused_mut, clippy::too_many_arguments)]
        impl<$($generics)*> $method $($bounds)* {
            /// Calls the method and returns at once. All errors come from the reference.
            #[inline]
            $($vis)* fn $remote(&self, $(mut $argument: $($of)*),*) -> $crate::__private::MethodRefs<Self> {
                $crate::__private::call_method(self, ($($convert($argument),)*))
            }

            /// Like `remote`, but returns an error if the call cannot be made (a dead actor, too many pending calls).
            $($vis)* fn $try_remote(&self, $(mut $argument: $($of)*),*) -> $crate::__private::Outcome<$crate::__private::MethodRefs<Self>> {
                $crate::__private::try_call_method(self, ($($convert($argument),)*))
            }

            /// Calls the method without a reference to the result; a failure is logged.
            #[inline]
            $($vis)* fn $tell(&self, $(mut $argument: $($of)*),*) {
                $crate::__private::tell_method(self, ($($convert($argument),)*));
            }

            /// Begins a call with options: `.options().name("x").remote(..)`.
            $($vis)* fn $options(&self) -> $crate::__private::ConfiguredMethod<'_, Self, $crate::__private::MethodArgs<Self>> {
                $crate::__private::configure_method(self)
            }

            /// Calls the method for each item, at most 100 calls at a time, and iterates over the results in the order of the items.
            #[track_caller]
            $($vis)* fn map<__RayItems: ::core::iter::IntoIterator>(
                &self,
                __bound_items: __RayItems,
            ) -> $crate::__private::Map<$crate::__private::BorrowedMethod<'_, Self>, __RayItems::IntoIter>
            where
                for<'__ray> $crate::__private::BorrowedMethod<'__ray, Self>: $crate::__private::RemoteFunction<(__RayItems::Item,)>,
            {
                $crate::__private::Map::new($crate::__private::BorrowedMethod::new(self), __bound_items, true)
            }

            /// As `map`; the results come in the order in which the calls end.
            #[track_caller]
            $($vis)* fn map_unordered<__RayItems: ::core::iter::IntoIterator>(
                &self,
                __bound_items: __RayItems,
            ) -> $crate::__private::Map<$crate::__private::BorrowedMethod<'_, Self>, __RayItems::IntoIter>
            where
                for<'__ray> $crate::__private::BorrowedMethod<'__ray, Self>: $crate::__private::RemoteFunction<(__RayItems::Item,)>,
            {
                $crate::__private::Map::new($crate::__private::BorrowedMethod::new(self), __bound_items, false)
            }
        }
        #[doc(hidden)]
        impl<$($generics)*> $crate::__private::Called for $method $($bounds)* {
            type Args = $crate::__private::MethodArgs<Self>;
            type Output = <Self as $crate::__private::RemoteMethod>::Output;
            type Refs = <Self as $crate::__private::RemoteMethod>::Refs;
            fn call_whole(&self, __bound_args: Self::Args) -> $crate::__private::ObjectRef<Self::Output> {
                $crate::__private::whole_call_method(self, __bound_args)
            }
        }
        #[allow(dead_code, deprecated, unreachable_pub, private_interfaces, unused_mut, clippy::too_many_arguments)]
        impl<$($generics)*> $methods $($bounds)* {
            #[doc(hidden)]
            $($vis)* fn $name<'__ray>(
                &'__ray self,
                $(mut $argument: impl ::core::marker::Sized),*
            ) -> <$method as $crate::__private::RemoteMethod>::Output
            where
                &'__ray Self: $crate::__private::CallWithoutRemote,
            {
                ::core::unreachable!()
            }
        }
    };
}
pub use crate::__ray_method_surface as method_surface;

/// A type without implementors, so that a call of an actor's method without `.remote` does not compile.
#[diagnostic::on_unimplemented(
    message = "a method of an actor is called by `.remote(..)`",
    label = "write `.remote` after this name: `counter.increment.remote(..)`",
    note = "the call returns an `ObjectRef`, and `ray::get` waits for the value"
)]
pub trait CallWithoutRemote {}

/// `call(..)` on a remote function, and `square(7)` if a function pointer can have its signature.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_plain_call {
    (
        $name:ty, [$($before:tt)*] $call:ident [$($generics:tt)*] ($($argument:ident: $of:ty),*) [$($output:tt)*]
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
