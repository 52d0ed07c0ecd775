//! Expands `#[remote] fn`: a constant and its type with the name of the function, and the function itself with a hidden name. The type
//! is in a module, whose name contains the place of the function.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Block, FnArg, Ident, ReturnType, Type};

use super::parts::{self, Parameters, args_type, at, guard, named, needs_guard, seen_from_inside, stream, surface};
use crate::model::{Attributes, Callable, Function, hidden};
use crate::print;
use crate::types::{self, Contents};

pub(crate) fn function(model: &Function) -> TokenStream {
    let Function { attributes, vis, call, block, options } = model;
    let ident = call.ident();
    let Attributes { cfg, seen, body: body_attributes, lints, .. } = attributes;
    let krate = &options.krate;
    let (signature, call_doc) = (documentation(model), call_documentation(model));
    let span = ident.span();
    let body = hidden(ident);
    let mut body_sig = call.sig.clone();
    body_sig.ident = body.clone();

    let body_block = with_lint(call, block);

    let module = module(ident);
    let class = quote!(#module::#ident);
    let parameters = Parameters::of(&call.sig.generics);
    let Parameters { declared, bounds, .. } = &parameters;
    let marker = format_ident!("__Ray_{}", ident, span = ident.span());
    let (function, marker_item) = if model.is_generic() {
        let witness = Parameters::witness(&call.sig.generics);
        (quote!(#marker<#witness>), quote!(__ray::markers!([#vis] #marker);))
    } else {
        (class.clone(), TokenStream::new())
    };
    let register = (!model.is_generic()).then(|| quote!(__ray::register!(function #class);));
    let guard = (!model.is_generic() && needs_guard(call)).then(|| guard(call));

    let args = args_type(call);
    let output = call.output.ty();
    let refs = call.output.refs();
    let own_refs = call.output.own_refs();
    let name = ident.unraw().to_string();
    let marks = options.marks(options.local, call.stream_mark());
    let surface = surface(call);
    let names = named(&["remote", "try_remote", "tell", "options"], ident);
    let turbofish = parameters.turbofish();
    let how = if call.is_future() { quote!(FunctionCall Async ()) } else { quote!(FunctionCall Sync ()) };
    let invoke = parts::call(how, None, quote!(#body #turbofish), call);
    let options_item = setters(&options.setters, "TaskOptions");
    let retry = options.retries.as_ref().map(|key| {
        let kept = quote_spanned!(key.span()=> __ray::cloned!());
        quote!(const RETRY: __ray::FunctionRetry<Self> = #kept;)
    });
    let codec = codec(options.local, call);
    let error = error_codec(!model.is_generic(), call);
    let stream = stream(options.local, call);
    let plain = model.is_ordinary().then(|| plain_call(model, &class, &body, &turbofish));

    // rustc reports these tokens if the function is inside an impl block.
    let inside = at(span, seen_from_inside(vis));
    let module = quote_spanned! {span=>
        mod #module {
            #[doc(hidden)]
            #[allow(non_camel_case_types, unreachable_pub)]
            #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
            #inside struct #ident {}
        }
    };
    let value = quote_spanned!(span=> const #ident: #class = #class {};);
    let block_of_impls = quote_spanned!(span=> const _: () =);
    let user_sig = &call.sig;
    quote! {
        #krate::__private::function_items! {
            [#(#cfg)*] [#(#seen)* #signature #(#lints)*] [#(#seen)* #call_doc] [#vis] [#module] [#value] [#user_sig]
        }
        #(#cfg)*
        #block_of_impls {
            use #krate::__private as __ray;
            #[allow(clippy::missing_const_for_fn)]
            #(#body_attributes)*
            #body_sig #body_block
            #marker_item
            #[doc(hidden)]
            #[allow(deprecated)]
            impl <#declared> __ray::Function for #function #bounds {
                type Args = #args;
                type Output = #output;
                type Refs = #own_refs;
                const SPEC: &'static __ray::Spec = __ray::spec!(#name #marks);
                const CALL: __ray::FunctionCallOf<Self> = #invoke;
                #options_item
                #retry
                const CODEC: __ray::FunctionCodec<Self> = #codec;
                const ERROR: __ray::ErrorCodecOrNone = #error;
                #stream
            }
            #guard
            #register
            __ray::function_surface!([#vis] [#names] #class, #function, [#declared] [#bounds] (#surface) -> #refs);
            #plain
        };
    }
}

/// The name of the module with the type of the function. It contains the place of the function in its file, so that two functions of
/// one name have different modules. Messages of rustc about a function inside an impl block show this name; with a large letter, which
/// looks like a type, rustc does not advise to add a crate of that name.
fn module(ident: &Ident) -> Ident {
    let name = ident.unraw().to_string();
    // Tests of this crate run without a compiler.
    let span = proc_macro::is_available().then(|| ident.span().unwrap());
    let (line, column) = span.map_or((0, 0), |span| (span.line(), span.column()));
    Ident::new(&format!("RemoteFn_{}_{line}_{column}", name.trim_start_matches('_')), ident.span())
}

/// The body, with a warning at the return type if that is a reference to an object. It is in the body, so that the lint attributes of
/// the function apply.
fn with_lint(call: &Callable, block: &Block) -> TokenStream {
    let written = types::result_ok(&call.output.written).unwrap_or(&call.output.written);
    if call.faulty || !types::ends_in(written, "ObjectRef") {
        return block.to_token_stream();
    }
    let statements = &block.stmts;
    let lint = quote_spanned!(written.span()=> const _: () = __ray::lint::RETURN_RAY_PUT;);
    quote!({ #lint #(#statements)* })
}

/// `const OPTIONS: .. = ..;`, or nothing.
pub(super) fn setters(setters: &[TokenStream], of: &str) -> TokenStream {
    if setters.is_empty() {
        return TokenStream::new();
    }
    let ty = format_ident!("{}", of);
    quote!(const OPTIONS: __ray::#ty = __ray::options!(#ty #(#setters)*);)
}

/// The value of a constant `CODEC`, which encodes and decodes arguments and results. Its parts have the spans of the
/// parameters and of the return type, where rustc then reports that a type cannot be serialised.
pub(super) fn codec(local: bool, call: &Callable) -> TokenStream {
    if local {
        return quote!(__ray::codec!(local));
    }
    let args = quote_spanned!(call.parens()=> __ray::ArgsCodec::new());
    let on = match &call.sig.output {
        ReturnType::Default => call.parens(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let output = quote_spanned!(on=> __ray::OutputCodec::new());
    quote!(__ray::codec!(portable #args, #output))
}

/// The value of a constant `ERROR`, which decodes the values of the error type. A generic item has none: it is not
/// registered, so a receiver could not find it.
pub(super) fn error_codec(registered: bool, call: &Callable) -> TokenStream {
    let written = (registered && call.output.fallible && !call.faulty).then_some(&call.output.written);
    quote!(__ray::error_codec!(#written))
}

/// The method `call(..)`, with the user's signature, which calls the body directly.
fn plain_call(model: &Function, class: &TokenStream, body: &Ident, turbofish: &TokenStream) -> TokenStream {
    let Function { vis, call, .. } = model;
    let ident = call.ident();
    let generics = &call.sig.generics;
    let bounds = &generics.where_clause;
    let params = &generics.params;
    let arguments = call.params.iter().map(|param| (&param.name, &param.written)).map(|(name, ty)| quote!(#name: #ty));
    let output = &call.sig.output;
    let asyncness = &call.sig.asyncness;
    let name = named(&["call"], ident);
    let pointer = pointer(model).map(|pointer| quote!(#body as #pointer));
    let dot_await = call.is_async().then(|| quote!(.await));
    quote! {
        __ray::plain_call! {
            #class, [#vis #asyncness] #name [#params] (#(#arguments),*) [#output] [#bounds] [#body #turbofish] [#dot_await] #pointer
        }
    }
}

/// The type of the function pointer to the body, unless the function is generic or async or its signature contains
/// `impl Trait`.
fn pointer(model: &Function) -> Option<TokenStream> {
    let sig = &model.call.sig;
    let types: Vec<&Type> = sig
        .inputs
        .iter()
        .filter_map(|input| match input {
            FnArg::Typed(input) => Some(&*input.ty),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let output = match &sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(&**ty),
    };
    let opaque = types.iter().copied().chain(output).any(|ty| !Contents::of(ty).opaque.is_empty());
    if model.is_generic() || model.call.is_async() || opaque {
        return None;
    }
    let output = &sig.output;
    Some(quote!(fn(#(#types),*) #output))
}

/// The documentation of the function that only rustdoc sees: how it is called.
fn call_documentation(model: &Function) -> TokenStream {
    let (call, gap) = (&model.call, model.attributes.has_docs.then(|| quote!(#[doc = ""])));
    let names: Vec<String> = call.params.iter().map(|param| param.name.to_string()).collect();
    let text = format!("A remote function: `{}.remote({})` submits a task and returns at once.", call.ident(), names.join(", "));
    quote! {
        #gap
        #[doc = #text]
    }
}

/// The documentation of the constant: the signature of the function, because rustdoc shows the constant in the documentation of
/// other crates that export it.
fn documentation(model: &Function) -> TokenStream {
    let text = print::text(model.call.sig.to_token_stream());
    let lead = if model.attributes.has_docs { "" } else { "A remote function." };
    let gap = (!lead.is_empty()).then(|| quote!(#[doc = ""]));
    quote! {
        #[doc = #lead]
        #gap
        #[doc = "```text"]
        #[doc = #text]
        #[doc = "```"]
    }
}
