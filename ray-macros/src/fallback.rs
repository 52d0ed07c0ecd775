//! What is emitted after an error: the user's item as it is, and as much of what callers use as makes sense, so that
//! one mistake is one error.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::expand;
use crate::model::{Actor, Callable, Class, Function, Kind};
use crate::types::{self, Contents};

/// A function whose body cannot be called remotely.
pub(crate) fn function(mut model: Function) -> TokenStream {
    let odd_const = model.call.sig.generics.const_params().any(|param| !types::is_usize(&param.ty));
    if model.call.sig.receiver().is_some() || odd_const {
        // With a receiver this is inside an impl block, where no struct may stand.
        let Function { attributes, vis, call, block, .. } = model;
        let (cfg, seen, body) = (attributes.cfg, attributes.seen, attributes.body);
        let sig = call.sig;
        return quote!(#(#cfg)* #(#seen)* #(#body)* #vis #sig #block);
    }
    model.options.local = true;
    model.options.retries = None;
    repair(&mut model.call);
    expand::function(&model)
}

/// A struct that cannot be an actor.
pub(crate) fn class(model: &Class) -> TokenStream {
    model.item.to_token_stream()
}

/// An impl block that cannot be an actor's as it is.
pub(crate) fn actor(mut model: Actor) -> TokenStream {
    let generics = &model.generics;
    let odd_const = generics.const_params().any(|param| !types::is_usize(&param.ty));
    // A block without a constructor may be the second one of its type, which has all that it needs.
    if model.item.trait_.is_some()
        || types::last_segment(&model.class).is_none()
        || generics.lifetimes().next().is_some()
        || odd_const
        || model.constructors.is_empty()
    {
        return model.item.into_token_stream();
    }
    model.options.local = true;
    model.constructors.truncate(1);
    for method in model.constructors.iter_mut().chain(&mut model.methods) {
        method.options.retries = None;
        method.options.task_retries = None;
        repair(&mut method.call);
    }
    expand::actor(&model)
}

/// Makes every type one that a call could carry, and the body one that is never run.
fn repair(call: &mut Callable) {
    call.faulty = true;
    call.params.truncate(12);
    for param in &mut call.params {
        if !Contents::of(&param.ty).opaque.is_empty() {
            param.kind = Kind::Any;
        }
        param.ty = types::owned(&param.ty);
    }
    call.output.written = types::owned(&call.output.written);
    for part in call.output.split.iter_mut().flatten() {
        *part = types::owned(part);
    }
    if call.output.split.as_ref().is_some_and(|parts| parts.len() < 2) {
        call.output.split = None;
    }
    call.output.fallible &= types::result_ok(&call.output.written).is_some();
}
