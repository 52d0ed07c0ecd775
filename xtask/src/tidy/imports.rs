//! What a module names of its own crate, in `use` and elsewhere.

use std::collections::HashSet;

use super::code::{Token, closing, is_word};

/// Every path that the code of `module` names within the crate, from the root, with its line: those
/// that begin with `crate`, `self`, `super` or the name of a child. `$crate` is another crate's
/// business: it stands in a macro.
pub(super) fn paths(tokens: &[Token<'_>], module: &str, children: &HashSet<&str>) -> Vec<(String, usize)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut found = Vec::new();
    // The inline modules that are open, each by where it ends.
    let mut inline: Vec<usize> = Vec::new();
    for at in 0..tokens.len() {
        inline.retain(|end| *end > at);
        if text(at) == "mod" && text(at + 2) == "{" {
            inline.push(closing(tokens, at + 2));
        }
        let begins = text(at + 1) == "::" && (at == 0 || !["::", "$", "."].contains(&text(at - 1)));
        if !begins {
            continue;
        }
        let base = match text(at) {
            "crate" => Some(String::new()),
            "self" if inline.is_empty() => Some(module.to_owned()),
            "super" => Some(above(module, inline.len())),
            child if children.contains(child) => Some(join(module, child)),
            _ => None,
        };
        if let Some(base) = base {
            tree(tokens, at + 1, &base, &mut found);
        }
    }
    found
}

/// Where the first `super` leads from within `inline` inline modules.
fn above(module: &str, inline: usize) -> String {
    match inline {
        0 => module.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned(),
        _ => module.to_owned(),
    }
}

fn join(base: &str, name: &str) -> String {
    match base {
        "" => name.to_owned(),
        _ => format!("{base}::{name}"),
    }
}

/// Reads what follows `base` at a `::`: a name, a `*`, or a list in braces; gives where it ends.
fn tree(tokens: &[Token<'_>], at: usize, base: &str, found: &mut Vec<(String, usize)>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    if text(at) != "::" {
        found.push((base.to_owned(), tokens[at - 1].line));
        return at;
    }
    match text(at + 1) {
        "{" => {
            let end = closing(tokens, at + 1);
            let mut item = at + 2;
            while item < end {
                // Each item is a tree of its own, whose first name hangs below `base`.
                if text(item).starts_with(is_word) {
                    item = match text(item) {
                        "self" => {
                            found.push((base.to_owned(), tokens[item].line));
                            item + 1
                        }
                        name => tree(tokens, item + 1, &join(base, name), found),
                    };
                    while item < end && text(item) != "," {
                        item += 1; // `as name`
                    }
                }
                item += 1;
            }
            end + 1
        }
        "super" => tree(tokens, at + 2, &above(base, 0), found),
        name if name.starts_with(is_word) => tree(tokens, at + 2, &join(base, name), found),
        _ => {
            found.push((base.to_owned(), tokens[at].line));
            at + 2
        }
    }
}
