//! Actor classes: the traits that the expansion of `#[remote]` implements.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::actor::head::ActorHead;
use crate::base::error::conversion::ErrorCodec;
use crate::base::options::{ActorOptions, MethodOptions};
use crate::call::bounds::{Args, Shareable};
use crate::call::checkpoint::Checkpoints;
use crate::call::codec::Codec;
use crate::call::function::{FunctionCall, MethodCall, RetryArgs};
use crate::call::refs::Refs;
use crate::call::spec::Spec;
use crate::call::stream_spec::StreamSpec;

/// An actor as its methods know it; made by the engine for the generated code.
pub struct Link<A> {
    pub(crate) head: NonNull<ActorHead>,
    class: PhantomData<fn(A)>,
}

impl<A> Link<A> {
    /// The link that the methods in the cell of this head get.
    pub(super) fn new(head: NonNull<ActorHead>) -> Self {
        Self { head, class: PhantomData }
    }
}

impl<A> Clone for Link<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Link<A> {}

impl<A> fmt::Debug for Link<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

// SAFETY: a link is the address of a head, which is Sync.
unsafe impl<A> Send for Link<A> {}
// SAFETY: a shared link gives access to the head only, which is Sync.
unsafe impl<A> Sync for Link<A> {}

/// An actor class: a struct or an enum with the attribute `#[remote]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no actor class",
    label = "write `#[remote]` above its definition",
    note = "an actor needs both: `#[remote]` on the struct or enum, and `#[remote]` on its one impl block with `new`"
)]
pub trait ActorClass: Sized + 'static {
    /// The attribute's options.
    const OPTIONS: ActorOptions;
    /// How the state is saved and restored, if the attribute asks for checkpoints.
    const CHECKPOINTS: Option<Checkpoints<Self>> = None;
    /// Whether the attribute asks for restarts. The engine then keeps the constructor's arguments.
    type Restarts: Flag;
    /// Whether the attribute asks for retries of calls. The engine then keeps their arguments.
    type Retries: Flag;
}

/// Whether the struct's attribute asks for restarts (or retries).
///
/// It is a type, so that the attribute of the impl block, which does not see the attribute of the struct, can require
/// `Clone` of arguments if they are to be kept.
pub trait Flag: 'static {}
/// The attribute asks for it.
#[derive(Debug)]
pub struct Yes;
/// The attribute does not ask for it.
#[derive(Debug)]
pub struct No;
impl Flag for Yes {}
impl Flag for No {}

/// Evidence that the state of an actor is `Send`.
pub struct Movable<A>(PhantomData<fn(A)>);

impl<A> fmt::Debug for Movable<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Movable")
    }
}

impl<A: MovableState> Movable<A> {
    /// Compiles for a type that is `Send`.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<A: MovableState> Default for Movable<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// The types that can be the state of an actor: those that are `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an actor, because its state cannot move to another thread",
    label = "a field of this type is not `Send`; another error here names the type of the field",
    note = "in the fields of an actor write `Arc` for `Rc`, `Mutex` or `RwLock` for `Arc<RefCell<..>>`, an owned value for a raw pointer"
)]
pub trait MovableState {}
#[diagnostic::do_not_recommend]
impl<A: Send> MovableState for A {}

/// Compiles for a type that is `Send`. The error of rustc names the field, which that of [`MovableState`] cannot.
pub const fn every_field_is_send<A: Send>() {}

/// An actor class with its methods: `#[remote]` on the impl block.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no remote methods",
    label = "write `#[remote]` above the impl block with `new`",
    note = "an actor needs both: `#[remote]` on the struct or enum, and `#[remote]` on its one impl block with `new`"
)]
pub trait Actor: Sized + 'static {
    /// The type is `Send`. It is not a supertrait, so that rustc reports an actor that is not `Send` here only, and not wherever the
    /// actor is named.
    const MOVABLE: Movable<Self>;
    /// The type itself, with the class that the attribute on the struct gives it. It is not a supertrait, so that rustc
    /// reports a missing attribute once, here, and not wherever the actor is named.
    type Class: ActorClass;
    /// The generated struct of methods that a handle dereferences to.
    type Methods: Send + Sync + 'static;
    /// The name and the source location.
    const SPEC: &'static Spec;
    /// Whether a method is `async`.
    const IS_ASYNC: bool;
    /// The methods' entries in the registry.
    const METHODS: &'static [crate::call::registry::MethodEntry];
    /// Makes the methods of a handle.
    fn methods(link: Link<Self>) -> Self::Methods;
}

/// Compiles for a type with both attributes.
pub const fn is_actor<A: Actor>() {}

/// The arguments of a constructor.
pub(crate) type InitArgs<C> = <C as Constructor>::Args;

/// `new` of an actor class.
pub trait Constructor: 'static {
    /// The class.
    type Actor: Actor;
    /// The arguments as the engine stores them.
    type Args: Args;
    /// The name and the source location.
    const SPEC: &'static Spec;
    /// The body, which makes the instance.
    const CALL: FunctionCall<InitArgs<Self>, Self::Actor>;
    /// How the arguments are cloned for a restart, if the attribute asks for restarts.
    const RETRY: Option<RetryArgs<Self::Args>>;
    /// The conversion through MessagePack; none for a `local` item.
    const CODEC: Option<Codec<Self::Args, ()>>;
    /// How the values of its error type are decoded; none where it returns no `Result`.
    const ERROR: Option<ErrorCodec>;
}

/// The arguments of a method.
pub(crate) type MethodArgs<M> = <M as RemoteMethod>::Args;

/// A method of an actor class.
pub trait RemoteMethod: 'static {
    /// The class.
    type Actor: Actor;
    /// The arguments as the engine stores them.
    type Args: Args;
    /// The type of the object that a call makes.
    type Output: Shareable;
    /// What a call returns.
    type Refs: Refs<Self::Output>;
    /// The name and the source location.
    const SPEC: &'static Spec;
    /// The body.
    const CALL: MethodCall<Self::Actor, MethodArgs<Self>, Self::Output>;
    /// The attribute's options.
    const OPTIONS: MethodOptions = MethodOptions::new();
    /// How the arguments are cloned for another attempt, if the attribute asks for retries.
    const RETRY: Option<RetryArgs<MethodArgs<Self>>> = None;
    /// How the arguments are cloned, if their types are `Clone`: for actors whose creation asks for retries.
    const KEEP: Option<RetryArgs<MethodArgs<Self>>>;
    /// The conversion through MessagePack; none for a `local` item.
    const CODEC: Option<Codec<MethodArgs<Self>, Self::Output>>;
    /// How the values of its error type are decoded; none where it returns no `Result`.
    const ERROR: Option<ErrorCodec>;
    /// The items, if the method makes a stream.
    const STREAM: Option<StreamSpec> = None;
    /// The actor of the handle that has this method.
    fn link(&self) -> Link<Self::Actor>;
}
