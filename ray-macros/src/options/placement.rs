//! The options that say on which node the work runs, and in which environment.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{Expr, Ident, Lit};

use super::value::{WithSpan as _, expr, literal, span_of};
use crate::parse::{Key, Value};
use crate::report::Report;

/// The calls of the const builder for one of these options.
pub(super) fn setters(name: &str, key: &Ident, value: Value, report: &mut Report) -> Vec<TokenStream> {
    match name {
        "label_selector" => return labels(key, value, report),
        "runtime_env" => return environment(key, value, report).into_iter().collect(),
        _ => {}
    }
    let Some(expr) = expr(key, value, "a string", report) else { return Vec::new() };
    let text = match literal(&expr) {
        Some((false, Lit::Str(text))) => Some(text.value()),
        Some(_) => {
            report.error(&expr, format_args!("`{name}` takes a string: `{name} = \"{}\"`", example(name)));
            return Vec::new();
        }
        None => None,
    };
    let setter = match (name, text.as_deref()) {
        ("accelerator_type", Some("")) => {
            report.error(
                &expr,
                "the type of the accelerator is empty: write it as Ray does, such as `accelerator_type = \"A100\"`",
            );
            return Vec::new();
        }
        ("accelerator_type", _) => quote!(.accelerator_type(#expr)),
        (_, Some("SPREAD")) => quote!(.spread(true)),
        (_, Some("DEFAULT")) => quote!(.spread(false)),
        _ => {
            report.error(
                &expr,
                "`scheduling_strategy` takes `\"SPREAD\"` or `\"DEFAULT\"`; a strategy that names nodes or labels is set for a call: \
                 `.options().scheduling_strategy(..)`",
            );
            return Vec::new();
        }
    };
    vec![setter]
}

fn example(name: &str) -> &'static str {
    if name == "accelerator_type" { "A100" } else { "SPREAD" }
}

fn labels(key: &Ident, value: Value, report: &mut Report) -> Vec<TokenStream> {
    let Value::List(_, pairs) = value else {
        report.error(
            span_of(key, &value),
            "`label_selector` takes names and values of labels: `label_selector(region = \"us\", \"ray.io/zone\" = \"!b\")`",
        );
        return Vec::new();
    };
    let mut seen: Vec<String> = Vec::new();
    let mut setters = Vec::new();
    for (name, value) in pairs {
        let text = name.text();
        if seen.contains(&text) {
            report.error(&name, format_args!("the label `{text}` is given twice: remove one of them, or write `in(a, b)`"));
            continue;
        }
        if literal(&value).is_some_and(|(negative, lit)| negative || !matches!(lit, Lit::Str(_))) {
            report.error(&value, "the value of a label is a string, such as `\"us\"`, `\"!us\"` or `\"in(us, eu)\"`");
            continue;
        }
        let literal = Literal::string(&text).with_span(match &name {
            Key::Ident(ident) => ident.span(),
            Key::Str(string) => string.span(),
        });
        setters.push(quote!(.label(#literal, #value)));
        seen.push(text);
    }
    setters
}

fn environment(key: &Ident, value: Value, report: &mut Report) -> Option<TokenStream> {
    match value {
        Value::Expr(make @ (Expr::Path(_) | Expr::Closure(_))) => Some(quote!(.#key(#make))),
        value => {
            report.error(
                span_of(key, &value).to_token_stream(),
                "`runtime_env` takes the path of a `fn() -> ray::RuntimeEnv`, which makes the environment",
            );
            None
        }
    }
}
