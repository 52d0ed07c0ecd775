//! Actors: state with a mailbox.
//!
//! A call goes handle -> mailbox -> run right -> instance. Whoever has the run right (a worker, or a getter that
//! waits for a call of its own) takes calls from the mailbox and runs them; there is one run right an actor, so a
//! serial actor's methods never overlap. A concurrent actor (async methods, or `max_concurrency` above 1) uses the run
//! right to admit calls, which then run side by side.

use crate::base::options::{ActorOptions, MethodOptions};
use crate::call::bounds::{Args, Shareable};
use crate::call::codec::Codec;
use crate::call::function::{MethodCall, Outcome, RetryArgs};
use crate::call::refs::Refs;
use crate::call::spec::Spec;

pub(crate) use crate::actor::cell::Link;

/// A type that was declared an actor class: `#[remote]` on a struct or an enum.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no actor class",
    label = "write `#[remote]` above its definition",
    note = "an actor needs both: `#[remote]` on the struct or enum, and `#[remote]` on its one impl block with `new`"
)]
pub trait ActorClass: Sized + Send + 'static {
    /// The attribute's options.
    const OPTIONS: ActorOptions;
    /// Whether it asks for restarts, so that the constructor's arguments are kept.
    type Restarts: Flag;
    /// Whether it asks for calls to be tried again, so that their arguments are kept.
    type Retries: Flag;
}

/// Does the struct's attribute ask for restarts (or retries)?
///
/// A type, so that the impl's attribute, which does not see the struct's, can demand `Clone` of arguments where it does.
pub trait Flag: 'static {}
/// It does.
#[derive(Debug)]
pub struct Yes;
/// It does not.
#[derive(Debug)]
pub struct No;
impl Flag for Yes {}
impl Flag for No {}

/// An actor class with its methods: `#[remote]` on the impl block.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no remote methods",
    label = "write `#[remote]` above the impl block with `new`",
    note = "an actor needs both: `#[remote]` on the struct or enum, and `#[remote]` on its one impl block with `new`"
)]
pub trait Actor: Sized + Send + 'static {
    /// Itself, as the class that the attribute on the struct made it. Not a supertrait: where it is missing, rustc says
    /// so here, once, and not wherever the actor is named.
    type Class: ActorClass;
    /// The generated struct of methods that a handle dereferences to.
    type Methods: Send + Sync + 'static;
    /// Name and place.
    const SPEC: &'static Spec;
    /// A method is `async`.
    const IS_ASYNC: bool;
    /// What the registry knows of the methods.
    const METHODS: &'static [crate::call::registry::MethodEntry];
    /// The methods of a handle.
    fn methods(link: Link<Self>) -> Self::Methods;
}

/// The arguments of a constructor.
pub(crate) type InitArgs<C> = <C as Constructor>::Args;

/// `new` of an actor class.
pub trait Constructor: 'static {
    /// The class.
    type Actor: Actor;
    /// Its arguments as they are kept.
    type Args: Args;
    /// Name and place.
    const SPEC: &'static Spec;
    /// The body.
    const CALL: fn(Self::Args) -> Outcome<Self::Actor>;
    /// How arguments are kept for a restart, where the attribute asks for restarts.
    const RETRY: Option<RetryArgs<Self::Args>>;
    /// How arguments and result are encoded and decoded; none for `local` ones.
    const CODEC: Option<Codec<Self::Args, ()>>;
}

/// The arguments of a method.
pub(crate) type MethodArgs<M> = <M as RemoteMethod>::Args;

/// A method of an actor class.
pub trait RemoteMethod: 'static {
    /// The class.
    type Actor: Actor;
    /// Its arguments as they are kept.
    type Args: Args;
    /// The type of the object it makes.
    type Output: Shareable;
    /// What a call returns.
    type Refs: Refs<Self::Output>;
    /// Name and place.
    const SPEC: &'static Spec;
    /// The body.
    const CALL: MethodCall<Self::Actor, MethodArgs<Self>, Self::Output>;
    /// The attribute's options.
    const OPTIONS: MethodOptions = MethodOptions::new();
    /// How arguments are kept for another attempt, where they can be cloned.
    const RETRY: Option<RetryArgs<MethodArgs<Self>>> = None;
    /// How arguments can be kept, where they can be cloned: for a creation that asks for retries.
    const KEEP: Option<RetryArgs<MethodArgs<Self>>>;
    /// How arguments and result are encoded and decoded; none for `local` ones.
    const CODEC: Option<Codec<MethodArgs<Self>, Self::Output>>;
}
