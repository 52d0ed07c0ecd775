//! Expands `#[remote] impl`: the block unchanged, the type of the handle's methods, and the impls for each method.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, ItemImpl, LitStr, Type};

use super::function::{codec, error_codec};
use super::parts::{self, Parameters, args_type, at, guard, named, needs_guard, seen_from_inside, stream, surface};
use crate::check;
use crate::model::{Actor, Attributes, Method};
use crate::print;

pub(crate) fn actor(model: &Actor) -> TokenStream {
    let Actor { item, cfg, lints, class, name, methods, options, .. } = model;
    let krate = &options.krate;
    let parameters = Parameters::of(&model.generics);
    let Parameters { declared, used, bounds, .. } = &parameters;
    let shown = methods_of(model);
    let text = name.to_string();
    let local = options.local.then(|| quote!(, local));
    let is_async = methods.iter().any(Method::is_async);

    let cfgs: Vec<_> = methods.iter().map(|method| &method.attributes.cfg).collect();
    let names: Vec<_> = methods.iter().map(|method| method.call.ident()).collect();
    let markers: Vec<_> = names.iter().map(|name| quote!(__ray_methods::#name)).collect();
    let visible = methods.iter().map(|method| seen_from_inside(&method.vis));
    let new_vis = model.constructors.first().map(|new| &new.vis);
    let alias = parameters.alias();
    let called = called_in(item);
    let fields = methods.iter().zip(&markers).map(|(method, marker)| field(method, marker, used, &called));
    let calls = methods.iter().zip(&markers).map(|(method, marker)| remote_method(model, method, marker, &parameters));
    let docs = format!("The methods of [`{name}`], as its handle shows them.");
    let sync = sharing(methods);
    let movable = quote_spanned!(name.span()=> __ray::Movable::new());
    let fields_are_send = quote_spanned!(name.span()=> __ray::every_field_is_send::<Self>(););
    let init = model.constructors.first().map(|new| constructor(model, new, &parameters));

    let only = only(class);
    quote! {
        #item
        #(#cfg)*
        #only
        #(#cfg)*
        const _: () = {
            use #krate::__private as __ray;
            #[doc(hidden)]
            #[allow(deprecated)]
            impl <#declared> __ray::Actor for #class #bounds {
                const MOVABLE: __ray::Movable<Self> = #movable;
                type Class = #class;
                type Methods = #shown #used;
                const SPEC: &'static __ray::Spec = __ray::spec!(#text #local);
                const IS_ASYNC: bool = #is_async;
                const METHODS: &'static [__ray::MethodEntry] = __ray::method_entries!(#(#(#cfgs)* #markers<#class>),*);
                fn methods(__bound_link: __ray::Link<Self>) -> Self::Methods {
                    #fields_are_send
                    #sync
                    __ray::link_methods!(#shown __bound_link #(#(#cfgs)* #names),*)
                }
            }
            __ray::markers!([#new_vis] __ray_new);
            __ray::method_markers!(#(#(#cfgs)* [#visible] #names),*);
            #init
            #[allow(dead_code)]
            type #alias = #class;
            #[doc = #docs]
            #(#lints)*
            #[allow(deprecated, unreachable_pub)]
            #[allow(non_camel_case_types, private_interfaces, missing_debug_implementations)]
            pub struct #shown <#declared> #bounds { #(#fields)* }
            #(#calls)*
        };
    }
}

/// A constant with which two blocks of one type in one module are an error at once, before those about their impls. Its name is the
/// message.
fn only(class: &Type) -> TokenStream {
    let text = print::text(class.to_token_stream());
    let name: String = text.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let name = Ident::new(&format!("only_one_remote_impl_for_{name}"), class.span());
    quote_spanned!(class.span()=> #[allow(dead_code, non_upper_case_globals)] const #name: () = ();)
}

/// The name of the struct with the methods of a handle. Warnings about its fields show it.
fn methods_of(model: &Actor) -> Ident {
    format_ident!("{}_methods", model.name, span = model.name.span())
}

/// A check that the state is `Sync`, for an actor with an `async` method, whose calls run at the same time. It is needed if
/// the actor has `&self` methods and all of these are plain: the future of an `async` one causes the same error by itself.
fn sharing(methods: &[Method]) -> Option<TokenStream> {
    let mut shared = methods.iter().filter(|method| !method.is_exclusive());
    if !methods.iter().any(Method::is_async) || shared.clone().any(Method::is_async) {
        return None;
    }
    let ident = shared.next()?.call.ident();
    Some(quote_spanned!(ident.span()=> __ray::sync_if::<Self, true>();))
}

/// The names behind a `.` or a `::` in the block: among them are all methods that the block calls itself.
fn called_in(item: &ItemImpl) -> Vec<Ident> {
    fn collect(tokens: TokenStream, into: &mut Vec<Ident>) {
        let mut follows = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if follows => into.push(ident),
                TokenTree::Group(group) => collect(group.stream(), into),
                TokenTree::Punct(punct) if matches!(punct.as_char(), '.' | ':') => {
                    follows = true;
                    continue;
                }
                _ => {}
            }
            follows = false;
        }
    }
    let mut names = Vec::new();
    collect(item.to_token_stream(), &mut names);
    names
}

/// The field of a method in the handle: `pub increment: __ray_methods::increment<..>`
fn field(method: &Method, marker: &TokenStream, used: &TokenStream, called: &[Ident]) -> TokenStream {
    let Method { attributes, vis, call, .. } = method;
    let Attributes { cfg, seen, lints, .. } = attributes;
    let text = format!("`{}`", print::text(call.sig.to_token_stream()));
    let gap = attributes.has_docs.then(|| quote!(#[doc = ""]));
    let ident = call.ident();
    // With the span of the method in all of it: rustc does not warn of fields of generated code.
    let ty = at(ident.span(), quote!(#marker<__RayClass #used>));
    let field = quote_spanned!(ident.span()=> #vis #ident: #ty);
    // The engine calls `checkpoint`, and the block may call its methods itself.
    let used_plainly = (ident == "checkpoint" || called.contains(ident)).then(|| quote!(#[allow(dead_code)]));
    quote! {
        #(#cfg)*
        #(#seen)*
        #gap
        #[doc = #text]
        #used_plainly
        #(#lints)*
        #field,
    }
}

fn remote_method(model: &Actor, method: &Method, marker: &TokenStream, parameters: &Parameters) -> TokenStream {
    let Method { attributes, call, options, .. } = method;
    let Parameters { declared, bounds, used, .. } = parameters;
    let (class, cfg, ident, vis) = (&model.class, &attributes.cfg, call.ident(), &method.vis);
    let methods = methods_of(model);
    let arguments = surface(call);
    let names = named(&["remote", "try_remote", "tell", "options"], ident);
    let args = args_type(call);
    let output = call.output.ty();
    let refs = call.output.own_refs();
    let spec = spec(model, &syn::ext::IdentExt::unraw(ident), options.marks(model.options.local, call.stream_mark()));
    let how =
        format_ident!("{}{}", if method.is_async() { "Async" } else { "" }, if method.is_exclusive() { "Mut" } else { "Ref" });
    let state = quote_spanned!(ident.span()=> __bound_state);
    let invoke = parts::call(quote!(MethodCall #how (#state)), Some(state), quote!(<#class>::#ident), call);
    let setters = &options.setters;
    let (grouped, check) = group(&options.group, class, parameters);
    let check = check.map(|check| quote!(#(#cfg)* #check));
    let options_value = quote!(__ray::options!(MethodOptions #(#setters)*)#grouped);
    let retry = match options.retries.as_ref().or(options.task_retries.as_ref()) {
        Some(key) => {
            quote_spanned!(key.span()=> __ray::cloned!())
        }
        None => quote_spanned!(ident.span()=> __ray::kept!(MethodArgs, #class, ray_retries)),
    };
    let codec = codec(model.options.local, call);
    let error = error_codec(parameters.is_empty, call);
    let stream = stream(model.options.local, call);
    let guard = (parameters.is_empty && needs_guard(call)).then(|| {
        let guard = guard(call);
        quote!(#(#cfg)* #guard)
    });
    quote! {
        #(#cfg)*
        #[allow(deprecated)]
        impl <#declared> __ray::RemoteMethod for #marker<#class> #bounds {
            type Args = #args;
            type Output = #output;
            __ray::method_items! { #class; #refs; #spec; #invoke; #options_value; #retry; #codec; #error }
            #stream
        }
        #(#cfg)*
        __ray::method_surface!([#vis] [#names] #ident #marker<#class>, #methods #used, [#declared] [#bounds] (#arguments));
        #guard
        #check
    }
}

/// The setter of a method's concurrency group, and a check that the class has it. The check is an item of its own, so that
/// rustc reports an unknown group also if no code calls the method, on the user's token. A generic class has the setter only,
/// which panics where the method is called.
fn group(group: &Option<LitStr>, class: &Type, parameters: &Parameters) -> (Option<TokenStream>, Option<TokenStream>) {
    let Some(name) = group else { return (None, None) };
    let sizes = quote_spanned!(name.span()=> <#class as __ray::ActorClass>::OPTIONS.group_sizes());
    let check = parameters
        .is_empty
        .then(|| quote_spanned!(name.span()=> const _: () = { let _ = __ray::group_of_attribute(#name, #sizes); };));
    (Some(quote_spanned!(name.span()=> .group(#name, #sizes))), check)
}

/// The `Spec` of a method or a constructor, whose name in messages is `Class.method`.
fn spec(model: &Actor, ident: &Ident, marks: TokenStream) -> TokenStream {
    let (path, shown) = (format!("{}::{ident}", model.name), format!("{}.{ident}", model.name));
    quote!(__ray::spec!(#path #shown #marks))
}

fn constructor(model: &Actor, new: &Method, parameters: &Parameters) -> TokenStream {
    let Method { attributes, vis, call, .. } = new;
    let Parameters { declared, bounds, .. } = parameters;
    let class = &model.class;
    let register = parameters.is_empty.then(|| quote!(__ray::register!(actor __ray_new<#class>);));
    let args = args_type(call);
    let arguments = surface(call);
    let local = model.options.local.then(|| quote!(, local));
    let spec = spec(model, call.ident(), quote!(#local));
    let span = call.ident().span();
    let names = named(&["remote", "try_remote", "options"], call.ident());
    let (lints, deprecated) = (&model.lints, attributes.seen.iter().filter(|attribute| !attribute.path().is_ident("doc")));
    // With the span of generated code, so that the methods below are generated code to rustc, also inside a macro of the user.
    let vis = at(Span::call_site(), vis.to_token_stream());
    let created = Ident::new(&model.name.to_string(), model.name.span());
    let marker = quote_spanned!(created.span()=> pub(super) struct #created;);
    let surface = (check::clashes(model).count() == 0).then(|| {
        quote! {
            __ray::class_surface!(
                [#(#deprecated)* #vis] [#names] [#(#lints)*] [#marker] #created,
                [#declared] #class, __ray_new<#class>, [#bounds] (#arguments)
            );
        }
    });
    let how = if call.is_async() { quote!(FunctionCall Async ()) } else { quote!(FunctionCall Sync ()) };
    let body = match &model.options.default {
        Some(key) => quote_spanned!(key.span()=> <#class as ::core::default::Default>::default),
        None => quote!(<#class>::new),
    };
    let invoke = parts::call(how, None, body, call);
    let kept = quote_spanned!(span=> __ray::kept!(InitArgs, #class, ray_restarts));
    let codec = codec(model.options.local, call);
    let error = error_codec(parameters.is_empty, call);
    quote! {
        #[allow(deprecated)]
        impl <#declared> __ray::Constructor for __ray_new<#class> #bounds {
            type Actor = #class;
            type Args = #args;
            const SPEC: &'static __ray::Spec = #spec;
            const CALL: __ray::InitCall<Self> = #invoke;
            const RETRY: __ray::InitRetry<Self> = #kept;
            const CODEC: __ray::InitCodec<Self> = #codec;
            const ERROR: __ray::ErrorCodecOrNone = #error;
        }
        #register
        #surface
    }
}
