//! `ray` offers all that the engine exports: its list is written out by hand, so that its documentation has an order.

use super::code::{tokens, without_comments_and_literals};
use super::{File, Problem};

const ENGINE: &str = "ray-core/src/lib.rs";
const FACADE: &str = "src/lib.rs";

pub(super) fn check(files: &[File]) -> Vec<Problem> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let (Some(engine), Some(facade)) = (find(ENGINE), find(FACADE)) else { return Vec::new() };
    let code = without_comments_and_literals(&facade.text);
    let offered = tokens(&code);
    exports(&engine.text)
        .into_iter()
        .filter(|(name, _)| !offered.iter().any(|token| token.text == name))
        .map(|(name, line)| engine.problem(line, format!("`{name}` is exported here and not by {FACADE}: list it there")))
        .collect()
}

/// What `pub use` at the root gives names to, with their lines; what `#[remote]` alone names is in a module of its own.
fn exports(text: &str) -> Vec<(String, usize)> {
    let code = without_comments_and_literals(text);
    let tokens = tokens(&code);
    let mut exports = Vec::new();
    let (mut depth, mut inside) = (0, false);
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |next| next.text);
        match token.text {
            "pub" if depth == 0 && next == "use" => inside = true,
            ";" => inside = false,
            "{" if !inside => depth += 1,
            "}" if !inside => depth -= 1,
            name if inside && matches!(next, "," | "}" | ";") && name != "}" => exports.push((name.to_owned(), token.line)),
            _ => {}
        }
    }
    exports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_facade_forgets_is_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let engine = "pub use a::{A, b::B};\npub use c;\npub mod __private { pub use d::D; }";
        let problems = check(&[file(ENGINE, engine), file(FACADE, "pub use core::{A, c};")]);
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(problems, ["ray-core/src/lib.rs:1: `B` is exported here and not by src/lib.rs: list it there"]);
    }
}
