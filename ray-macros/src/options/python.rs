//! The error messages for values as they are written in Python.

use syn::{Expr, ExprLit, Lit};

use crate::parse::{Value, dict_as_list};

/// What to write instead of a value of Python's; none if the value is not one.
pub(super) fn instead(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::Dict(_, pairs) => Some(match name {
            "resources" | "label_selector" => {
                format!("`{name}` takes its pairs in parentheses: write `{name}({})`", dict_as_list(pairs))
            }
            "runtime_env" => "an environment is made by a function: write `runtime_env = environment`, with \
                 `fn environment() -> ray::RuntimeEnv`, or `.options().runtime_env(..)` for a call"
                .into(),
            _ => format!("`{name}` does not take a dictionary: write one value, `{name} = ..`"),
        }),
        Value::Expr(Expr::Path(path)) => {
            let word = path.path.get_ident()?.to_string();
            match word.as_str() {
                "True" | "False" => Some(format!("write `{name} = {}`: a bool of Rust has a small letter", word.to_lowercase())),
                "None" => Some(format!("leave `{name}` out to get its default: no option takes `None`")),
                _ => None,
            }
        }
        Value::Expr(Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) if name == "num_returns" => match text.value().as_str() {
            "streaming" | "dynamic" => Some(
                "a stream needs no `num_returns`: return `impl Iterator<Item = T>` or `impl Stream<Item = T>`, or take a `Yielder<T>` as \
                 the first parameter"
                    .into(),
            ),
            _ => None,
        },
        _ => None,
    }
}
