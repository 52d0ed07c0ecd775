//! What is wrong with a model, all of it, on the user's tokens, saying what to write instead.
//!
//! What only rustc can know (is it `Send`? can it be serialised?) is left to bounds, which `expand` puts on the user's
//! tokens.

use quote::ToTokens;
use syn::{Expr, GenericParam, Generics, Ident, Receiver, ReturnType, Signature, Type};

use crate::model::{Actor, Callable, Class, Function, Kind, Method};
use crate::options::Options;
use crate::report::Report;
use crate::types::{self, Contents};

/// The most parameters; the engine's tuples end there.
const MAX_PARAMS: usize = 12;
/// Names that the class itself gets.
const RESERVED: &[&str] = &["remote", "try_remote", "options"];

/// What a signature belongs to; each has its own words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Function,
    Method,
    Constructor,
}

impl What {
    fn named(self) -> &'static str {
        match self {
            What::Function => "a remote function",
            What::Method => "a remote method",
            What::Constructor => "an actor's `new`",
        }
    }

    /// Where a thing goes that is no matter of remote calls.
    fn aside(self) -> &'static str {
        match self {
            What::Function => "leave #[remote] out to keep it a plain function",
            What::Method | What::Constructor => "leave out its visibility or move it to another impl block to keep it plain",
        }
    }
}

/// Checks a function; true where nothing is wrong with it.
pub(crate) fn function(model: &Function, report: &mut Report) -> bool {
    let before = report.len();
    let Function { call, options, .. } = model;
    if let Some(receiver) = call.sig.receiver() {
        report.error(
            receiver,
            "#[remote] goes on the whole impl block (and on its struct), not on one method: the handle shows each method with a visibility",
        );
        return false;
    }
    let generics = &call.sig.generics;
    if !options.local && generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_))) {
        report.error(
            &generics.params,
            "a generic function has no one name that another process could call: write #[remote(local)] to keep it in \
             this process, or a #[remote] function for each type",
        );
    }
    const_params(generics, report);
    signature(What::Function, call, options, options.local, report);
    report.len() == before
}

/// Checks a struct or an enum; true where nothing is wrong with it.
pub(crate) fn class(model: &Class, report: &mut Report) -> bool {
    let before = report.len();
    for lifetime in model.generics.lifetimes() {
        report.error(
            lifetime,
            "an actor outlives the scope that starts it, so its state cannot borrow: own the data, or share it by `Arc`",
        );
    }
    report.len() == before
}

/// Checks an impl block; true where nothing is wrong with it.
pub(crate) fn actor(model: &Actor, report: &mut Report) -> bool {
    let before = report.len();
    if !block(model, report) {
        return false;
    }
    let Actor { item, options, .. } = model;
    if !options.local && item.generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_))) {
        report.error(
            &item.generics.params,
            "a generic actor has no one name that another process could start: write #[remote(local)] on this impl to \
             keep it in this process, or an impl for each type",
        );
    }
    for lifetime in item.generics.lifetimes() {
        report.error(lifetime, "an actor outlives the scope that starts it: leave the lifetime out");
    }
    const_params(&item.generics, report);
    for name in clashes(model) {
            report.error(
                name,
                format_args!("#[remote] gives the type its own `{name}`; call this function by another name"),
            );
    }
    constructors(model, report);
    if model.methods.is_empty()
        && let Some(first) = model.hidden.first()
    {
        report.error(
            first,
            "the handle shows methods with a visibility, and no method here has one: write `pub fn` (or `pub(crate) fn`)",
        );
    }
    for method in &model.methods {
        receiver(method, report);
        generic_method(What::Method, &method.call.sig, report);
        signature(What::Method, &method.call, &method.options, options.local, report);
    }
    report.len() == before
}

/// Is this the kind of impl block that can be an actor's at all?
fn block(model: &Actor, report: &mut Report) -> bool {
    let before = report.len();
    let Actor { item, .. } = model;
    if let Some((_, path, _)) = &item.trait_ {
        report.error(
            path,
            format_args!(
                "a handle shows the methods of the type's own block: put #[remote] on `impl {}`, leave this impl plain, \
                 and call the trait's methods from there",
                crate::print::text(item.self_ty.to_token_stream())
            ),
        );
    } else if let Some(token) = &item.unsafety {
        report.error(token, "an actor's impl is not `unsafe`; leave the word out");
    } else if let Some(token) = &item.defaultness {
        report.error(token, "an actor's impl is not `default`; leave the word out");
    } else if types::last_segment(&item.self_ty).is_none() {
        report.error(&item.self_ty, "an actor's type is a struct or an enum of this crate, by its name");
    }
    report.len() == before
}

/// The functions of the block whose names the class itself gets.
pub(crate) fn clashes(model: &Actor) -> impl Iterator<Item = &Ident> {
    model.names.iter().filter(|name| RESERVED.iter().any(|reserved| *name == reserved))
}

fn constructors(model: &Actor, report: &mut Report) {
    let name = &model.name;
    let Some(new) = model.constructors.first() else {
        report.error(
            &model.item.self_ty,
            format_args!(
                "`{name}` has no constructor: write `pub fn new(..) -> Self` in this block, which `{name}::remote(..)` runs"
            ),
        );
        return;
    };
    for second in &model.constructors[1..] {
        report.error(second.call.ident(), "an actor has one `new`; give the other one another name");
    }
    let sig = &new.call.sig;
    if let Some(receiver) = &new.receiver {
        report.error(receiver, "`new` makes the actor, so there is no `self` yet: `pub fn new(..) -> Self`");
    }
    if let Some(token) = &sig.asyncness {
        report.error(
            token,
            "`new` is not async, since no call can run before it has ended: make it plain, and do what waits in a method",
        );
    }
    generic_method(What::Constructor, sig, report);
    let made = match &sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(types::result_ok(ty).unwrap_or(ty)),
    };
    // A `Result` without visible types is an alias; rustc says whether it fits.
    let is_class = made.is_none_or(|ty| types::ends_in(ty, "Self") || types::ends_in(ty, &name.to_string()) || types::ends_in(ty, "Result"));
    if made.is_none() {
        report.error(&sig.ident, "`new` returns the actor's state: `-> Self` or `-> Result<Self, E>`");
    } else if !is_class {
        report.error(&sig.output, "`new` returns the actor's state: `-> Self` or `-> Result<Self, E>`");
    }
    parameters(What::Constructor, &new.call, model.options.local, report);
    qualifiers(What::Constructor, sig, report);
}

fn receiver(method: &Method, report: &mut Report) {
    let Some(receiver) = &method.receiver else { return };
    let Receiver { reference, colon_token, ty, .. } = receiver;
    let borrowed = match (reference, colon_token, types::bare(ty)) {
        (Some(_), ..) => true,
        (None, Some(_), Type::Reference(reference)) => types::last_segment(&reference.elem).is_some_and(|(ident, arguments)| {
            // `self: &Self`, `self: &Counter`; not `self: &Arc<Self>`.
            ident == "Self" || !arguments.iter().any(|argument| types::ends_in(argument, "Self"))
        }),
        _ => false,
    };
    if !borrowed {
        report.error(
            receiver,
            "the actor keeps its state between calls: take `&self` or `&mut self` (a method ends its actor by \
             `ray::exit_actor()`), or leave out its visibility to keep it plain",
        );
    }
}

fn generic_method(what: What, sig: &Signature, report: &mut Report) {
    let params = sig.generics.params.iter().filter(|param| !matches!(param, GenericParam::Lifetime(_)));
    for param in params {
        report.error(
            param,
            format_args!(
                "{} has no type parameters, as a handle's field has one type: make the type generic (with \
                 #[remote(local)] on the impl), name the type, or {}",
                what.named(),
                what.aside()
            ),
        );
    }
}

/// What functions and methods have in common.
fn signature(what: What, call: &Callable, options: &Options, local: bool, report: &mut Report) {
    qualifiers(what, &call.sig, report);
    parameters(what, call, local, report);
    output(what, call, local, report);
    if let Some((count, expr)) = &options.num_returns {
        num_returns(*count, expr, call, report);
    }
}

fn qualifiers(what: What, sig: &Signature, report: &mut Report) {
    let named = what.named();
    if let Some(token) = &sig.constness
        && what == What::Function
    {
        report.error(token, format_args!("{named} runs in the engine, never at compile time: leave `const` out, or {}", what.aside()));
    }
    if let Some(token) = &sig.unsafety {
        report.error(
            token,
            format_args!("{named} is called without `unsafe`: make it safe, with an `unsafe` block inside where it is sound"),
        );
    }
    if let Some(abi) = &sig.abi {
        report.error(abi, format_args!("{named} has Rust's own ABI: leave `extern` out, and call it from an `extern` function"));
    }
    if let Some(variadic) = &sig.variadic {
        report.error(variadic, format_args!("{named} takes a fixed number of arguments: take a `Vec`"));
    }
    for lifetime in sig.generics.lifetimes() {
        report.error(
            lifetime,
            format_args!("{named} borrows its arguments from the object store: leave the lifetime out and write `&T`"),
        );
    }
}

fn parameters(what: What, call: &Callable, local: bool, report: &mut Report) {
    let named = what.named();
    if call.params.len() > MAX_PARAMS {
        report.error(
            &call.params[MAX_PARAMS].written,
            format_args!("{named} takes at most {MAX_PARAMS} parameters: group some in a struct or a tuple"),
        );
    }
    for param in &call.params {
        // A lifetime on the reference itself is spoken of where it is declared; `'static` is not.
        let written = types::bare(&param.written);
        if let Type::Reference(reference) = written {
            if reference.mutability.is_some() {
                report.error(
                    written,
                    format_args!(
                        "an object never changes once it is stored, so {named} takes no `&mut`: take the value (`mut x: T`) \
                         and return it, or keep the state in an actor"
                    ),
                );
                continue;
            }
            if types::is_static_reference(written) && !local {
                report.error(
                    written,
                    "no argument lives for ever: write `&T`, which is read from the object store, or an owned type \
                     (#[remote(local)] takes `&'static T` as a value)",
                );
                continue;
            }
        }
        let contents = Contents::of(if param.kind == Kind::Borrow { inner(written) } else { written });
        for reference in contents.references {
            report.error(
                reference,
                format_args!("a reference here would borrow from the caller, who does not wait: {named} takes owned types, or `&T` as the whole parameter"),
            );
        }
        if !local {
            for reference in contents.statics {
                report.error(reference, "no argument lives for ever: use an owned type, or #[remote(local)]");
            }
        }
        for lifetime in contents.lifetimes.iter().filter(|lifetime| !declared(&call.sig.generics, &lifetime.ident)) {
            report.error(
                lifetime,
                format_args!("{named} takes types that borrow nothing: use the owned form, or `'static`"),
            );
        }
        for opaque in contents.opaque {
            report.error(
                opaque,
                format_args!(
                    "an argument is stored before the call, so its type has a name: write it, or a type parameter under \
                     #[remote(local)]{}",
                    if what == What::Function { "" } else { " on a generic type" }
                ),
            );
        }
        if !local {
            blurred(&contents.blurred, report);
        }
    }
}

/// The type under a parameter's own `&`.
fn inner(ty: &Type) -> &Type {
    match ty {
        Type::Reference(reference) => types::bare(&reference.elem),
        ty => ty,
    }
}

fn declared(generics: &Generics, name: &Ident) -> bool {
    generics.lifetimes().any(|param| param.lifetime.ident == *name)
}

fn output(what: What, call: &Callable, local: bool, report: &mut Report) {
    let ReturnType::Type(_, written) = &call.sig.output else { return };
    let named = what.named();
    let value = types::result_ok(written).unwrap_or(written);
    if let Type::Never(never) = types::bare(value) {
        report.error(never, format_args!("{named} that never returns gives no result: write no return type"));
        return;
    }
    let contents = Contents::of(written);
    let error = types::last_segment(written).and_then(|(_, arguments)| arguments.get(1).copied()).filter(|_| call.output.fallible);
    let in_error = error.map(Contents::of).unwrap_or_default();
    for reference in contents.references {
        report.error(
            reference,
            format_args!(
                "the result is stored on its own, so it cannot borrow: return an owned value, such as `{}`",
                crate::print::text(types::owned(&Type::Reference(reference.clone())).to_token_stream()).replace("::std::vec::", "").replace("::std::string::", "")
            ),
        );
    }
    if !local {
        // An error may be a `&'static str`: what is not serde travels as its text.
        for reference in contents.statics.iter().filter(|reference| !among(&in_error.statics, reference)) {
            report.error(reference, "what another process sends does not live for ever: return an owned value, or write #[remote(local)]");
        }
        blurred(&contents.blurred.into_iter().filter(|ty| !among(&in_error.blurred, ty)).collect::<Vec<_>>(), report);
    }
    for lifetime in contents.lifetimes.iter().filter(|lifetime| !declared(&call.sig.generics, &lifetime.ident)) {
        report.error(lifetime, "the result is stored on its own, so it cannot borrow: use the owned form, or `'static`");
    }
    for opaque in contents.opaque {
        let bounds = opaque.bounds.to_token_stream().to_string();
        let instead = if bounds.contains("Iterator") {
            "collect it into a `Vec`"
        } else if bounds.contains("Future") {
            "write `async fn` and the type that it gives"
        } else {
            "write the type itself, or a `Box<dyn Trait>` under #[remote(local)]"
        };
        report.error(opaque, format_args!("a stored result has a type with a name: {instead}"));
    }
}

/// Is this very node among those? (Another one may be equal.)
fn among<T>(nodes: &[&T], node: &T) -> bool {
    nodes.iter().any(|other| std::ptr::eq(*other, node))
}

fn blurred(types: &[&Type], report: &mut Report) {
    for ty in types {
        report.error(
            ty,
            "MessagePack, in which values travel, cannot tell `Some` of this from `None`: use a `bool` or an enum of your \
             own, or #[remote(local)]",
        );
    }
}

fn num_returns(count: usize, expr: &Expr, call: &Callable, report: &mut Report) {
    if count == 1 {
        return;
    }
    let written = match &call.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(types::bare(types::result_ok(ty).unwrap_or(ty))),
    };
    match written {
        Some(Type::Tuple(tuple)) if tuple.elems.len() == count => {}
        Some(Type::Tuple(tuple)) if tuple.elems.len() > 1 => {
            report.error(
                expr,
                format_args!("the tuple returned here has {0} elements: write `num_returns = {0}`", tuple.elems.len()),
            );
        }
        _ => {
            let tuple = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"][..count].join(", ");
            report.error(
                expr,
                format_args!(
                    "`num_returns = {count}` splits a tuple: return `({tuple})` or `Result<({tuple}), E>`, written out here"
                ),
            );
        }
    }
}

fn const_params(generics: &Generics, report: &mut Report) {
    for param in generics.const_params().filter(|param| !types::is_usize(&param.ty)) {
        report.error(&param.ty, "a const parameter of a remote item is a `usize`");
    }
}

/// What to say of an item that cannot be remote at all.
pub(crate) fn other(item: &syn::Item, report: &mut Report) {
    use syn::Item;
    let (tokens, instead) = match item {
        Item::Trait(item) => (
            item.trait_token.to_token_stream(),
            "a trait has no state: put #[remote] on a struct that implements it, and on that struct's own impl",
        ),
        Item::Mod(item) => (item.mod_token.to_token_stream(), "put #[remote] on each function of the module"),
        Item::Const(item) => (item.const_token.to_token_stream(), "share a value by `ray::put(value)`, state by an actor"),
        Item::Static(item) => (item.static_token.to_token_stream(), "share a value by `ray::put(value)`, state by an actor"),
        Item::Union(item) => (item.union_token.to_token_stream(), "make it a struct or an enum"),
        Item::Type(item) => (item.type_token.to_token_stream(), "put #[remote] on the type itself"),
        item => (item.to_token_stream(), "for a closure there is `ray::task(move || ..)`"),
    };
    report.error(tokens, format_args!("#[remote] goes on a function, a struct, an enum or an impl block: {instead}"));
}

