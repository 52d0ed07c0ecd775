//! Checks that the facade re-exports every public item of the engine. The facade lists the items explicitly, so that its
//! documentation has a good order.

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
        .map(|(name, line)| engine.file.problem(line, format!("`{name}` is exported here but not by {FACADE}: list it there")))
        .collect()
}

/// The names that `pub use` exports at the root, with their lines. Items that only expansions of `#[remote]` name are in a
/// separate module, and not among them.
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
    fn items_that_the_facade_lacks_are_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let engine = "pub use a::{A, b::B};\npub use c;\npub mod __private { pub use d::D; }";
        let files = [file(ENGINE, engine), file(FACADE, "pub use core::{A, c};")];
        let sources: Vec<Source<'_>> = files.iter().filter_map(|file| Source::read(file).ok()).collect();
        let problems = check(&sources);
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(problems, ["ray-core/src/lib.rs:1: `B` is exported here but not by src/lib.rs: list it there"]);
    }
}
