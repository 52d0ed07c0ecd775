//! The values of options, and the checks of those that are literals.

use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream};
use quote::ToTokens;
use syn::{Expr, ExprLit, ExprUnary, Ident, Lit, UnOp};

use crate::parse::Value;
use crate::report::Report;

/// Sets the span of a value and returns it, so that a literal with a span is one expression.
pub(super) trait WithSpan {
    fn with_span(self, span: Span) -> Self;
}

impl WithSpan for Literal {
    fn with_span(mut self, span: Span) -> Literal {
        self.set_span(span);
        self
    }
}

/// The tokens to report an error on: the value, or the key if there is no value.
pub(super) fn span_of(key: &Ident, value: &Value) -> TokenStream {
    match value {
        Value::None => key.to_token_stream(),
        Value::Expr(expr) => expr.to_token_stream(),
        Value::Path(path) => path.to_token_stream(),
        Value::List(paren, _) => group(Delimiter::Parenthesis, paren.span.join()),
        Value::Dict(brace, _) => group(Delimiter::Brace, brace.span.join()),
    }
}

/// An empty group with the span, to report an error on a list.
fn group(delimiter: Delimiter, span: Span) -> TokenStream {
    let mut group = Group::new(delimiter, TokenStream::new());
    group.set_span(span);
    group.to_token_stream()
}

pub(super) fn expr(key: &Ident, value: Value, takes: &str, report: &mut Report) -> Option<Expr> {
    match value {
        Value::Expr(expr) => Some(expr),
        value => {
            report.error(span_of(key, &value), format_args!("`{key}` takes {takes}: `{key} = ..`"));
            None
        }
    }
}

/// The literal of the expression, if it is one, and whether it has a minus sign.
pub(super) fn literal(expr: &Expr) -> Option<(bool, &Lit)> {
    match expr {
        Expr::Lit(ExprLit { lit, .. }) => Some((false, lit)),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => literal(expr).map(|(negative, lit)| (!negative, lit)),
        Expr::Group(group) => literal(&group.expr),
        Expr::Paren(paren) => literal(&paren.expr),
        _ => None,
    }
}

/// Checks the amount of a resource and returns it as an `f64`; a literal must not be negative and must be a multiple of
/// 0.0001.
pub(super) fn quantity(expr: &Expr, report: &mut Report) -> Option<TokenStream> {
    let Some((negative, lit)) = literal(expr) else {
        return Some(expr.to_token_stream());
    };
    let digits = match lit {
        Lit::Int(int) if int.suffix().is_empty() => int.base10_digits(),
        Lit::Float(float) if matches!(float.suffix(), "" | "f64") => float.base10_digits(),
        _ => {
            report.error(expr, "an amount must be a number, such as `2` or `0.5`");
            return None;
        }
    };
    let amount: f64 = digits.parse().unwrap_or(f64::INFINITY);
    if negative && amount != 0.0 {
        report.error(expr, "an amount cannot be negative: write at least 0");
    } else if amount > 1e12 {
        report.error(expr, "an amount can be at most 1e12");
    } else if (amount * 1e4 - (amount * 1e4).round()).abs() > 1e-6 {
        report.error(expr, "an amount must be a multiple of 0.0001");
    } else {
        return Some(Literal::f64_suffixed(amount).with_span(lit.span()).to_token_stream());
    }
    None
}

/// Checks an integer; a literal must be within the limits.
pub(super) fn integer(expr: &Expr, least: i128, most: i128, takes: &str, report: &mut Report) -> Option<TokenStream> {
    let Some((negative, lit)) = literal(expr) else {
        return Some(expr.to_token_stream());
    };
    let number = match lit {
        Lit::Int(int) if int.suffix().is_empty() => int.base10_parse::<i128>().ok(),
        _ => None,
    };
    match number.map(|number| if negative { -number } else { number }) {
        Some(number) if (least..=most).contains(&number) => Some(expr.to_token_stream()),
        _ => {
            report.error(expr, takes);
            None
        }
    }
}
