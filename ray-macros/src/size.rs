//! Tests of the size of expansions: at most 35 lines for a function, and 50 lines plus 14 for each method for an actor.
//!
//! The items have up to three parameters, and prettyplease formats the expansion. The user's own function or block does not
//! count, and a call of a `macro_rules` macro counts as one line.

use proc_macro2::TokenStream;
use quote::quote;
use syn::visit_mut::{self, VisitMut};

const FUNCTION: usize = 35;
const ACTOR: usize = 50;
const METHOD: usize = 14;

/// The number of lines of an expansion, and its text.
fn lines(attribute: TokenStream, item: TokenStream) -> (usize, String) {
    let tokens = crate::expansion(attribute, item);
    let mut file: syn::File = syn::parse2(tokens).expect("an expansion is Rust");
    Bare.visit_file_mut(&mut file);
    let text = prettyplease::unparse(&file);
    (text.lines().count(), text)
}

/// Removes the user's own items, and shortens each macro call to one line.
struct Bare;

impl VisitMut for Bare {
    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        block.stmts.retain(|statement| !matches!(statement, syn::Stmt::Item(syn::Item::Fn(_))));
        visit_mut::visit_block_mut(self, block);
    }

    fn visit_file_mut(&mut self, file: &mut syn::File) {
        // The user's own impl block comes before the `const _` of the expansion.
        file.items.retain(|item| !matches!(item, syn::Item::Impl(_)));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_macro_mut(&mut self, call: &mut syn::Macro) {
        call.tokens = TokenStream::new();
    }
}

#[track_caller]
fn at_most(limit: usize, attribute: TokenStream, item: TokenStream) {
    let (lines, text) = lines(attribute, item);
    assert!(lines <= limit, "{lines} lines are more than {limit}:\n{text}");
}

#[test]
fn a_function_is_small() {
    at_most(FUNCTION, quote!(), quote! { fn square(x: i64) -> i64 { x * x } });
    at_most(
        FUNCTION,
        quote!(num_cpus = 2, resources(tpu = 1), retry_exceptions = true, max_retries = 3, name = "resize"),
        quote! {
            pub(crate) async fn resize_all(images: &[RgbImage], sizes: HashMap<String, (u32, u32)>, label: &str)
                -> Result<Vec<DynamicImage>, Box<dyn Error + Send + Sync>> { body() }
        },
    );
    at_most(
        FUNCTION,
        quote!(num_returns = 3),
        quote! { fn split(x: Vec<f64>, y: Vec<f64>, z: Vec<f64>) -> Result<(Vec<f64>, String, u64), String> { body() } },
    );
    at_most(
        FUNCTION,
        quote!(local),
        quote! { fn merge<K: Ord, V>(a: BTreeMap<K, V>, b: BTreeMap<K, V>, f: fn(V, V) -> V) -> BTreeMap<K, V> where V: Clone { body() } },
    );
}

#[test]
fn an_actor_is_small() {
    let methods = [
        quote! { pub fn increment(&mut self) -> i64 { 1 } },
        quote! { pub async fn fetch(&self, urls: Vec<String>, limit: usize, headers: &HashMap<String, String>) -> Result<Vec<Vec<u8>>, FetchError> { body() } },
        quote! { #[method(num_returns = 2, max_task_retries = 3, retry_exceptions = is_transient)]
        pub(crate) async fn split(&mut self, images: &[RgbImage], sizes: Vec<(u32, u32)>, label: &str) -> Result<(Vec<u8>, String), SplitError> { body() } },
    ];
    // Each kind of method alone, then all together: so a large method fails the test even if the others are small.
    for kinds in [&methods[..1], &methods[1..2], &methods[2..], &methods[..]] {
        for count in [0, 1, 2, 20] {
            let methods = (0..count).map(|index| {
                let mut method: syn::ImplItemFn = syn::parse2(kinds[index % kinds.len()].clone()).expect("a method");
                method.sig.ident = quote::format_ident!("{}_{}", method.sig.ident, index);
                method
            });
            let item = quote! {
                impl crate::pipeline::ImageServer {
                    pub fn new(model: Vec<f64>, name: String, peers: Vec<ActorHandle<ImageServer>>) -> Result<Self, String> { body() }
                    #(#methods)*
                }
            };
            at_most(ACTOR + METHOD * count, quote!(), item);
        }
    }
    at_most(ACTOR, quote!(max_restarts = 3, max_concurrency = CALLS, num_cpus = 1), quote! { struct Counter { value: i64 } });
}
