//! Where remote functions and actor classes are found by name: the way in for calls that come as bytes.
//!
//! Every function and class that is not generic is registered at link time under its module path and name. An entry decodes
//! the arguments of a call, runs the body and encodes the result. The embedded engine moves values and uses none of it.

use crate::base::error::conversion::ErrorCodec;
use crate::base::error::{Arrived, EncodedError, Error, ErrorKind, Result};
use crate::call::codec::EncodedArg;
use crate::call::function::{Function, FunctionCall};
use crate::call::instance::Instance;
use crate::call::invoke::{self, Running};
use crate::call::spec::Spec;
use crate::object::carried::CarriedActor;
use crate::object::encoded::Encoded;
use std::sync::Arc;

/// A registered function, or a registered actor class with its methods. Made by `#[remote]`.
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
    },
    /// `error` is the constructor's.
    Class {
        construct: fn(Vec<EncodedArg>) -> Result<Instance>,
        error: Option<ErrorCodec>,
        methods: &'static [MethodEntry],
        /// A handle of the actor of a number, in an engine with an executor.
        proxy: fn(u64) -> Result<Arc<dyn CarriedActor>>,
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
    /// Its arguments can be kept for another attempt.
    pub(crate) repeatable: bool,
}

impl MethodEntry {
    /// Name and place.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// The method's name, without its class.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.spec.path().rsplit("::").next().unwrap_or_default()
    }

    /// Whether it is an `async fn`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        self.is_async
    }

    /// Whether it takes `&mut self`: then the call has the instance for itself, and waits for calls that run.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// Begins a call. A method that is not `async` runs in the first poll, and blocks the polling thread for that time.
    ///
    /// # Errors
    /// The future ends with `InvalidArgument` where the instance is of another class, the arguments are too many or too few,
    /// or the method is `local`; `Serialization` where bytes do not fit; `ActorDied` after a panic; the body's own error.
    #[must_use = "the call does nothing until the future is polled"]
    pub fn call(&self, instance: &Instance, args: Vec<EncodedArg>) -> Running {
        (self.call)(instance, args)
    }

    /// Calls the method and waits for its end.
    ///
    /// # Errors
    /// As [`call`](Self::call).
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
        Self { spec: F::SPEC, kind: Kind::Function { call: invoke::function::<F>, error: F::ERROR, is_async } }
    }

    /// Name and place.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Whether it is an actor class, not a function.
    #[must_use]
    pub fn is_class(&self) -> bool {
        matches!(self.kind, Kind::Class { .. })
    }

    /// Whether it is an `async fn`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        matches!(self.kind, Kind::Function { is_async: true, .. })
    }

    /// Begins a call of the function. One that is not `async` runs in the first poll, and blocks the polling thread for that
    /// time.
    ///
    /// # Errors
    /// The future ends with `InvalidArgument` where this is an actor class, the arguments are too many or too few, or the
    /// function is `local`; `Serialization` where bytes do not fit; the body's own error.
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
    /// As [`call`](Self::call).
    pub fn invoke(&self, args: Vec<EncodedArg>) -> Result<Encoded> {
        invoke::block_on(self.call(args), &std::sync::Arc::default(), || Ok(()))
    }

    /// Makes an instance of the actor class: runs its constructor on the caller's thread.
    ///
    /// # Errors
    /// `InvalidArgument` where this is a function, the arguments are too many or too few, or the class is `local`;
    /// `Serialization` where bytes do not fit; the constructor's own error.
    pub fn construct(&self, args: Vec<EncodedArg>) -> Result<Instance> {
        match self.kind {
            Kind::Class { construct, .. } => construct(args),
            Kind::Function { .. } => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("`{}` is a function, not an actor class: call it with `invoke`", self.spec.path()),
            )),
        }
    }

    /// The methods of the actor class; none of a function.
    #[must_use]
    pub fn methods(&self) -> &'static [MethodEntry] {
        match self.kind {
            Kind::Class { methods, .. } => methods,
            Kind::Function { .. } => &[],
        }
    }

    /// The method of the actor class that has this name.
    ///
    /// # Errors
    /// `InvalidArgument`: there is none.
    pub fn method(&self, name: &str) -> Result<&'static MethodEntry> {
        self.methods().iter().find(|method| method.name() == name).ok_or_else(|| {
            let known = self.methods().iter().map(MethodEntry::name).collect::<Vec<_>>().join("`, `");
            let what = format!("`{}` has no remote method `{name}`; it has: `{known}`", self.spec.path());
            Error::new(ErrorKind::InvalidArgument, what)
        })
    }
}

/// The registered function or class of a path (`module_path!()`, `::`, name).
///
/// # Errors
/// `InvalidArgument`: none of that name, or two, naming both places.
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

/// The error codec of the function, method or constructor of a path; of a method that is the path of its class, `::`, name.
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

impl EncodedError {
    /// Decodes an error of a call. `codec` is that of the function, method or constructor whose body has just ended. It
    /// decodes a user's value in an error that names no function yet. An error that has gone through
    /// [`Registration::call`] and the like names the function that returned the value, and the registry has its codec.
    ///
    /// A value whose type is not known here is replaced by its text. Bytes that are no error give one of kind
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
