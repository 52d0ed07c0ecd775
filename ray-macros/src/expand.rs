//! Generates the code for a model that `check` has accepted. Nothing here can fail.
//!
//! The generated code names only `__ray` (the facade's `__private`), `::core` and `::std`. It is in a `const _: () = {..}`,
//! so that it adds no names to the user's scope except the user's own. The block also contains tokens of the user, which
//! can see its items: so the items have names that begin with `__ray` (`__{Actor}Methods` excepted), and the bindings have
//! names that begin with `__bound_`. A binding with the name of a constant in scope would be a pattern for its value,
//! and every remote function is a constant.

mod actor;
mod class;
mod function;

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ConstParam, GenericParam, Generics, Ident};

pub(crate) use self::actor::actor;
pub(crate) use self::class::class;
pub(crate) use self::function::function;

use crate::model::{Callable, Kind, Stream, augmented};
use crate::types::last_segment;

/// The pieces of generics that an expansion needs.
struct Parameters {
    /// The parameters with their bounds, for use in `impl <..>`, including the bounds of every remote type.
    declared: TokenStream,
    /// The arguments, such as `<T, N>`.
    used: TokenStream,
    /// The where clause, or nothing.
    bounds: TokenStream,
    /// The parameters without bounds, such as `T` and `const N: usize`.
    bare: Vec<TokenStream>,
    /// The names of type and const parameters.
    names: Vec<Ident>,
    is_empty: bool,
}

impl Parameters {
    fn of(generics: &Generics) -> Parameters {
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
    fn alias(&self) -> TokenStream {
        let bare = &self.bare;
        if bare.is_empty() { quote!(__RayClass) } else { quote!(__RayClass<#(#bare),*>) }
    }

    /// `::<T, N>`, or nothing.
    fn turbofish(&self) -> TokenStream {
        let names = &self.names;
        if names.is_empty() { TokenStream::new() } else { quote!(::<#(#names),*>) }
    }

    /// A type that contains all parameters, such as `(fn(*const T), [(); N])`. It is the argument of the marker of a
    /// generic function.
    fn witness(generics: &Generics) -> TokenStream {
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
fn args_type(call: &Callable) -> TokenStream {
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
fn surface(call: &Callable) -> TokenStream {
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

/// The names of generated functions with the span of the user's function `of`, so that rustc reports errors there.
fn named(names: &[&str], of: &Ident) -> TokenStream {
    let names = names.iter().map(|name| Ident::new(name, of.span()));
    quote!(#(#names)*)
}

/// The value of a constant `CALL`. `how` is the kind of call, `state` the receiver of a method, and `body` the path of the
/// user's function.
fn call(how: TokenStream, state: Option<TokenStream>, body: TokenStream, call: &Callable) -> TokenStream {
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
fn stream(local: bool, call: &Callable) -> Option<TokenStream> {
    let Stream { item, .. } = call.output.stream.as_ref()?;
    let kind = Ident::new(if local { "local" } else { "portable" }, item.span());
    let spec = quote_spanned!(item.span()=> __ray::StreamSpec::#kind::<#item>());
    Some(quote!(const STREAM: __ray::StreamSpecOrNone = ::core::option::Option::Some(#spec);))
}

/// Whether the return type could be an alias for a `Result`.
fn needs_guard(call: &Callable) -> bool {
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
fn guard(call: &Callable) -> TokenStream {
    let written = &call.output.written;
    quote_spanned!(written.span()=> __ray::not_a_result!(#written);)
}

#[cfg(test)]
mod tests {
    use proc_macro2::{TokenStream, TokenTree};
    use quote::quote;

    /// Every identifier of an expansion, groups included.
    fn names(tokens: TokenStream, into: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => into.push(ident.to_string()),
                TokenTree::Group(group) => names(group.stream(), into),
                _ => {}
            }
        }
    }

    #[test]
    fn expansions_name_the_library_only_by_the_given_path() {
        let items = [
            quote! { async fn f(xs: &[f64], n: u8) -> Result<u8, String> { todo!() } },
            quote! { struct Counter; },
            quote! { impl Counter { fn new(x: u8) -> Self { todo!() } pub async fn get(&self, x: &str) -> u8 { todo!() } } },
        ];
        for item in items {
            let mut found = Vec::new();
            names(crate::expansion(quote!(crate = ::elsewhere), item), &mut found);
            let count = |name: &str| found.iter().filter(|found| *found == name).count();
            assert!(count("ray") == 0 && count("elsewhere") > 0, "{found:?}");
        }
    }
}
