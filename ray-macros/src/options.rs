//! The options of each kind of item. A value that is a literal is checked here; rustc checks other expressions.

mod groups;
mod on;
mod placement;
mod python;
mod unknown;
mod value;

use proc_macro2::{Literal, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, parse_quote};

pub(crate) use self::on::On;
use self::unknown::unknown;
use self::value::{WithSpan as _, expr, integer, literal, quantity, span_of};
use crate::parse::{Entry, Key, Value};
use crate::report::Report;

/// The options of one item.
pub(crate) struct Options {
    /// Calls of the const builder, such as `.num_cpus(2f64)`, in the order of the attribute.
    pub(crate) setters: Vec<TokenStream>,
    /// The path of the library `ray`.
    pub(crate) krate: Path,
    pub(crate) local: bool,
    /// The key `default`: the constructor is `Default::default`.
    pub(crate) default: Option<Ident>,
    /// Whether a thread that waits for a result may run the body itself.
    pub(crate) inline: bool,
    pub(crate) num_returns: Option<(usize, Expr)>,
    /// The key `retry_exceptions`, unless its value is `false`.
    pub(crate) retries: Option<Ident>,
    /// Whether `max_restarts` is given and is not 0.
    pub(crate) restarts: bool,
    /// The key `max_task_retries`, unless its value is 0.
    pub(crate) task_retries: Option<Ident>,
    pub(crate) max_concurrency: Option<Expr>,
    /// The key `checkpoint_every` and its value.
    pub(crate) checkpoint_every: Option<(Ident, TokenStream)>,
    /// The key `groups`, if the class has concurrency groups.
    pub(crate) groups: Option<Ident>,
    /// The concurrency group of a method.
    pub(crate) group: Option<LitStr>,
    /// The key `backpressure`.
    pub(crate) backpressure: Option<Ident>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            setters: Vec::new(),
            krate: parse_quote!(::ray),
            local: false,
            default: None,
            inline: true,
            num_returns: None,
            retries: None,
            restarts: false,
            task_retries: None,
            max_concurrency: None,
            checkpoint_every: None,
            groups: None,
            group: None,
            backpressure: None,
        }
    }
}

impl Options {
    /// Reads the entries of an attribute on an item of the kind `on`. An entry with an error is reported and then ignored.
    pub(crate) fn read(entries: Vec<Entry>, on: On, report: &mut Report) -> Options {
        let mut options = Options::default();
        let mut seen: Vec<String> = Vec::new();
        for Entry { key, value } in entries {
            let name = key.unraw().to_string();
            if !on.known().contains(&name.as_str()) {
                report.error(&key, unknown(&name, on));
            } else if seen.contains(&name) {
                report.error(&key, format_args!("`{name}` is given twice: remove one of them"));
            } else {
                options.take(&name, &key, value, report);
                seen.push(name);
            }
        }
        options
    }

    fn take(&mut self, name: &str, key: &Ident, value: Value, report: &mut Report) {
        if let Some(instead) = python::instead(name, &value) {
            report.error(span_of(key, &value), instead);
            return;
        }
        match name {
            "num_cpus" | "num_gpus" => {
                if let Some(expr) = expr(key, value, "a number, such as `2` or `0.5`", report)
                    && let Some(number) = quantity(&expr, report)
                {
                    self.setters.push(quote!(.#key(#number)));
                }
            }
            "memory" => {
                if let Some(expr) = expr(key, value, "a number of bytes", report)
                    && let Some(bytes) = integer(&expr, 0, i128::from(u64::MAX), "`memory` takes a number of bytes", report)
                {
                    self.setters.push(quote!(.#key(#bytes)));
                }
            }
            "resources" => self.resources(key, value, report),
            "checkpoint_every" => {
                if let Some(expr) = expr(key, value, "a number of calls", report)
                    && let Some(every) =
                        integer(&expr, 1, i128::from(u32::MAX), "`checkpoint_every` takes a number of calls, at least 1", report)
                {
                    self.checkpoint_every = Some((key.clone(), every));
                }
            }
            "groups" => {
                if let Some(setter) = groups::sizes(key, value, report) {
                    self.setters.push(setter);
                    self.groups = Some(key.clone());
                }
            }
            "allow_out_of_order_execution" => match value {
                Value::None => self.setters.push(quote!(.#key(true))),
                Value::Expr(expr) if literal(&expr).is_none_or(|(_, lit)| matches!(lit, Lit::Bool(_))) => {
                    self.setters.push(quote!(.#key(#expr)));
                }
                value => {
                    report.error(span_of(key, &value), "`allow_out_of_order_execution` takes a bool, or no value for `true`");
                }
            },
            "group" => self.group = groups::name(key, value, report),
            "max_retries" | "max_restarts" | "max_task_retries" => {
                let takes = format!("`{name}` takes a number of times, at least 0, or -1 for no limit");
                if let Some(expr) = expr(key, value, "a number of times", report)
                    && let Some(times) = integer(&expr, -1, i128::from(i64::MAX), &takes, report)
                {
                    let asks = literal(&expr).is_none_or(|(_, lit)| !matches!(lit, Lit::Int(int) if int.base10_digits() == "0"));
                    self.restarts |= asks && name == "max_restarts";
                    if asks && name == "max_task_retries" {
                        self.task_retries = Some(key.clone());
                    }
                    self.setters.push(quote!(.#key(#times)));
                }
            }
            "max_concurrency" => {
                if let Some(expr) = expr(key, value, "a number of calls", report)
                    && let Some(calls) =
                        integer(&expr, 1, i128::from(u32::MAX), "`max_concurrency` takes a number of calls, at least 1", report)
                {
                    self.setters.push(quote!(.#key(#calls)));
                    self.max_concurrency = Some(expr);
                }
            }
            "max_pending_calls" => {
                if let Some(expr) = expr(key, value, "a number of calls", report)
                    && let Some(calls) = integer(
                        &expr,
                        -1,
                        i128::from(i64::MAX),
                        "`max_pending_calls` takes a number of calls, at least 1, or -1 for no limit",
                        report,
                    )
                {
                    if matches!(literal(&expr), Some((_, Lit::Int(int))) if int.base10_digits() == "0") {
                        report.error(
                            &expr,
                            "`max_pending_calls = 0` would refuse every call: write at least 1, or -1 for no limit",
                        );
                    } else {
                        self.setters.push(quote!(.#key(#calls)));
                    }
                }
            }
            "backpressure" => {
                let takes = "`backpressure` takes a number of items, at least 1, or -1 for no limit";
                if let Some(expr) = expr(key, value, "a number of items", report)
                    && let Some(items) = integer(&expr, -1, i128::from(i64::MAX), takes, report)
                {
                    if matches!(literal(&expr), Some((_, Lit::Int(int))) if int.base10_digits() == "0") {
                        report.error(&expr, "`backpressure = 0` would let no item through: write at least 1, or -1 for no limit");
                    } else {
                        self.setters.push(quote!(.#key(#items)));
                    }
                    self.backpressure = Some(key.clone());
                }
            }
            "num_returns" => {
                if let Some(expr) = expr(key, value, "a number, such as `2`", report) {
                    self.num_returns(expr, report);
                }
            }
            "retry_exceptions" => self.retry_exceptions(key, value, report),
            "name" => {
                if let Some(expr) = expr(key, value, "a string", report) {
                    match literal(&expr) {
                        Some((_, Lit::Str(string))) if string.value().is_empty() => {
                            report.error(&expr, "the name is empty: leave `name` out to use the name of the function");
                        }
                        Some((false, Lit::Str(_))) | None => self.setters.push(quote!(.#key(#expr))),
                        Some(_) => report.error(&expr, "`name` takes a string, such as `name = \"resize\"`"),
                    }
                }
            }
            "accelerator_type" | "scheduling_strategy" | "label_selector" | "runtime_env" => {
                self.setters.extend(placement::setters(name, key, value, report));
            }
            "inline" => match value {
                Value::Expr(Expr::Lit(ExprLit { lit: Lit::Bool(bool), .. })) => self.inline = bool.value,
                value => report.error(span_of(key, &value), "`inline` takes a bool: write `inline = false`"),
            },
            "local" => match value {
                Value::None => self.local = true,
                Value::Expr(Expr::Lit(ExprLit { lit: Lit::Bool(bool), .. })) => self.local = bool.value,
                value => report.error(span_of(key, &value), "`local` takes no value: write `#[remote(local)]`"),
            },
            "default" => match value {
                Value::None => self.default = Some(key.clone()),
                value => report.error(span_of(key, &value), "`default` takes no value: write `#[remote(default)]`"),
            },
            "crate" => match value {
                Value::Path(path) => self.krate = path,
                value => {
                    report.error(span_of(key, &value), "`crate` takes the path of the library `ray`, such as `crate = ::renamed`")
                }
            },
            _ => unreachable!("`{name}` is in On::known"),
        }
    }

    fn resources(&mut self, key: &Ident, value: Value, report: &mut Report) {
        let Value::List(_, pairs) = value else {
            report.error(span_of(key, &value), "`resources` takes names and amounts: `resources(tpu = 1, \"big disk\" = 0.5)`");
            return;
        };
        let mut seen: Vec<String> = Vec::new();
        for (name, amount) in pairs {
            let text = name.text();
            let instead = match text.as_str() {
                "CPU" => Some("num_cpus"),
                "GPU" => Some("num_gpus"),
                "memory" => Some("memory"),
                _ => None,
            };
            if let Some(instead) = instead {
                report.error(&name, format_args!("`{text}` is not a custom resource: write `{instead} = ..` beside `resources`"));
            } else if text.is_empty() {
                report.error(&name, "the name of this resource is empty");
            } else if seen.contains(&text) {
                report.error(&name, format_args!("the resource `{text}` is given twice: remove one of them"));
            } else if let Some(amount) = quantity(&amount, report) {
                let literal = Literal::string(&text).with_span(match &name {
                    Key::Ident(ident) => ident.span(),
                    Key::Str(string) => string.span(),
                });
                self.setters.push(quote!(.resource(#literal, #amount)));
                seen.push(text);
            }
        }
    }

    fn num_returns(&mut self, expr: Expr, report: &mut Report) {
        let Some((negative, Lit::Int(int))) = literal(&expr) else {
            report.error(&expr, "`num_returns` must be an integer literal, as in `num_returns = 2`");
            return;
        };
        match int.base10_parse::<usize>() {
            Ok(0) => report.error(
                &expr,
                "`num_returns` must be at least 1: leave it out, and submit a call without a reference to the result with \
                 `tell(..)`",
            ),
            Ok(count) if !negative && count <= 12 => self.num_returns = Some((count, expr)),
            _ => report.error(&expr, "`num_returns` must be a number from 1 to 12"),
        }
    }

    fn retry_exceptions(&mut self, key: &Ident, value: Value, report: &mut Report) {
        let on = match value {
            Value::None => quote!(Always),
            Value::Expr(Expr::Lit(ExprLit { lit: Lit::Bool(bool), .. })) if bool.value => quote!(Always),
            Value::Expr(Expr::Lit(ExprLit { lit: Lit::Bool(_), .. })) => return,
            Value::Expr(expr @ (Expr::Path(_) | Expr::Closure(_))) => {
                quote_spanned!(expr.span()=> If(#expr))
            }
            value => {
                report.error(
                    span_of(key, &value),
                    "`retry_exceptions` takes `true`, or the path of a `fn(&ray::Error) -> bool` that returns true for the \
                     errors to retry",
                );
                return;
            }
        };
        self.setters.push(quote!(.#key(__ray::RetryOn::#on)));
        self.retries = Some(key.clone());
    }
}

impl Options {
    /// The flags for the macro `spec!`, after the name: `, local, not_inline`.
    ///
    /// `stream` is the flag of a function that makes a stream.
    pub(crate) fn marks(&self, local: bool, stream: Option<&str>) -> TokenStream {
        let local = local.then(|| quote!(, local));
        let inline = stream.or((!self.inline).then_some("not_inline")).map(|flag| {
            let flag = Ident::new(flag, Span::call_site());
            quote!(, #flag)
        });
        quote!(#local #inline)
    }
}
