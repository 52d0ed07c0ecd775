//! Where remote functions and actor classes are found by name: the way in for calls that come as bytes.
//!
//! Every function and class that is not `local` is registered at link time under its module path and name, with the
//! MessagePack glue that reads arguments, runs the body and writes the result. The embedded engine moves values and
//! uses none of it, but in strict mode, which sends every value through the same glue.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::error::{Error, ErrorKind, Result};
use crate::call::arg::Portable;
use crate::call::bounds::Wire;
use crate::call::function::{ArgsOf, Function, FunctionCall, Outcome};
use crate::call::spec::Spec;

/// The way through MessagePack for one function's arguments and result.
pub struct Glue<P, R> {
    pub(crate) args: fn(P) -> Result<P>,
    pub(crate) output: fn(R) -> Result<R>,
    pub(crate) decode: fn(&mut dyn Iterator<Item = Vec<u8>>) -> Result<P>,
    pub(crate) encode: fn(&R) -> Result<Vec<u8>>,
}

impl<P, R> std::fmt::Debug for Glue<P, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Glue")
    }
}

impl<P, R> Glue<P, R> {
    /// The glue of its two halves.
    #[must_use]
    pub const fn new(args: ArgsGlue<P>, output: OutputGlue<R>) -> Self {
        Self { args: args.round_trip, output: output.round_trip, decode: args.decode, encode: output.encode }
    }
}

/// The way of the arguments. Apart from the result's, so that rustc can point at the one that is not serialisable.
#[derive(Debug)]
pub struct ArgsGlue<P> {
    round_trip: fn(P) -> Result<P>,
    decode: fn(&mut dyn Iterator<Item = Vec<u8>>) -> Result<P>,
}

impl<P: Portable> ArgsGlue<P> {
    /// Exists for serialisable arguments only.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a const, for the generated code")]
    pub const fn new() -> Self {
        Self { round_trip: P::round_trip, decode: P::decode }
    }
}

/// The way of the result.
#[derive(Debug)]
pub struct OutputGlue<R> {
    round_trip: fn(R) -> Result<R>,
    encode: fn(&R) -> Result<Vec<u8>>,
}

impl<R: Wire> OutputGlue<R> {
    /// Exists for a serialisable result only.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a const, for the generated code")]
    pub const fn new() -> Self {
        Self { round_trip: round_trip::<R>, encode: encode::<R> }
    }
}

/// Sends a value through the glue and back, object references and handles in it included.
pub(crate) fn round_trip<T: Serialize + DeserializeOwned>(value: T) -> Result<T> {
    crate::object::travel::carrying(|| crate::base::value::round_trip(value))
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    crate::base::value::encode(value)
}

pub(crate) fn decode_next<T: DeserializeOwned>(documents: &mut dyn Iterator<Item = Vec<u8>>) -> Result<T> {
    let document =
        documents.next().ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "fewer arguments than the function takes"))?;
    crate::base::value::decode(&document)
}

/// Runs a function on MessagePack documents.
pub(crate) type Invoke = fn(Vec<Vec<u8>>) -> Result<Vec<u8>>;

/// A registered function, actor class or method. Made by `#[remote]`.
#[derive(Debug)]
pub struct Registration {
    pub(crate) spec: &'static Spec,
    pub(crate) invoke: Option<Invoke>,
    pub(crate) methods: &'static [MethodEntry],
}

/// A method of a registered class.
#[derive(Debug)]
pub struct MethodEntry {
    pub(crate) spec: &'static Spec,
    /// Its arguments can be kept for another attempt.
    pub(crate) repeatable: bool,
}

impl MethodEntry {
    /// Name and place.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
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
        Self { spec: F::SPEC, invoke: Some(invoke::<F>), methods: &[] }
    }

    /// The methods of an actor class.
    #[must_use]
    pub fn methods(&self) -> &'static [MethodEntry] {
        self.methods
    }

    /// Name and place.
    #[must_use]
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// Runs the function on MessagePack arguments, one document each, and returns its result as MessagePack. What a
    /// worker of a cluster does with a task.
    ///
    /// # Errors
    /// `Serialization` where the documents do not fit; the body's own error; `InvalidArgument` for an actor class.
    pub fn invoke(&self, documents: Vec<Vec<u8>>) -> Result<Vec<u8>> {
        match self.invoke {
            Some(invoke) => invoke(documents),
            None => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("`{}` is an actor class; create it and call its methods", self.spec.path()),
            )),
        }
    }
}

fn invoke<F: Function>(documents: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    let Some(glue) = F::GLUE else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("`{}` is `#[remote(local)]`: its values do not leave the process", F::SPEC.path()),
        ));
    };
    let count = documents.len();
    let mut documents = documents.into_iter();
    let args: ArgsOf<F> = (glue.decode)(&mut documents)?;
    if documents.len() > 0 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("`{}` was given {count} arguments, {} too many", F::SPEC.path(), documents.len()),
        ));
    }
    let run = || -> Outcome<F::Output> {
        match F::CALL {
            FunctionCall::Sync(body) => body(args),
            FunctionCall::Async(body) => futures::executor::block_on(body(args)),
        }
    };
    let output = crate::base::unwind::catch(run)??;
    (glue.encode)(&output)
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

/// Every registered function and actor class.
pub fn registered() -> impl Iterator<Item = &'static Registration> {
    inventory::iter::<Registration>.into_iter()
}
