//! Parses tokens: the item with the attribute `#[remote]`, and the entries in the parentheses of the attribute.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Item, ItemFn, ItemImpl, LitStr, Path, Token, braced, parenthesized, token};

use crate::print;
use crate::report::Report;

/// The item with the attribute `#[remote]`.
pub(crate) enum Target {
    Function(ItemFn),
    /// A struct or an enum.
    Class(Item),
    Impl(ItemImpl),
    /// An item of a kind that cannot have the attribute; its syntax is correct.
    Other(Item),
}

impl Target {
    /// Parses an item and finds its kind.
    ///
    /// # Errors
    ///
    /// Fails if the tokens are not an item that syn can parse.
    pub(crate) fn parse(tokens: TokenStream) -> syn::Result<Target> {
        Ok(match syn::parse2(tokens)? {
            Item::Fn(item) => Target::Function(item),
            item @ (Item::Struct(_) | Item::Enum(_)) => Target::Class(item),
            Item::Impl(item) => Target::Impl(item),
            item => Target::Other(item),
        })
    }
}

/// One entry in the parentheses of an attribute. `options` checks the key and the value.
pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) value: Value,
}

/// The value of an entry.
pub(crate) enum Value {
    /// No value: `local`.
    None,
    /// `num_cpus = 2`
    Expr(Expr),
    /// `crate = ::renamed`
    Path(Path),
    /// `resources(tpu = 1, "big-disk" = 0.5)`
    List(token::Paren, Vec<(Key, Expr)>),
    /// `resources = {"tpu": 1}`, as in Python. No option takes it, and the messages say what to write instead.
    Dict(token::Brace, TokenStream),
}

/// The name of a resource, with its token.
pub(crate) enum Key {
    Ident(Ident),
    Str(LitStr),
}

impl Key {
    pub(crate) fn text(&self) -> String {
        match self {
            Key::Ident(ident) => ident.unraw().to_string(),
            Key::Str(string) => string.value(),
        }
    }
}

impl quote::ToTokens for Key {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Key::Ident(ident) => ident.to_tokens(tokens),
            Key::Str(string) => string.to_tokens(tokens),
        }
    }
}

/// Parses the entries in the parentheses of an attribute. After a syntax error it adds the error to the report and returns
/// no entries.
pub(crate) fn entries(tokens: TokenStream, report: &mut Report) -> Vec<Entry> {
    match Punctuated::<Entry, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(entries) => entries.into_iter().collect(),
        Err(error) => {
            report.syntax(error);
            Vec::new()
        }
    }
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Entry> {
        if input.peek(syn::Lit) {
            return Err(input.error("expected `option = value`, such as `num_cpus = 2`"));
        }
        let key = input.call(Ident::parse_any)?;
        let value = if input.peek(token::Paren) {
            let content;
            let paren = parenthesized!(content in input);
            let pairs = content.parse_terminated(pair, Token![,])?;
            Value::List(paren, pairs.into_iter().collect())
        } else if input.parse::<Option<Token![=]>>()?.is_none() {
            Value::None
        } else if key == "crate" && input.peek(LitStr) {
            Value::Path(input.parse::<LitStr>()?.parse_with(Path::parse_mod_style)?)
        } else if key == "crate" {
            Value::Path(input.call(Path::parse_mod_style)?)
        } else if is_dict(input) {
            let content;
            let brace = braced!(content in input);
            Value::Dict(brace, content.parse()?)
        } else {
            Value::Expr(input.parse()?)
        };
        Ok(Entry { key, value })
    }
}

/// Whether a dictionary of Python follows: a `{`, a string or a name, and a `:`.
fn is_dict(input: ParseStream<'_>) -> bool {
    let fork = input.fork();
    let is_dict = || -> syn::Result<bool> {
        let content;
        braced!(content in fork);
        let is_dict = (content.peek(LitStr) || content.peek(Ident)) && content.peek2(Token![:]) && !content.peek2(Token![::]);
        content.parse::<TokenStream>()?;
        Ok(is_dict)
    };
    input.peek(token::Brace) && is_dict().unwrap_or(false)
}

/// The pairs of a dictionary of Python in the form in which an option takes them: `"tpu" = 1`.
pub(crate) fn dict_as_list(dict: &TokenStream) -> String {
    let mut pairs = Vec::new();
    let mut pair = TokenStream::new();
    let mut has_key = false;
    for token in dict.clone() {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                pairs.push(std::mem::take(&mut pair));
                has_key = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !has_key => {
                pair.extend(quote!(=));
                has_key = true;
            }
            _ => pair.extend([token]),
        }
    }
    pairs.push(pair);
    pairs.into_iter().filter(|pair| !pair.is_empty()).map(print::text).collect::<Vec<_>>().join(", ")
}

fn pair(input: ParseStream<'_>) -> syn::Result<(Key, Expr)> {
    let key = if input.peek(LitStr) { Key::Str(input.parse()?) } else { Key::Ident(input.call(Ident::parse_any)?) };
    input.parse::<Token![=]>()?;
    Ok((key, input.parse()?))
}
