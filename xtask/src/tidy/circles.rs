//! Reports the import cycles within each library, and the number of files that implement methods of the type `Engine`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use syn::visit::{self, Visit};

use super::graph::Graph;
use super::scc::{circles, shortest_cycle};
use super::source::Source;

/// The type whose inherent impls are counted. The type connects all files with an impl of it, which the import graph cannot
/// show.
const SPREAD: &str = "Engine";

/// The graph of each library.
pub(super) fn graphs(sources: &[Source<'_>]) -> Vec<Graph> {
    let paths = sources.iter().map(|source| source.file.path.as_str());
    let roots = paths.filter(|path| path.ends_with("src/lib.rs") && path.matches('/').count() <= 2);
    roots.filter_map(|root| Graph::of(sources, root)).collect()
}

pub(super) fn report(graphs: &[Graph], sources: &[Source<'_>], members: bool, edges: bool) -> String {
    let mut text = String::new();
    for graph in graphs {
        let successors = graph.successors();
        let circles = circles(&successors);
        let folder = graph.root.trim_end_matches("lib.rs");
        let name = |file: &usize| &graph.files[*file][folder.len()..];
        let sizes: Vec<String> = circles.iter().map(|circle| circle.len().to_string()).collect();
        let sizes =
            if sizes.is_empty() { "no import cycle".to_owned() } else { format!("import cycles of {} files", sizes.join(", ")) };
        let _ = writeln!(text, "{folder}: {} files, {} imports, {sizes}", graph.files.len(), graph.edges.len());
        for circle in circles.iter().filter(|_| members || edges) {
            let shortest: Vec<&str> = shortest_cycle(&successors, circle).iter().map(name).collect();
            let _ = writeln!(text, "  cycle of {} files, shortest path: {}", circle.len(), shortest.join(" -> "));
            if members {
                circle.iter().for_each(|file| _ = writeln!(text, "    {}", name(file)));
            }
            if edges {
                let inside = graph.edges.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
                for ((from, to), items) in inside {
                    items.keys().for_each(|item| _ = writeln!(text, "    {} -> {}: {item}", name(from), name(to)));
                }
            }
        }
    }
    let spread = spread(graphs, sources);
    let _ = writeln!(text, "impl {SPREAD} in {} files", spread.len());
    if members {
        spread.iter().for_each(|path| _ = writeln!(text, "    {path}"));
    }
    text
}

/// The files of the libraries with an inherent impl of the engine's type.
fn spread<'a>(graphs: &[Graph], sources: &'a [Source<'_>]) -> BTreeSet<&'a str> {
    let compiled = sources.iter().filter(|source| graphs.iter().any(|graph| graph.files.contains(&source.file.path)));
    let with = compiled.filter(|source| {
        let mut impls = Impls { found: false };
        impls.visit_file(&source.code);
        impls.found
    });
    with.map(|source| source.file.path.as_str()).collect()
}

struct Impls {
    found: bool,
}

impl<'ast> Visit<'ast> for Impls {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let (None, syn::Type::Path(of)) = (&item.trait_, &*item.self_ty) {
            self.found |= of.path.segments.last().is_some_and(|segment| segment.ident == SPREAD);
        }
        visit::visit_item_impl(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;

    #[test]
    fn cycles_and_files_with_impls_are_reported() {
        let file = |path: &str, text: &str| File { path: format!("ray-core/src/{path}.rs"), text: text.into() };
        let files = [
            file("lib", "mod a; mod b; mod c;"),
            file("a", "use crate::b::B; pub struct A;"),
            file("b", "use crate::{a::A, c::Engine}; pub struct B; impl Engine { fn b() {} } impl Drop for Engine {}"),
            file("c", "pub struct Engine; impl Clone for Engine {} #[cfg(test)] impl Engine {}"),
        ];
        let sources: Vec<Source<'_>> =
            files.iter().map(|file| Source::read(file).unwrap_or_else(|problem| panic!("{problem}"))).collect();
        let report = report(&graphs(&sources), &sources, true, true);
        let expected =
            "ray-core/src/: 4 files, 3 imports, import cycles of 2 files\n  cycle of 2 files, shortest path: a.rs -> b.rs
    a.rs\n    b.rs\n    a.rs -> b.rs: B\n    b.rs -> a.rs: A\nimpl Engine in 1 files\n    ray-core/src/b.rs\n";
        assert_eq!(report, expected);
    }
}
