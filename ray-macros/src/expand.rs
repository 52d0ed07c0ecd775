//! Generates the code for a model that `check` has accepted. Nothing here can fail.
//!
//! The generated code names only `__ray` (the facade's `__private`), `::core` and `::std`. It is in a `const _: () = {..}`,
//! so that it adds no names to the user's scope except the user's own, and two names that messages of rustc may show: the module
//! `RemoteFn_{function}_{line}_{column}` and the constant `only_one_remote_impl_for_{Actor}`. The block also contains tokens of the user, which
//! can see its items: so the items have names that begin with `__ray` (`{Actor}_methods` excepted), and the bindings have
//! names that begin with `__bound_`. A binding with the name of a constant in scope would be a pattern for its value,
//! and every remote function is a constant.

mod actor;
mod class;
mod function;
mod parts;

pub(crate) use self::actor::actor;
pub(crate) use self::class::class;
pub(crate) use self::function::function;

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
