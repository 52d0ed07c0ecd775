//! Formats a signature as text, for the documentation of generated items and for error messages.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Formats tokens with the spaces that rustfmt puts in a signature.
pub(crate) fn text(tokens: TokenStream) -> String {
    let mut out = String::new();
    write(&mut out, tokens);
    out
}

/// The kind of the last token, which decides whether a space follows it.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// No token, or a token without a space after it: `&`, `<`, `::`, `'`.
    Tight,
    /// A name, a literal or a closed group.
    Word,
    /// A token with a space after it: `,`, `:`, `->`, `=`, `+`.
    Loose,
}

fn write(out: &mut String, tokens: TokenStream) {
    let mut last = Last::Tight;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => (" { ", " }"),
                    Delimiter::None => ("", ""),
                };
                // No space between a name and a group, as in `f(..)` and `Fn(..)`, except after `->`, `,` and keywords.
                if last == Last::Loose || (last == Last::Word && ends_with_keyword(out)) {
                    out.push(' ');
                }
                out.push_str(open);
                write(out, group.stream());
                out.push_str(close);
                last = Last::Word;
            }
            TokenTree::Punct(punct) => {
                let mut symbol = punct.as_char().to_string();
                if punct.spacing() == Spacing::Joint && !matches!(symbol.as_str(), "<" | ">" | "'" | "&") {
                    while let Some(TokenTree::Punct(next)) = tokens.peek() {
                        let joint = next.spacing() == Spacing::Joint;
                        symbol.push(next.as_char());
                        tokens.next();
                        if !joint || matches!(symbol.as_str(), "::" | "->" | "..." | "=>") {
                            break;
                        }
                    }
                }
                match symbol.as_str() {
                    "," | ":" | ";" => {
                        out.push_str(&symbol);
                        last = Last::Loose;
                    }
                    "->" | "=" | "+" | "=>" | "==" | "|" => {
                        out.push(' ');
                        out.push_str(&symbol);
                        last = Last::Loose;
                    }
                    ">" | "?" | "!" | "." => {
                        if last == Last::Loose {
                            out.push(' ');
                        }
                        out.push_str(&symbol);
                        last = if symbol == ">" { Last::Word } else { Last::Tight };
                    }
                    _ => {
                        let hugs = matches!(symbol.as_str(), "<" | "::");
                        if last == Last::Loose || (last == Last::Word && !hugs) {
                            out.push(' ');
                        }
                        out.push_str(&symbol);
                        last = Last::Tight;
                    }
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                if last != Last::Tight {
                    out.push(' ');
                }
                out.push_str(&token.to_string());
                last = Last::Word;
            }
        }
    }
}

fn ends_with_keyword(out: &str) -> bool {
    ["mut", "dyn", "impl", "const", "where", "for", "in"]
        .iter()
        .any(|word| out.strip_suffix(word).is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_')))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[track_caller]
    fn keeps(signature: &str) {
        let signature: proc_macro2::TokenStream = signature.parse().expect("tokens");
        let parsed: syn::Signature = syn::parse2(signature.clone()).expect("a signature");
        let printed = text(quote::quote!(#parsed));
        assert_eq!(printed, text(signature));
    }

    #[test]
    fn signatures_read_as_written() {
        for signature in [
            "fn square(x: i64) -> i64",
            "async fn total(xs: &[f64], mut n: usize) -> Result<f64, Box<dyn Error + Send>>",
            "fn pick<T: Ord + Clone, const N: usize>(xs: [T; N], f: fn(&T) -> bool) -> Option<T> where T: Send",
            "fn swap((a, b): (u8, u8)) -> (u8, u8)",
            "fn increment(&mut self) -> <Self as Iterator>::Item",
            "fn none()",
            "fn bytes(x: &'static str, y: std::collections::HashMap<String, Vec<u8>>)",
        ] {
            let tokens: proc_macro2::TokenStream = signature.parse().expect("tokens");
            assert_eq!(text(tokens), signature);
            keeps(signature);
        }
    }
}
