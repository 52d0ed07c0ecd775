//! Collects all errors of one item, so that one compilation reports all of them.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The errors of one item.
#[derive(Default)]
pub(crate) struct Report {
    errors: Vec<syn::Error>,
}

impl Report {
    /// Adds an error on `tokens`, which must be tokens of the user.
    pub(crate) fn error(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.errors.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds an error that syn found.
    pub(crate) fn syntax(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// The number of errors so far.
    pub(crate) fn len(&self) -> usize {
        self.errors.len()
    }

    /// Returns a `compile_error!` for each error.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.errors.into_iter().map(|error| error.into_compile_error()).collect()
    }
}
