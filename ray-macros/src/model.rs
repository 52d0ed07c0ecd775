//! The model of an item: a function, the struct or enum of an actor, or the impl block of an actor.
//!
//! A model can be built of every item. `check` reports the errors in a model, and `fallback` replaces the parts that cannot
//! be expanded. Only errors about a `#[method]` attribute and its options are reported here.

mod attributes;
mod stream;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Attribute, Block, FnArg, GenericParam, Generics, Ident, ImplItem, ImplItemFn, ItemFn, ItemImpl, Pat, Receiver, ReturnType,
    Signature, Token, Type, TypeParamBound, Visibility, WherePredicate, parse_quote, parse_quote_spanned,
};

pub(crate) use self::attributes::Attributes;
use self::attributes::{cfgs, expects_dead_code, lints, take_method_attribute};
pub(crate) use self::stream::{Source, Stream};
use crate::options::{On, Options};
use crate::parse;
use crate::report::Report;
use crate::types;

/// `#[remote] fn`
pub(crate) struct Function {
    pub(crate) attributes: Attributes,
    pub(crate) vis: Visibility,
    pub(crate) call: Callable,
    pub(crate) block: Block,
    pub(crate) options: Options,
}

/// `#[remote] struct` or `enum`
pub(crate) struct Class {
    pub(crate) item: syn::Item,
    pub(crate) attributes: Attributes,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) options: Options,
}

/// `#[remote] impl`
pub(crate) struct Actor {
    /// As the user wrote it, without `#[method]`.
    pub(crate) item: ItemImpl,
    pub(crate) cfg: Vec<Attribute>,
    /// The levels of lints of the block.
    pub(crate) lints: Vec<Attribute>,
    pub(crate) class: Type,
    /// The name of the type, without its path and its generic arguments.
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    /// The functions with the name `new`, or the one that the option `default` stands for; `check` reports an error unless
    /// there is exactly one, without a receiver.
    pub(crate) constructors: Vec<Method>,
    /// The methods that are fields of the handle.
    pub(crate) methods: Vec<Method>,
    /// The names of the methods with a receiver and without a visibility, which the handle does not have.
    pub(crate) hidden: Vec<Ident>,
    /// The names of all functions in the block.
    pub(crate) names: Vec<Ident>,
    pub(crate) options: Options,
}

/// A method of an actor, or its constructor.
pub(crate) struct Method {
    pub(crate) attributes: Attributes,
    pub(crate) vis: Visibility,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) call: Callable,
    pub(crate) options: Options,
}

/// The signature of a function, a method or a constructor.
pub(crate) struct Callable {
    pub(crate) sig: Signature,
    pub(crate) params: Vec<Param>,
    pub(crate) output: Output,
    /// `check` found an error, so the expansion must not call the body.
    pub(crate) faulty: bool,
}

/// A parameter other than the receiver.
pub(crate) struct Param {
    /// The name of the parameter in the generated `remote` function.
    pub(crate) name: Ident,
    /// The type as the user wrote it.
    pub(crate) written: Type,
    /// The type of the stored argument: the written type without its `&`.
    pub(crate) ty: Type,
    pub(crate) kind: Kind,
    /// A `#[cfg(..)]` on the parameter.
    pub(crate) conditional: Option<Attribute>,
}

/// The way in which the body gets an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The body gets the value: moved if the task has the last reference, cloned otherwise.
    Value,
    /// The body gets a reference to the stored value.
    Borrow,
    /// The generated function accepts any argument, so that a faulty parameter causes no further errors.
    Any,
}

/// The return type of a body.
pub(crate) struct Output {
    /// The type as the user wrote it, `()` if there is none and for a stream.
    pub(crate) written: Type,
    /// Whether the last path segment of the type is `Result`.
    pub(crate) fallible: bool,
    /// The types of the references, if `num_returns` is over 1.
    pub(crate) split: Option<Vec<Type>>,
    /// The items, if the function makes a stream. Then its task has no other result, and `written` is `()` or `Result<(), E>`.
    pub(crate) stream: Option<Stream>,
}

impl Function {
    pub(crate) fn new(item: ItemFn, options: Options) -> Function {
        let ItemFn { attrs, vis, sig, block } = item;
        let num_returns = options.num_returns.as_ref().map(|(count, _)| *count);
        Function {
            attributes: Attributes::of_function(attrs),
            vis,
            call: Callable::new(sig, num_returns, options.local, None, true),
            block: *block,
            options,
        }
    }

    /// Whether the expansion can offer a plain call of the body: as `square.call(7)`, and, if the function is neither
    /// generic nor async, as `square(7)`.
    pub(crate) fn is_ordinary(&self) -> bool {
        let Signature { unsafety, abi, variadic, inputs, .. } = &self.call.sig;
        unsafety.is_none() && abi.is_none() && variadic.is_none() && inputs.len() == self.call.params.len()
    }

    /// Whether the function has generic parameters. `check` refuses type and const parameters unless the function is local.
    pub(crate) fn is_generic(&self) -> bool {
        !self.call.sig.generics.params.is_empty()
    }
}

impl Class {
    pub(crate) fn new(item: syn::Item, options: Options) -> Class {
        let (attrs, ident, generics) = match &item {
            syn::Item::Struct(item) => (&item.attrs, &item.ident, &item.generics),
            syn::Item::Enum(item) => (&item.attrs, &item.ident, &item.generics),
            _ => unreachable!("parse::Target::Class is a struct or an enum"),
        };
        Class {
            attributes: Attributes { cfg: cfgs(attrs), ..Attributes::default() },
            ident: ident.clone(),
            generics: generics.clone(),
            item,
            options,
        }
    }
}

impl Actor {
    pub(crate) fn new(mut item: ItemImpl, options: Options, report: &mut Report) -> Actor {
        let class = (*item.self_ty).clone();
        let mut actor = Actor {
            cfg: cfgs(&item.attrs),
            lints: lints(&item.attrs),
            name: types::last_segment(&class).map_or_else(|| Ident::new("Actor", class.span()), |(ident, _)| ident.clone()),
            generics: item.generics.clone(),
            class,
            constructors: Vec::new(),
            methods: Vec::new(),
            hidden: Vec::new(),
            names: Vec::new(),
            options,
            item: parse_quote!(
                impl () {}
            ),
        };
        for member in &mut item.items {
            if let ImplItem::Fn(function) = member {
                actor.member(function, report);
            }
        }
        item.attrs.retain(|attribute| !expects_dead_code(attribute));
        actor.item = item;
        if let Some(key) = &actor.options.default
            && actor.constructors.is_empty()
        {
            actor.constructors.push(Method::default_constructor(key, &actor.class, actor.options.local));
        }
        actor
    }

    fn member(&mut self, function: &mut ImplItemFn, report: &mut Report) {
        let marked = take_method_attribute(&mut function.attrs);
        let receiver = match function.sig.inputs.first() {
            Some(FnArg::Receiver(receiver)) => Some(receiver.clone()),
            _ => None,
        };
        let is_new = function.sig.ident == "new";
        let shown = receiver.is_some() && !matches!(function.vis, Visibility::Inherited);
        self.names.push(function.sig.ident.clone());
        if let Some(attribute) = &marked
            && (is_new || !shown)
        {
            let why = if is_new {
                "the options for creating an actor are options of its struct: write them in #[remote(..)] on the struct"
            } else if receiver.is_none() {
                "this function has no `self`, so the handle does not show it, and #[method] has no effect"
            } else {
                "the handle shows methods with a visibility: write `pub fn` (or `pub(crate) fn`), or leave #[method] out"
            };
            report.error(attribute, why);
        }
        if !is_new && !shown {
            if receiver.is_some() {
                self.hidden.push(function.sig.ident.clone());
            }
            return;
        }
        let entries = match marked.map(|attribute| attribute.meta) {
            Some(syn::Meta::List(list)) => parse::entries(list.tokens, report),
            Some(syn::Meta::NameValue(pair)) => {
                report.error(pair, "write #[method(..)]");
                Vec::new()
            }
            Some(syn::Meta::Path(_)) | None => Vec::new(),
        };
        let options = Options::read(entries, On::Method, report);
        let num_returns = options.num_returns.as_ref().map(|(count, _)| *count);
        let method = Method {
            attributes: Attributes::of_method(&function.attrs),
            vis: function.vis.clone(),
            receiver,
            call: Callable::new(function.sig.clone(), num_returns, self.options.local, Some(&self.class), !is_new),
            options,
        };
        function.attrs.retain(|attribute| !expects_dead_code(attribute));
        if is_new {
            self.constructors.push(method);
        } else {
            self.methods.push(method);
        }
    }
}

impl Method {
    /// The constructor of an actor with the option `default`, whose tokens have the span of that option.
    fn default_constructor(key: &Ident, class: &Type, local: bool) -> Method {
        let sig: Signature = parse_quote_spanned!(key.span()=> fn new() -> Self);
        Method {
            attributes: Attributes::default(),
            // As the type: `pub` shows nothing of a private type.
            vis: parse_quote_spanned!(key.span()=> pub),
            receiver: None,
            call: Callable::new(sig, None, local, Some(class), false),
            options: Options::default(),
        }
    }

    /// Whether the body runs as a future.
    pub(crate) fn is_async(&self) -> bool {
        self.call.is_future()
    }

    /// Whether the method takes `&mut self`.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.receiver.as_ref().is_some_and(|receiver| match types::bare(&receiver.ty) {
            Type::Reference(reference) => reference.mutability.is_some(),
            _ => false,
        })
    }
}

impl Callable {
    /// `streams`: the function may make a stream.
    fn new(sig: Signature, num_returns: Option<usize>, local: bool, class: Option<&Type>, streams: bool) -> Callable {
        let resolve = |ty: &Type| match class {
            Some(class) => types::without_self(ty, class),
            None => ty.clone(),
        };
        let inputs = sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(input) => Some(input),
            FnArg::Receiver(_) => None,
        });
        let yielded = inputs.clone().next().filter(|_| streams).and_then(|input| stream::yielded(&input.ty));
        let yielded = yielded.map(|item| Stream { source: Source::Yielder, item: resolve(item) });
        let inputs = inputs.skip(usize::from(yielded.is_some()));
        let names = param_names(inputs.clone().map(|input| &*input.pat));
        let params = inputs
            .zip(names)
            .map(|(input, name)| {
                let ty = resolve(&input.ty);
                let (ty, kind) = match types::bare(&ty) {
                    Type::Reference(reference) if !(local && types::is_static_reference(&ty)) => {
                        ((*reference.elem).clone(), Kind::Borrow)
                    }
                    _ => (ty.clone(), Kind::Value),
                };
                let conditional = input.attrs.iter().find(|attribute| attribute.path().is_ident("cfg")).cloned();
                Param { name, written: (*input.ty).clone(), ty, kind, conditional }
            })
            .collect();
        let written = match &sig.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, ty) => resolve(ty),
        };
        let mut written = written;
        let plain = types::result_ok(&written).unwrap_or(&written);
        let stream = yielded.or_else(|| stream::returned(plain).filter(|_| streams));
        let split = match types::bare(plain) {
            Type::Tuple(tuple) if num_returns.is_some_and(|count| count > 1) => Some(tuple.elems.iter().cloned().collect()),
            _ => None,
        };
        let fallible = types::ends_in(&written, "Result");
        if stream.as_ref().is_some_and(|stream| stream.source != Source::Yielder) {
            written = types::without_ok(&written);
        }
        Callable { params, output: Output { fallible, split, written, stream }, sig, faulty: false }
    }

    pub(crate) fn ident(&self) -> &Ident {
        &self.sig.ident
    }

    /// Whether it is an `async fn`.
    pub(crate) fn is_async(&self) -> bool {
        self.sig.asyncness.is_some()
    }

    /// Whether the body runs as a future: that of an `async fn`, or the one that drives a returned `impl Stream`.
    pub(crate) fn is_future(&self) -> bool {
        self.is_async() || self.output.stream.as_ref().is_some_and(|stream| stream.source == Source::Stream)
    }

    /// The flag of the definition, if the function makes a stream. Unlike a future, a plain `fn` blocks its thread while its stream is full.
    pub(crate) fn stream_mark(&self) -> Option<&'static str> {
        self.output.stream.as_ref().map(|_| if self.is_future() { "not_inline" } else { "stream" })
    }

    /// Whether the body has a `Yielder` as its first parameter, which `params` leaves out.
    pub(crate) fn has_yielder(&self) -> bool {
        self.output.stream.as_ref().is_some_and(|stream| stream.source == Source::Yielder)
    }

    /// The span of the parameters with their parentheses.
    pub(crate) fn parens(&self) -> Span {
        self.sig.paren_token.span.join()
    }
}

impl Output {
    /// The type of the value in the object store.
    pub(crate) fn ty(&self) -> TokenStream {
        let written = &self.written;
        if self.stream.is_some() {
            quote!(())
        } else if self.fallible {
            quote!(__ray::OkOf<#written>)
        } else {
            written.to_token_stream()
        }
    }

    /// The type of the reference, or of the tuple of references, for use in an impl that defines `type Output`.
    pub(crate) fn own_refs(&self) -> TokenStream {
        if self.split.is_some() || self.stream.is_some() { self.refs() } else { quote!(__ray::ObjectRef<Self::Output>) }
    }

    /// The type of the reference, or of the tuple of references, for use outside such an impl.
    pub(crate) fn refs(&self) -> TokenStream {
        if let Some(Stream { item, .. }) = &self.stream {
            return quote!(__ray::ObjectRefStream<#item>);
        }
        match &self.split {
            Some(parts) => quote!((#(__ray::ObjectRef<#parts>),*)),
            None => {
                let ty = self.ty();
                quote!(__ray::ObjectRef<#ty>)
            }
        }
    }
}

/// The names of the parameters in the generated functions: the user's names without leading underscores, and `arg0`, `arg1`
/// and so on for patterns that are not a name. All names differ.
fn param_names<'a>(patterns: impl Iterator<Item = &'a Pat> + Clone) -> Vec<Ident> {
    let written: Vec<&Ident> = patterns
        .clone()
        .filter_map(|pat| match pat {
            Pat::Ident(pat) => Some(&pat.ident),
            _ => None,
        })
        .collect();
    let mut names: Vec<Ident> = Vec::new();
    for (index, pat) in patterns.enumerate() {
        let free = |name: &Ident| !written.contains(&name) && !names.contains(name);
        let name = match pat {
            Pat::Ident(pat) => syn::parse_str::<Ident>(pat.ident.to_string().trim_start_matches('_'))
                .ok()
                .filter(free)
                .map_or_else(|| pat.ident.clone(), |name| Ident::new(&name.to_string(), pat.ident.span())),
            _ => {
                let mut name = format_ident!("arg{}", index);
                while !free(&name) {
                    name = format_ident!("{}_", name);
                }
                name
            }
        };
        names.push(name);
    }
    names
}

/// The parameters of `generics` with the bounds that every remote type needs. If a parameter has a predicate in the where
/// clause, the bounds are added there, because clippy warns of bounds in two places.
pub(crate) fn augmented(generics: &Generics) -> Generics {
    let needed: Punctuated<TypeParamBound, Token![+]> = parse_quote!(::core::marker::Send + ::core::marker::Sync + 'static);
    let mut generics = generics.clone();
    let Generics { params, where_clause, .. } = &mut generics;
    for param in params {
        let GenericParam::Type(param) = param else {
            continue;
        };
        let clause = where_clause.iter_mut().flat_map(|clause| &mut clause.predicates).find_map(|predicate| match predicate {
            WherePredicate::Type(predicate) if types::is_ident(&predicate.bounded_ty, &param.ident) => Some(predicate),
            _ => None,
        });
        match clause {
            Some(predicate) => predicate.bounds.extend(needed.clone()),
            None => {
                param.bounds.extend(needed.clone());
                param.colon_token.get_or_insert_default();
            }
        }
        param.eq_token = None;
        param.default = None;
    }
    generics
}

/// The name of the hidden item that the expansion defines for the user's `ident`. It has no leading underscores of the user, because
/// rustc warns of a name with `__` in the middle.
pub(crate) fn hidden(ident: &Ident) -> Ident {
    Ident::new(&format!("__ray_{}", ident.unraw().to_string().trim_start_matches('_')), ident.span())
}
