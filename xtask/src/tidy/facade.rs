//! `ray` offers all that the engine exports: its list is written out by hand, so that its documentation has an order.

use syn::{Item, Visibility};

use super::Problem;
use super::modules::imports;
use super::source::Source;

const ENGINE: &str = "ray-core/src/lib.rs";
const FACADE: &str = "src/lib.rs";

pub(super) fn check(sources: &[Source<'_>]) -> Vec<Problem> {
    let find = |path: &str| sources.iter().find(|source| source.file.path == path);
    let (Some(engine), Some(facade)) = (find(ENGINE), find(FACADE)) else { return Vec::new() };
    let offered = &facade.tokens;
    exports(&engine.code)
        .into_iter()
        .filter(|(name, _)| !offered.iter().any(|token| token.text == *name))
        .map(|(name, line)| engine.file.problem(line, format!("`{name}` is exported here and not by {FACADE}: list it there")))
        .collect()
}

/// What `pub use` at the root gives names to, with their lines; what `#[remote]` alone names is in a module of its own.
fn exports(root: &syn::File) -> Vec<(String, usize)> {
    let mut exports = Vec::new();
    for item in &root.items {
        if let Item::Use(item) = item
            && matches!(item.vis, Visibility::Public(_))
        {
            exports.extend(imports(&item.tree).into_iter().filter_map(|import| Some((import.name?, import.line))));
        }
    }
    exports
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;

    #[test]
    fn what_the_facade_forgets_is_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let engine = "pub use a::{A, b::B};\npub use c;\npub mod __private { pub use d::D; }";
        let files = [file(ENGINE, engine), file(FACADE, "pub use core::{A, c};")];
        let sources: Vec<Source<'_>> = files.iter().filter_map(|file| Source::read(file).ok()).collect();
        let problems = check(&sources);
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(problems, ["ray-core/src/lib.rs:1: `B` is exported here and not by src/lib.rs: list it there"]);
    }
}
