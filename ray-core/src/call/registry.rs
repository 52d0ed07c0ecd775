//! The registry of remote functions and actor classes by name, for calls whose arguments are bytes.
//!
//! Every function and class that is not generic is registered at link time under its module path and name. A registration decodes
//! the arguments of a call, runs the body and encodes the result. The embedded engine moves values and does not use the registry
//! for calls.

use crate::base::error::conversion::ErrorCodec;
use crate::base::error::{Arrived, EncodedError, Error, ErrorKind, Result};
use crate::base::options::RetryOn;
use crate::call::codec::EncodedArg;
use crate::call::function::{Function, FunctionCall};
use crate::call::instance::{Constructing, Instance};
use crate::call::invoke::{self, Running};
use crate::call::spec::Spec;
use crate::object::carried::CarriedActor;
use crate::object::encoded::Encoded;
use std::sync::Arc;

/// A registered function, or a registered actor class with its methods. `#[remote]` makes it.
#[derive(Debug)]
pub struct Registration {
    pub(crate) spec: &'static Spec,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Function {
        call: fn(Vec<EncodedArg>) -> Running,
        error: Option<ErrorCodec>,
        is_async: bool,
        retry_on: fn() -> RetryOn,
        signature: fn() -> &'static str,
    },
    /// A class; `error` is the decoder for the errors of its constructor.
    Class {
        construct: fn(Vec<EncodedArg>) -> Constructing,
        /// Whether the constructor is `async`.
        is_async: bool,
        error: Option<ErrorCodec>,
        methods: &'static [MethodEntry],
        /// Makes a handle of the actor with a number, in an engine with an executor.
        proxy: fn(u64) -> Result<Arc<dyn CarriedActor>>,
        signature: fn() -> &'static str,
    },
}

/// A method of a registered class.
#[derive(Debug)]
pub struct MethodEntry {
    pub(crate) spec: &'static Spec,
    pub(crate) call: fn(&Instance, Vec<EncodedArg>) -> Running,
    pub(crate) error: Option<ErrorCodec>,
    pub(crate) is_async: bool,
    pub(crate) is_exclusive: bool,
    /// Whether the arguments can be kept for another attempt.
    pub(crate) repeatable: bool,
    /// The retry rule of the attribute. A function, so that an invalid attribute has one compiler message.
    pub(crate) retry_on: fn() -> RetryOn,
    /// The concurrency group of the attribute, as a function for the same reason.
    pub(crate) group: fn() -> Option<&'static str>,
    /// The types of the arguments and of the result.
    pub(crate) signature: fn() -> &'static str,
}

impl MethodEntry {
    /// The name and the place of the method.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// The name of the method, without its class.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.spec.path().rsplit("::").next().unwrap_or_default()
    }

    /// Whether the method is an `async fn`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        self.is_async
    }

    /// Whether the method takes `&mut self`. Then a call has the instance for itself, and waits for running calls.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// The concurrency group that the attribute of the method names; none: the default group.
    #[must_use]
    pub fn group(&self) -> Option<&'static str> {
        (self.group)()
    }

    /// Whether the attribute of the method asks for another attempt after this error of its body.
    #[must_use]
    pub fn retries(&self, error: &Error) -> bool {
        (self.retry_on)().allows(error)
    }

    /// Makes a call. It takes its place in the line of the instance's calls here, and begins in the first poll. A method that is not
    /// `async` runs in that poll, and blocks the polling thread for that time.
    ///
    /// # Errors
    /// The future returns `InvalidArgument` if the instance is of another class, if there are too many or too few arguments, or if
    /// the method is `local`; `Serialization` if the bytes do not match the types; `ActorDied` after a panic; otherwise the error
    /// of the body.
    #[must_use = "the call does nothing until the future is polled"]
    pub fn call(&self, instance: &Instance, args: Vec<EncodedArg>) -> Running {
        (self.call)(instance, args)
    }

    /// Calls the method and waits for its end.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn invoke(&self, instance: &Instance, args: Vec<EncodedArg>) -> Result<Encoded> {
        invoke::block_on(self.call(instance, args), &std::sync::Arc::default(), || Ok(()))
    }

    /// Whether the arguments of all these methods can be kept for another attempt.
    pub(crate) const fn all_repeatable(methods: &[Self]) -> bool {
        let mut at = 0;
        while at < methods.len() {
            if !methods[at].repeatable {
                return false;
            }
            at += 1;
        }
        true
    }
}

inventory::collect!(Registration);

impl Registration {
    /// Registers a function.
    #[must_use]
    pub const fn function<F: Function>() -> Self {
        let is_async = matches!(F::CALL, FunctionCall::Async(_));
        let retry_on = || F::OPTIONS.retry_on.clone();
        let signature = || std::any::type_name::<(F::Args, F::Output)>();
        Self {
            spec: F::SPEC,
            kind: Kind::Function { call: invoke::function::<F>, error: F::ERROR, is_async, retry_on, signature },
        }
    }

    /// Whether the attribute of the function asks for another attempt after this error of its body.
    #[must_use]
    pub fn retries(&self, error: &Error) -> bool {
        matches!(self.kind, Kind::Function { retry_on, .. } if retry_on().allows(error))
    }

    /// The name and the place of the function or class.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Whether this is an actor class, not a function.
    #[must_use]
    pub fn is_class(&self) -> bool {
        matches!(self.kind, Kind::Class { .. })
    }

    /// Whether this is an `async fn`, or a class whose constructor is one.
    #[must_use]
    pub fn is_async(&self) -> bool {
        matches!(self.kind, Kind::Function { is_async: true, .. } | Kind::Class { is_async: true, .. })
    }

    /// Begins a call of the function. One that is not `async` runs in the first poll, and blocks the polling thread for that
    /// time.
    ///
    /// # Errors
    /// The future returns `InvalidArgument` if this is an actor class, if there are too many or too few arguments, or if the
    /// function is `local`; `Serialization` if the bytes do not match the types; otherwise the error of the body.
    #[must_use = "the call does nothing until the future is polled"]
    pub fn call(&self, args: Vec<EncodedArg>) -> Running {
        match self.kind {
            Kind::Function { call, .. } => call(args),
            Kind::Class { .. } => {
                let what = format!(
                    "`{}` is an actor class, not a function: make an instance of it with `construct` and call its methods",
                    self.spec.path()
                );
                Box::pin(std::future::ready(Err(Error::new(ErrorKind::InvalidArgument, what))))
            }
        }
    }

    /// Calls the function and waits for its end.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn invoke(&self, args: Vec<EncodedArg>) -> Result<Encoded> {
        invoke::block_on(self.call(args), &std::sync::Arc::default(), || Ok(()))
    }

    /// Begins to make an instance of the actor class. A constructor that is not `async` runs in the first poll, and blocks
    /// the polling thread for that time.
    ///
    /// # Errors
    /// The future returns `InvalidArgument` if this is a function, if there are too many or too few arguments, or if the
    /// class is `local`; `Serialization` if the bytes do not match the types; otherwise the error of the constructor.
    #[must_use = "the constructor does nothing until the future is polled"]
    pub fn begin_construct(&self, args: Vec<EncodedArg>) -> Constructing {
        match self.kind {
            Kind::Class { construct, .. } => construct(args),
            Kind::Function { .. } => {
                let what = format!("`{}` is a function, not an actor class: call it with `invoke`", self.spec.path());
                Box::pin(std::future::ready(Err(Error::new(ErrorKind::InvalidArgument, what))))
            }
        }
    }

    /// Makes an instance of the actor class, and waits for the end of the constructor.
    ///
    /// # Errors
    /// Those of [`begin_construct`](Self::begin_construct).
    pub fn construct(&self, args: Vec<EncodedArg>) -> Result<Instance> {
        invoke::block_on(self.begin_construct(args), &Arc::default(), || Ok(()))
    }

    /// The methods of the actor class. A function has none.
    #[must_use]
    pub fn methods(&self) -> &'static [MethodEntry] {
        match self.kind {
            Kind::Class { methods, .. } => methods,
            Kind::Function { .. } => &[],
        }
    }

    /// The method of the actor class with this name.
    ///
    /// # Errors
    /// `InvalidArgument` if there is none.
    pub fn method(&self, name: &str) -> Result<&'static MethodEntry> {
        self.methods().iter().find(|method| method.name() == name).ok_or_else(|| {
            let known = self.methods().iter().map(MethodEntry::name).collect::<Vec<_>>().join("`, `");
            let what = format!("`{}` has no remote method `{name}`; it has: `{known}`", self.spec.path());
            Error::new(ErrorKind::InvalidArgument, what)
        })
    }
}

/// The registered function or class with this path (`module_path!()`, `::`, name).
///
/// # Errors
/// `InvalidArgument` if there is none, or if there are two; the text then has both places.
pub fn lookup(path: &str) -> Result<&'static Registration> {
    let mut found = inventory::iter::<Registration>.into_iter().filter(|entry| entry.spec.path() == path);
    let Some(first) = found.next() else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "no remote function or actor class `{path}` in this program; names are module path and name, as `my_crate::jobs::square`"
            ),
        ));
    };
    match found.next() {
        None => Ok(first),
        Some(second) => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "two remote items are called `{path}`: {}:{} and {}:{}; rename one, or move it to a module of its own",
                first.spec.file(),
                first.spec.line(),
                second.spec.file(),
                second.spec.line()
            ),
        )),
    }
}

/// The error decoder of the function, method or constructor with this path; the path of a method is that of its class, `::`, name.
fn error_codec(path: &str) -> Option<ErrorCodec> {
    if let Ok(Registration { kind: Kind::Function { error, .. }, .. }) = lookup(path) {
        return *error;
    }
    let (class, name) = path.rsplit_once("::")?;
    let Kind::Class { error, methods, .. } = &lookup(class).ok()?.kind else { return None };
    if name == "new" {
        return *error;
    }
    methods.iter().find(|method| method.spec.path() == path)?.error
}

/// The retry rule of the attribute of the function or method with this path.
pub(crate) fn retry_on(path: &str) -> Option<RetryOn> {
    if let Ok(Registration { kind: Kind::Function { retry_on, .. }, .. }) = lookup(path) {
        return Some(retry_on());
    }
    let class = lookup(path.rsplit_once("::")?.0).ok()?;
    class.methods().iter().find(|method| method.spec.path() == path).map(|method| (method.retry_on)())
}

impl EncodedError {
    /// Decodes an error of a call. `codec` is the decoder of the function, method or constructor whose body has just ended. It
    /// decodes the user's value in an error that names no function yet. An error that has passed through [`Registration::call`] or
    /// [`MethodEntry::call`] names the function that returned the value, whose decoder is in the registry.
    ///
    /// A value whose type is not known in this process is replaced by its text. Bytes that are not an error give an error of kind
    /// `Serialization`.
    #[must_use]
    pub fn decode(self, codec: Option<ErrorCodec>) -> Error {
        self.arrive(codec).error
    }

    pub(crate) fn arrive(self, codec: Option<ErrorCodec>) -> Arrived {
        self.decode_with(codec, error_codec)
    }
}

/// Every registered function and actor class.
pub fn registered() -> impl Iterator<Item = &'static Registration> {
    inventory::iter::<Registration>.into_iter()
}

/// The paths and types of all remote functions, constructors and methods, sorted. Two programs that have the same ones can serve each
/// other's calls.
#[must_use]
pub fn signatures() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for Registration { spec, kind } in registered() {
        match kind {
            Kind::Function { signature, .. } => lines.push(format!("{} {}", spec.path(), signature())),
            Kind::Class { signature, methods, .. } => {
                lines.push(format!("{}::new {}", spec.path(), signature()));
                lines.extend(methods.iter().map(|method| format!("{} {}", method.spec.path(), (method.signature)())));
            }
        }
    }
    lines.sort_unstable();
    lines
}
