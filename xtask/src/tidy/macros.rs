//! Parses the arguments of macro calls. For the known macros of the standard library they are expressions; for other macros
//! only the paths among the tokens are found.

use syn::parse::{ParseStream, Parser};
use syn::{Expr, Macro, Pat, Token as Mark, punctuated::Punctuated};

use super::source::{Token, tokens};

/// Macros of the standard library whose arguments are expressions (or a list `value; length`).
const EXPRESSIONS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprint",
    "eprintln",
    "format",
    "format_args",
    "panic",
    "print",
    "println",
    "todo",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

#[derive(Default)]
pub(super) struct Arguments {
    pub(super) expressions: Vec<Expr>,
    pub(super) pattern: Option<Pat>,
}

/// Parses the arguments of a call. Returns `None` if the macro is not known.
pub(super) fn arguments(call: &Macro) -> Option<Arguments> {
    let name = call.path.segments.last()?.ident.to_string();
    match name.as_str() {
        "matches" => matched.parse2(call.tokens.clone()).ok(),
        name if EXPRESSIONS.contains(&name) => {
            let list = Punctuated::<Expr, Mark![,]>::parse_terminated.parse2(call.tokens.clone());
            let expressions = match list {
                Ok(list) => list.into_iter().collect(),
                Err(_) => repeated.parse2(call.tokens.clone()).ok()?,
            };
            Some(Arguments { expressions, pattern: None })
        }
        _ => None,
    }
}

/// `value, pattern if guard`
fn matched(input: ParseStream<'_>) -> syn::Result<Arguments> {
    let mut expressions = vec![input.parse()?];
    input.parse::<Mark![,]>()?;
    let pattern = Some(Pat::parse_multi_with_leading_vert(input)?);
    if input.parse::<Option<Mark![if]>>()?.is_some() {
        expressions.push(input.parse()?);
    }
    input.parse::<Option<Mark![,]>>()?;
    Ok(Arguments { expressions, pattern })
}

/// `value; length`
fn repeated(input: ParseStream<'_>) -> syn::Result<Vec<Expr>> {
    let value = input.parse()?;
    input.parse::<Mark![;]>()?;
    Ok(vec![value, input.parse()?])
}

/// A path among tokens: its segments, and the line of the last segment.
pub(super) struct TokenPath {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// The paths among tokens, including single names. `$crate` counts as `crate` if `own` is true. In a macro that other
/// crates expand (`own` is false), such a path is a dependency of the expansion and not of this file, so it is skipped.
pub(super) fn paths(stream: proc_macro2::TokenStream, own: bool) -> Vec<TokenPath> {
    let tokens = tokens(stream);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map_or("", |before| tokens[before].text.as_str());
        let continues = match before {
            "::" | "." | "'" => true,
            "$" => tokens[at].text != "crate" || !own,
            _ => false,
        };
        if continues || !is_word(&tokens[at].text) {
            at += 1;
        } else {
            at = tree(&tokens, at, &[], &mut found);
        }
    }
    found
}

/// Reads the path that begins at `at`, below the path `base`, including a list in braces at its end. Returns the position
/// after it.
fn tree(tokens: &[Token], mut at: usize, base: &[String], found: &mut Vec<TokenPath>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut segments = base.to_vec();
    loop {
        if text(at) != "self" || segments.is_empty() {
            segments.push(text(at).to_owned());
        }
        let line = tokens[at].line;
        if text(at + 1) != "::" {
            found.push(TokenPath { segments, line });
            return at + 1;
        }
        if text(at + 2) == "{" {
            at += 3;
            while at < tokens.len() && text(at) != "}" {
                if !is_word(text(at)) {
                    at += 1;
                    continue;
                }
                at = tree(tokens, at, &segments, found);
                while at < tokens.len() && !matches!(text(at), "," | "}") {
                    at += 1; // `as name`
                }
            }
            return at + 1;
        }
        if !is_word(text(at + 2)) {
            found.push(TokenPath { segments, line });
            return at + 2;
        }
        at += 2;
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, own: bool) -> Vec<String> {
        let found = paths(text.parse().unwrap(), own);
        found.iter().map(|path| path.segments.join("::")).filter(|path| path.contains("::")).collect()
    }

    #[test]
    fn paths_are_found_in_tokens() {
        let text = "crate::a::B => { f(super::c::<self::D>()) } 'e: x.f::<g::H>() use i::{self, j::K as O, l::{M, N}};";
        let expected = ["crate::a::B", "super::c", "self::D", "g::H", "i::j::K", "i::l::M", "i::l::N"];
        assert_eq!(found(text, true), expected);
        assert_eq!(found("$crate::a::B $c::d::E", true), ["crate::a::B"]);
        assert_eq!(found("$crate::a::B crate::c::D", false), ["crate::c::D"]);
    }

    #[test]
    fn arguments_of_the_standard_macros_are_syntax() {
        let expressions = |text: &str| arguments(&syn::parse_str(text).unwrap()).map(|found| found.expressions.len());
        assert_eq!(expressions("format!(\"{} {a}\", b, a = c::d())"), Some(3));
        assert_eq!(expressions("vec![unsafe { a() }; 4]"), Some(2));
        assert_eq!(expressions("matches!(a, Some(B::C) | None if d(),)"), Some(2));
        assert_eq!(expressions("assert!(a)"), Some(1));
        assert_eq!(expressions("ours!(a)"), None);
    }
}
