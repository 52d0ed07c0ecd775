//! The expansion after an error: the user's item unchanged, and the generated items that callers name, as far as possible.
//! Without them every use of the item would be a further error.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse_quote;

use crate::expand;
use crate::model::{Actor, Callable, Class, Function, Kind};
use crate::types::{self, Contents};

/// Expands a function with an error.
pub(crate) fn function(mut model: Function) -> TokenStream {
    let other_const = model.call.sig.generics.const_params().any(|param| !types::is_usize(&param.ty));
    if model.call.sig.receiver().is_some() || other_const {
        // A function with a receiver is in an impl block, which cannot contain the struct of the expansion.
        let Function { attributes, vis, call, block, .. } = model;
        let (cfg, seen, body) = (attributes.cfg, attributes.seen, attributes.body);
        let sig = call.sig;
        return quote!(#(#cfg)* #(#seen)* #(#body)* #vis #sig #block);
    }
    model.options.local = true;
    model.options.retries = None;
    without_body_of_unsized(&mut model);
    if model.call.params.iter().any(|param| param.conditional.is_some()) {
        model.attributes.body.push(parse_quote!(#[allow(unused_variables)]));
    }
    repair(&mut model.call);
    expand::function(&model)
}

/// Replaces a body that gets or returns a value without a size, because rustc would report each use of this value.
fn without_body_of_unsized(model: &mut Function) {
    let call = &mut model.call;
    let written = types::result_ok(&call.output.written).unwrap_or(&call.output.written);
    let is_unsized = call.params.iter().any(|param| has_unsized(&param.written, false));
    if !is_unsized && types::unsized_result(written).is_none() && types::unsized_parts(written).is_empty() {
        return;
    }
    for input in &mut call.sig.inputs {
        if let syn::FnArg::Typed(input) = input {
            input.ty = parse_quote!(());
        }
    }
    call.sig.output = syn::ReturnType::Default;
    call.params.iter_mut().for_each(|param| param.written = parse_quote!(()));
    call.output.written = parse_quote!(());
    call.output.fallible = false;
    model.attributes.body.push(parse_quote!(#[allow(unused_variables)]));
    model.block = parse_quote!({ ::core::unreachable!() });
}

/// Whether the type of a parameter, or a part of it, has no size.
fn has_unsized(ty: &syn::Type, borrowed: bool) -> bool {
    types::unsized_parameter(ty, borrowed).is_some() || !types::unsized_parts(ty).is_empty()
}

/// Expands a struct or an enum with an error.
pub(crate) fn class(model: &Class) -> TokenStream {
    model.item.to_token_stream()
}

/// Expands an impl block with an error.
pub(crate) fn actor(mut model: Actor) -> TokenStream {
    let generics = &model.generics;
    let other_const = generics.const_params().any(|param| !types::is_usize(&param.ty));
    // A block without a constructor may be the second block of a type whose first block has a complete expansion.
    if model.item.trait_.is_some()
        || types::last_segment(&model.class).is_none()
        || generics.lifetimes().next().is_some()
        || other_const
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

/// Replaces each type that cannot be stored, and marks the callable as faulty, so that the expansion never calls its body.
fn repair(call: &mut Callable) {
    call.faulty = true;
    call.params.truncate(12);
    for input in &mut call.sig.inputs {
        if let syn::FnArg::Typed(input) = input {
            input.attrs.retain(|attribute| !attribute.path().is_ident("cfg"));
        }
    }
    for param in &mut call.params {
        let is_unsized = has_unsized(&param.ty, param.kind == Kind::Borrow);
        let is_unsized = is_unsized || types::std_objects(&param.ty).iter().any(|(_, shared)| !shared);
        if is_unsized {
            param.ty = parse_quote!(());
        }
        if is_unsized || param.conditional.is_some() || !Contents::of(&param.ty).opaque.is_empty() {
            param.kind = Kind::Any;
        }
        param.ty = types::owned(&param.ty);
    }
    call.output.written = types::owned(&call.output.written);
    let value = types::result_ok(&call.output.written).unwrap_or(&call.output.written);
    if types::unsized_result(value).is_some() || !types::unsized_parts(value).is_empty() {
        call.output.written = parse_quote!(());
    }
    for part in call.output.split.iter_mut().flatten() {
        *part = types::owned(part);
    }
    if call.output.split.as_ref().is_some_and(|parts| parts.len() < 2) {
        call.output.split = None;
    }
    if let Some(stream) = &mut call.output.stream {
        stream.item = types::owned(&stream.item);
    }
    call.output.fallible &= types::result_ok(&call.output.written).is_some();
}
