//! The options of concurrency groups: `groups` of a struct, `group` of a method.

use proc_macro2::{Literal, TokenStream};
use quote::quote_spanned;
use syn::{Expr, Ident, Lit, LitStr};

use super::value::{WithSpan as _, expr, integer, literal, span_of};
use crate::parse::{Key, Value};
use crate::report::Report;

/// The largest number of groups of a class.
const MOST: usize = 64;

/// The call of the const builder for the groups of a class.
pub(super) fn sizes(key: &Ident, value: Value, report: &mut Report) -> Option<TokenStream> {
    let Value::List(paren, pairs) = value else {
        report.error(span_of(key, &value), "`groups` takes names and sizes: `groups(io = 2, compute = 4)`");
        return None;
    };
    let errors = report.len();
    if pairs.is_empty() {
        report.error(key, "`groups` has no group: write `groups(io = 2)`, or leave it out");
    }
    if let Some((name, _)) = pairs.get(MOST) {
        report.error(name, format_args!("an actor has at most {MOST} concurrency groups"));
    }
    let mut seen: Vec<String> = Vec::new();
    let mut entries = Vec::new();
    for (name, size) in pairs {
        let text = name.text();
        if text.is_empty() {
            report.error(&name, "the name of this concurrency group is empty");
        } else if text == "default" {
            report.error(&name, "methods without a group run in the default group, whose size is `max_concurrency`: write `max_concurrency = ..` beside `groups`");
        } else if seen.contains(&text) {
            report.error(&name, format_args!("the concurrency group `{text}` is given twice: remove one of them"));
        }
        let takes = "the size of a concurrency group is a number of calls, at least 1";
        if let Some(size) = integer(&size, 1, i128::from(u32::MAX), takes, report) {
            let literal = Literal::string(&text).with_span(match &name {
                Key::Ident(ident) => ident.span(),
                Key::Str(string) => string.span(),
            });
            entries.push(quote_spanned!(literal.span()=> (#literal, #size)));
        }
        seen.push(text);
    }
    (report.len() == errors).then(|| quote_spanned!(paren.span.join()=> .groups(&[#(#entries),*])))
}

/// The name of the group of a method.
pub(super) fn name(key: &Ident, value: Value, report: &mut Report) -> Option<LitStr> {
    let expr: Expr = expr(key, value, "the name of a concurrency group", report)?;
    match literal(&expr) {
        Some((false, Lit::Str(name))) => Some(name.clone()),
        _ => {
            report.error(&expr, "`group` takes the name of a concurrency group, as a string: `group = \"io\"`");
            None
        }
    }
}
