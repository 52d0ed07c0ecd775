//! The `#[remote]` attribute.

mod check;
mod expand;
mod fallback;
mod model;
mod options;
mod parse;
mod print;
mod report;
#[cfg(test)]
mod size;
mod types;

use proc_macro::TokenStream;

/// Makes a function or a type remote.
#[proc_macro_attribute]
pub fn remote(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expansion(attribute.into(), item.into()).into()
}

/// Options of a method.
#[proc_macro_attribute]
pub fn method(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut report = report::Report::default();
    report.syntax(syn::Error::new(
        proc_macro2::Span::call_site(),
        "#[method] belongs on a method inside a #[remote] impl; is #[remote] missing on the impl block?",
    ));
    let mut tokens = report.into_tokens();
    tokens.extend(proc_macro2::TokenStream::from(item));
    tokens.into()
}

/// The whole of `#[remote]`, on tokens that tests can make too.
fn expansion(attribute: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    use model::{Actor, Class, Function};
    use options::{On, Options};
    use parse::Target;

    let mut report = report::Report::default();
    let target = match Target::parse(item.clone()) {
        Ok(target) => target,
        Err(error) => {
            report.syntax(error);
            let mut tokens = report.into_tokens();
            tokens.extend(item);
            return tokens;
        }
    };
    let entries = parse::entries(attribute, &mut report);
    let mut tokens = match target {
        Target::Function(item) => {
            let model = Function::new(item, Options::read(entries, On::Function, &mut report));
            if check::function(&model, &mut report) { expand::function(&model) } else { fallback::function(model) }
        }
        Target::Class(item) => {
            let model = Class::new(item, Options::read(entries, On::Class, &mut report));
            if check::class(&model, &mut report) { expand::class(&model) } else { fallback::class(&model) }
        }
        Target::Impl(item) => {
            let options = Options::read(entries, On::Impl, &mut report);
            let model = Actor::new(item, options, &mut report);
            if check::actor(&model, &mut report) { expand::actor(&model) } else { fallback::actor(model) }
        }
        Target::Other(other) => {
            check::other(&other, &mut report);
            item
        }
    };
    tokens.extend(report.into_tokens());
    tokens
}
