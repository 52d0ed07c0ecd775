//! Finds the errors in a model. Each error is on the user's tokens, and its message says what to write instead.
//!
//! The macro cannot know whether a type is `Send` or can be serialised. For this `expand` emits bounds with the spans of
//! the user's tokens, and rustc checks them.

mod signature;
mod stream;

use quote::ToTokens;
use syn::{GenericParam, Ident, Receiver, ReturnType, Type};

use self::signature::{What, boxed_error, const_params, parameters, qualifiers, signature, without_type_parameters};
use self::stream::stream;
use crate::model::{Actor, Class, Function, Method};
use crate::report::Report;
use crate::types;

/// The names of the associated functions that the expansion adds to the type of an actor.
const RESERVED: &[&str] = &["remote", "try_remote", "options"];

/// Checks a function; returns true if it has no error.
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
            "a generic function has no single name that another process could call: write #[remote(local)] to keep it in \
             this process, or a #[remote] function for each type",
        );
    }
    const_params(generics, report);
    signature(What::Function, call, options, options.local, report);
    stream(What::Function, call, options, options.local, report);
    report.len() == before
}

/// Checks a struct or an enum; returns true if it has no error.
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

/// Checks an impl block; returns true if it has no error.
pub(crate) fn actor(model: &Actor, report: &mut Report) -> bool {
    let before = report.len();
    if !block(model, report) {
        return false;
    }
    let Actor { item, options, .. } = model;
    if !options.local && item.generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_))) {
        report.error(
            &item.generics.params,
            "a generic actor has no single name that another process could start: write #[remote(local)] on this impl to \
             keep it in this process, or an impl for each type",
        );
    }
    for lifetime in item.generics.lifetimes() {
        report.error(lifetime, "an actor outlives the scope that starts it: leave the lifetime out");
    }
    const_params(&item.generics, report);
    for name in clashes(model) {
        report.error(name, format_args!("#[remote] adds a function `{name}` to the type: rename this function"));
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
        without_type_parameters(What::Method, &method.call.sig, report);
        signature(What::Method, &method.call, &method.options, options.local, report);
        stream(What::Method, &method.call, &method.options, options.local, report);
    }
    report.len() == before
}

/// Checks the kind of the impl block: an inherent impl of a named type, without `unsafe` and `default`.
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
        report.error(token, "the impl of an actor cannot be `unsafe`: leave the word out");
    } else if let Some(token) = &item.defaultness {
        report.error(token, "the impl of an actor cannot be `default`: leave the word out");
    } else if types::last_segment(&item.self_ty).is_none() {
        report.error(&item.self_ty, "the type of an actor must be a struct or an enum of this crate: write its name");
    }
    report.len() == before
}

/// The functions of the block whose names the expansion also adds to the type.
pub(crate) fn clashes(model: &Actor) -> impl Iterator<Item = &Ident> {
    model.names.iter().filter(|name| RESERVED.iter().any(|reserved| *name == reserved))
}

fn constructors(model: &Actor, report: &mut Report) {
    let name = &model.name;
    let Some(new) = model.constructors.first() else {
        report.error(
            &model.item.self_ty,
            format_args!(
                "this #[remote] impl has no constructor: write `pub fn new(..) -> Self` in it, which `{name}::remote(..)` runs, or \
                 #[remote(default)] for a type that is `Default`; if `{name}` has another #[remote] impl, move these methods \
                 there, because a type has one, or leave #[remote] out here to keep them plain"
            ),
        );
        return;
    };
    if let Some(key) = &model.options.default
        && model.names.iter().any(|name| name == "new")
    {
        report.error(key, "`default` makes the actor by `Default::default()`, and this block has a `new`: remove one of them");
        return;
    }
    for second in &model.constructors[1..] {
        report.error(second.call.ident(), "an actor has one `new`: rename this function");
    }
    let sig = &new.call.sig;
    if let Some(receiver) = &new.receiver {
        report.error(receiver, "`new` makes the actor, so there is no `self` yet: `pub fn new(..) -> Self`");
    }
    without_type_parameters(What::Constructor, sig, report);
    let made = match &sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(types::result_ok(ty).unwrap_or(ty)),
    };
    // A `Result` without generic arguments is an alias, so rustc must check whether its type is right.
    let is_class =
        made.is_none_or(|ty| types::ends_in(ty, "Self") || types::ends_in(ty, &name.to_string()) || types::ends_in(ty, "Result"));
    if made.is_none() {
        report.error(&sig.ident, "`new` must return the actor's state: `-> Self` or `-> Result<Self, E>`");
    } else if !is_class {
        report.error(&sig.output, "`new` must return the actor's state: `-> Self` or `-> Result<Self, E>`");
    }
    if let ReturnType::Type(_, ty) = &sig.output
        && let Some(error) = types::last_segment(ty).and_then(|(_, arguments)| arguments.get(1).copied())
        && new.call.output.fallible
    {
        boxed_error(error, report);
    }
    parameters(What::Constructor, &new.call, model.options.local, report);
    qualifiers(What::Constructor, sig, report);
}

fn receiver(method: &Method, report: &mut Report) {
    let Some(receiver) = &method.receiver else {
        return;
    };
    let Receiver { reference, colon_token, ty, .. } = receiver;
    let borrowed = match (reference, colon_token, types::bare(ty)) {
        (Some(_), ..) => true,
        (None, Some(_), Type::Reference(reference)) => types::last_segment(&reference.elem).is_some_and(|(ident, arguments)| {
            // This accepts `self: &Self` and `self: &Counter`, but not `self: &Arc<Self>`.
            ident == "Self" || !arguments.iter().any(|argument| types::ends_in(argument, "Self"))
        }),
        _ => false,
    };
    if !borrowed {
        report.error(
            receiver,
            "the actor keeps its state between calls: take `&self` or `&mut self` (a method ends its actor with \
             `ray::exit_actor()`), or leave out the visibility to keep the method plain",
        );
    }
}

/// Reports the error for an item of a kind that cannot be remote.
pub(crate) fn other(item: &syn::Item, report: &mut Report) {
    use syn::Item;
    const VALUE: &str = "share a value with `ray::put(value)`, and mutable state with an actor";
    let (tokens, instead) = match item {
        Item::Trait(item) => (
            item.trait_token.to_token_stream(),
            "a trait has no state: put #[remote] on a struct that implements it, and on that struct's own impl",
        ),
        Item::Mod(item) => (item.mod_token.to_token_stream(), "put #[remote] on each function of the module"),
        Item::Const(item) => (item.const_token.to_token_stream(), VALUE),
        Item::Static(item) => (item.static_token.to_token_stream(), VALUE),
        Item::Union(item) => (item.union_token.to_token_stream(), "make it a struct or an enum"),
        Item::Type(item) => (item.type_token.to_token_stream(), "put #[remote] on the type itself"),
        item => (item.to_token_stream(), "to run a closure as a task, use `ray::task(move || ..)`"),
    };
    report.error(tokens, format_args!("#[remote] goes on a function, a struct, an enum or an impl block: {instead}"));
}
