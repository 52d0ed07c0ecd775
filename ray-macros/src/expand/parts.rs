//! The parts that the expansions of functions and of actors share.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ConstParam, GenericParam, Generics, Ident, VisRestricted, Visibility};

use crate::model::{Callable, Kind, Stream, augmented};
use crate::types::last_segment;

/// The pieces of generics that an expansion needs.
pub(super) struct Parameters {
    /// The parameters with their bounds, for use in `impl <..>`, including the bounds of every remote type.
    pub(super) declared: TokenStream,
    /// The arguments, such as `<T, N>`.
    pub(super) used: TokenStream,
    /// The where clause, or nothing.
    pub(super) bounds: TokenStream,
    /// The parameters without bounds, such as `T` and `const N: usize`.
    bare: Vec<TokenStream>,
    /// The names of type and const parameters.
    names: Vec<Ident>,
    pub(super) is_empty: bool,
}

impl Parameters {
    pub(super) fn of(generics: &Generics) -> Parameters {
        let generics = augmented(generics);
        let (_, used, bounds) = generics.split_for_impl();
        let params = &generics.params;
        Parameters {
            declared: quote!(#params),
            used: quote!(#used),
            bounds: quote!(#bounds),
            bare: params
                .iter()
                .map(|param| match param {
                    GenericParam::Type(param) => param.ident.to_token_stream(),
                    GenericParam::Const(ConstParam { ident, ty, .. }) => quote!(const #ident: #ty),
                    GenericParam::Lifetime(param) => param.lifetime.to_token_stream(),
                })
                .collect(),
            names: generics
                .params
                .iter()
                .filter_map(|param| match param {
                    GenericParam::Type(param) => Some(param.ident.clone()),
                    GenericParam::Const(param) => Some(param.ident.clone()),
                    GenericParam::Lifetime(_) => None,
                })
                .collect(),
            is_empty: params.is_empty(),
        }
    }

    /// The name of the type alias for the actor's type, such as `__RayClass<T, const N: usize>`. An alias cannot have
    /// bounds.
    pub(super) fn alias(&self) -> TokenStream {
        let bare = &self.bare;
        if bare.is_empty() { quote!(__RayClass) } else { quote!(__RayClass<#(#bare),*>) }
    }

    /// `::<T, N>`, or nothing.
    pub(super) fn turbofish(&self) -> TokenStream {
        let names = &self.names;
        if names.is_empty() { TokenStream::new() } else { quote!(::<#(#names),*>) }
    }

    /// A type that contains all parameters, such as `(fn(*const T), [(); N])`. It is the argument of the marker of a
    /// generic function.
    pub(super) fn witness(generics: &Generics) -> TokenStream {
        let all = generics.params.iter().filter_map(|param| match param {
            GenericParam::Type(param) => {
                let ident = &param.ident;
                Some(quote!(fn(*const #ident)))
            }
            GenericParam::Const(param) => {
                let ident = &param.ident;
                Some(quote!([(); #ident]))
            }
            GenericParam::Lifetime(_) => None,
        });
        quote!((#(#all,)*))
    }
}

/// The type of the arguments, such as `(__ray::Arg<i64>, __ray::Shared<[f64]>)`. The tuple has the span of the parameters'
/// parentheses, because rustc reports there that the arguments cannot be sent to another thread.
pub(super) fn args_type(call: &Callable) -> TokenStream {
    let params = call.params.iter().map(|param| {
        let ty = &param.ty;
        let kind = match param.kind {
            Kind::Value | Kind::Any => Ident::new("Arg", ty.span()),
            Kind::Borrow => Ident::new("Shared", ty.span()),
        };
        quote_spanned!(ty.span()=> __ray::#kind<#ty>)
    });
    let mut tuple = Group::new(Delimiter::Parenthesis, quote!(#(#params,)*));
    tuple.set_span(call.parens());
    tuple.into_token_stream()
}

/// The parameters for the macros that define `remote` and its variants:
/// `x: [impl __ray::IntoArg<i64>] __ray::IntoArg::into_arg, ..`
pub(super) fn surface(call: &Callable) -> TokenStream {
    let params = call.params.iter().map(|param| {
        let (name, ty) = (&param.name, &param.ty);
        let (into, method) = match param.kind {
            Kind::Value => ("IntoArg", "into_arg"),
            Kind::Borrow => ("IntoShared", "into_shared"),
            Kind::Any => ("IntoAny", "into_any"),
        };
        let (into, method) = (Ident::new(into, ty.span()), Ident::new(method, ty.span()));
        quote_spanned!(ty.span()=> #name: [impl __ray::#into<#ty>] __ray::#into::#method)
    });
    quote!(#(#params),*)
}

/// A visibility, written in a module inside of the one in which the user has written it.
pub(super) fn seen_from_inside(vis: &Visibility) -> TokenStream {
    let Visibility::Restricted(VisRestricted { path, .. }) = vis else {
        return if matches!(vis, Visibility::Public(_)) { quote!(pub) } else { quote!(pub(super)) };
    };
    let mut rest = path.segments.iter().peekable();
    match rest.peek().map(|first| first.ident.to_string()).as_deref() {
        Some("super") => quote!(pub(in super::#path)),
        Some("self") => {
            let rest = rest.skip(1);
            quote!(pub(in super #(::#rest)*))
        }
        _ => quote::ToTokens::to_token_stream(vis),
    }
}

/// The tokens with another span.
pub(super) fn at(span: Span, tokens: TokenStream) -> TokenStream {
    let respanned = tokens.into_iter().map(|token| match token {
        TokenTree::Group(group) => {
            let mut inner = Group::new(group.delimiter(), at(span, group.stream()));
            inner.set_span(span);
            inner.into()
        }
        mut token => {
            token.set_span(span);
            token
        }
    });
    respanned.collect()
}

/// The names of generated functions with the span of the user's function `of`, so that rustc reports errors there.
pub(super) fn named(names: &[&str], of: &Ident) -> TokenStream {
    let names = names.iter().map(|name| Ident::new(name, of.span()));
    quote!(#(#names)*)
}

/// The value of a constant `CALL`. `how` is the kind of call, `state` the receiver of a method, and `body` the path of the
/// user's function.
pub(super) fn call(how: TokenStream, state: Option<TokenStream>, body: TokenStream, call: &Callable) -> TokenStream {
    let span = call.ident().span();
    let names: Vec<Ident> = (0..call.params.len()).map(|index| Ident::new(&format!("__bound_{index}"), span)).collect();
    let passed = call.params.iter().zip(&names).map(|(param, name)| match param.kind {
        Kind::Value | Kind::Any => quote_spanned!(span=> #name.take()),
        Kind::Borrow => quote_spanned!(span=> &*#name),
    });
    let first = state.into_iter().chain(call.has_yielder().then(|| quote_spanned!(span=> __bound_yielder)));
    let dot_await = call.is_async().then(|| quote_spanned!(span=> .await));
    let value = quote_spanned!(span=> #body(#(#first,)* #(#passed),*) #dot_await);
    let finish = if call.output.fallible { quote!(Fallible) } else { quote!(Plain) };
    let outcome = match &call.output.stream {
        _ if call.faulty => quote!(::core::unreachable!()),
        Some(Stream { source, item }) => {
            let how = if call.is_future() { quote!(async) } else { quote!(sync) };
            let (source, yielder) = (Ident::new(source.name(), span), Ident::new("__bound_yielder", span));
            quote_spanned!(span=> __ray::stream!(#how #source #finish [#item] #yielder #value))
        }
        None if call.is_async() => {
            quote_spanned!(span=> ::std::boxed::Box::pin(async move { __ray::finish!(#finish #value) }))
        }
        None => quote_spanned!(span=> __ray::finish!(#finish #value)),
    };
    quote_spanned!(span=> __ray::call!(#how (#(#names)*) #outcome))
}

/// `const STREAM: .. = ..;` of a function that makes a stream, or nothing. rustc reports an item that cannot be serialised on its type.
pub(super) fn stream(local: bool, call: &Callable) -> Option<TokenStream> {
    let Stream { item, .. } = call.output.stream.as_ref()?;
    let kind = Ident::new(if local { "local" } else { "portable" }, item.span());
    let spec = quote_spanned!(item.span()=> __ray::StreamSpec::#kind::<#item>());
    Some(quote!(const STREAM: __ray::StreamSpecOrNone = ::core::option::Option::Some(#spec);))
}

/// Whether the return type could be an alias for a `Result`.
pub(super) fn needs_guard(call: &Callable) -> bool {
    /// The names of types of the standard library and of Ray, which users do not reuse for an alias.
    const PLAIN: &[&str] = &[
        "bool",
        "char",
        "u8",
        "u16",
        "u32",
        "u64",
        "u128",
        "usize",
        "i8",
        "i16",
        "i32",
        "i64",
        "i128",
        "isize",
        "f32",
        "f64",
        "String",
        "Vec",
        "Option",
        "Box",
        "Arc",
        "HashMap",
        "BTreeMap",
        "HashSet",
        "BTreeSet",
        "ObjectRef",
        "ActorHandle",
    ];
    last_segment(&call.output.written)
        .is_some_and(|(ident, _)| !call.output.fallible && !PLAIN.iter().any(|plain| ident == plain))
}

/// An assertion that does not compile if the return type is an alias for a `Result`.
pub(super) fn guard(call: &Callable) -> TokenStream {
    let written = &call.output.written;
    quote_spanned!(written.span()=> __ray::not_a_result!(#written);)
}
