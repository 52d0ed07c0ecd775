//! Expands `#[remote] struct` and `#[remote] enum`: the item unchanged, and an impl with its options.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Generics, Ident, Lit, parse_quote};

use crate::model::Class;

pub(crate) fn class(model: &Class) -> TokenStream {
    let Class { item, attributes, ident, generics, options } = model;
    let (cfg, krate, setters) = (&attributes.cfg, &options.krate, &options.setters);
    let flag = |set: bool| {
        if set { quote!(__ray::Yes) } else { quote!(__ray::No) }
    };
    let (restarts, retries) = (flag(options.restarts), flag(options.task_retries.is_some()));
    // The type parameters of the impl block are not known here, so a generic type is checked where it is used.
    let has_block = generics.params.is_empty().then(|| quote_spanned!(ident.span()=> const _: () = __ray::is_actor::<#ident>();));
    let checkpoints = options.checkpoint_every.as_ref().map(|(key, every)| checkpoints(key, every));
    let (generics, sync) = sharing(model, generics);
    let (declared, used, bounds) = generics.split_for_impl();
    quote! {
        #item
        #(#cfg)*
        const _: () = {
            use #krate::__private as __ray;
            #[doc(hidden)]
            impl #declared __ray::ActorClass for #ident #used #bounds {
                const OPTIONS: __ray::ActorOptions = __ray::options!(ActorOptions #(#setters)*);
                #checkpoints
                type Restarts = #restarts;
                type Retries = #retries;
            }
            #sync
            #has_block
        };
    }
}

/// The constant `CHECKPOINTS`, with the span of the option: there rustc reports that the type lacks one of the functions, or
/// that they do not match.
fn checkpoints(key: &Ident, every: &TokenStream) -> TokenStream {
    quote_spanned! {key.span()=>
        const CHECKPOINTS: ::core::option::Option<__ray::Checkpoints<Self>> = ::core::option::Option::Some(
            __ray::Checkpoints::new(
                #every,
                |__bound_actor| __ray::Checkpoint::new(Self::checkpoint(__bound_actor)),
                |__bound_saved| __ray::Checkpoint::restored::<Self, _, _>(__bound_saved, Self::restore),
            )
            .checked(Self::checkpoint, Self::restore),
        );
    }
}

/// Requires `Sync` if `max_concurrency` is over 1 or there are concurrency groups: by a bound if the type is generic,
/// otherwise by a check with the span of the option's value.
fn sharing(model: &Class, generics: &Generics) -> (Generics, TokenStream) {
    let ident = &model.ident;
    let asked = model.options.max_concurrency.as_ref().filter(|expr| !is_one(expr));
    let groups = model.options.groups.as_ref();
    let mut generics = generics.clone();
    if generics.params.is_empty() {
        let check = match (groups, asked) {
            (Some(key), _) => quote_spanned!(key.span()=> const _: () = __ray::sync_if::<#ident, true>();),
            (None, Some(expr)) => quote_spanned!(expr.span()=> const _: () = __ray::sync_if::<#ident, { #expr > 1 }>();),
            (None, None) => TokenStream::new(),
        };
        return (generics, check);
    }
    let sync = (asked.is_some() || groups.is_some()).then(|| quote!(+ ::core::marker::Sync));
    generics.make_where_clause().predicates.push(parse_quote!(Self: ::core::marker::Send #sync + 'static));
    (generics, TokenStream::new())
}

fn is_one(expr: &Expr) -> bool {
    matches!(expr, Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) if int.base10_digits() == "1")
}
