//! The engine's layers: a module names only modules of its own and of earlier layers in [`LAYERS`].
//!
//! What a module names is what [`Graph`] finds: a name that is re-exported counts as what it stands for. The crate's root,
//! which is only a list of what is public, is in no layer.

use std::collections::HashSet;

use super::Problem;
use super::graph::Graph;

/// A group of modules, and what none of them names although other layers may.
struct Layer {
    name: &'static str,
    /// Each with all below it that no layer lists for itself.
    modules: &'static [&'static str],
    shuns: &'static [&'static str],
}

/// The layer of the module `name`, which is called by that name too.
const fn folder(name: &'static str) -> Layer {
    Layer { name, modules: &[], shuns: &[] }
}

impl Layer {
    const fn without(self, shuns: &'static [&'static str]) -> Self {
        Layer { name: self.name, modules: self.modules, shuns }
    }

    fn modules(&self) -> Vec<&'static str> {
        if self.modules.is_empty() { vec![self.name] } else { self.modules.to_vec() }
    }
}

/// The layers, the lowest first.
const LAYERS: &[Layer] = &[
    folder("base").without(&["tokio"]),
    folder("object").without(&["tokio"]),
    folder("call").without(&["tokio", "std::thread"]),
    folder("task").without(&["tokio", "std::thread"]),
    folder("sched").without(&["tokio", "std::thread"]),
    folder("engine"),
    folder("actor"),
    folder("collective"),
    folder("api"),
];

/// The names of later layers that are there all the same: the module, what it names, and why.
const DOWNWARD: &[(&str, &str, &str)] = &[];

/// What only the one module names that hides it from the others.
const HIDDEN: &[(&str, &str)] = &[("rmp_serde", "base::value")];

/// The root of what has the layers.
pub(super) const ROOT: &str = "ray-core/src/lib.rs";

pub(super) fn check(graph: &Graph) -> Vec<Problem> {
    Layering { layers: LAYERS, downward: DOWNWARD, graph }.problems()
}

struct Layering<'a> {
    layers: &'a [Layer],
    downward: &'a [(&'a str, &'a str, &'a str)],
    graph: &'a Graph,
}

impl Layering<'_> {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.unlisted();
        self.later(&mut problems);
        for file in 0..self.graph.files.len() {
            self.shunned(file, &mut problems);
        }
        problems
    }

    /// What is wrong with the table: modules that are in no layer, and entries that are no module.
    fn unlisted(&self) -> Vec<Problem> {
        let modules = &self.graph.modules;
        let listed = self.layers.iter().flat_map(Layer::modules);
        let gone = listed.filter(|listed| !modules.iter().any(|module| module == listed));
        let gone = gone.map(|module| table(format!("`{module}` is gone: take it out of LAYERS")));
        let novel = (0..modules.len()).filter(|file| !modules[*file].is_empty() && self.layer_of(*file).is_none());
        let novel = novel.map(|file| {
            let what = format!("which layer is `{}` in? Add it to LAYERS in xtask/src/tidy/layers.rs", modules[file]);
            self.problem(file, 0, what)
        });
        gone.chain(novel).collect()
    }

    /// What is named of later layers, and exceptions from the rule that nothing needs.
    fn later(&self, problems: &mut Vec<Problem>) {
        let mut used = HashSet::new();
        for ((from, to), named) in &self.graph.edges {
            let (Some(own), Some(layer)) = (self.layer_of(*from), self.layer_of(*to)) else { continue };
            if layer <= own {
                continue;
            }
            let (module, target) = (self.graph.modules[*from].as_str(), self.graph.modules[*to].as_str());
            if self.downward.iter().any(|(from, to, _)| (*from, *to) == (module, target)) {
                used.insert((module, target));
                continue;
            }
            let (own, layer) = (self.layers[own].name, self.layers[layer].name);
            for (item, line) in named {
                let what = format!("`{module}` ({own}) names `{item}` of `{target}` ({layer}), which is a later layer");
                problems.push(self.problem(*from, *line, what));
            }
        }
        for (from, to, _) in self.downward {
            if !used.contains(&(*from, *to)) {
                problems.push(table(format!("`{from}` no longer names `{to}`: take the pair out of DOWNWARD")));
            }
        }
    }

    fn shunned(&self, file: usize, problems: &mut Vec<Problem>) {
        let module = self.graph.modules[file].as_str();
        let layer = self.layer_of(file).map(|at| &self.layers[at]);
        let shunned = layer
            .into_iter()
            .flat_map(|layer| layer.shuns.iter().map(|name| (*name, format!("the layer `{}` does without", layer.name))));
        let hidden =
            HIDDEN.iter().filter(|(_, home)| *home != module).map(|(name, home)| (*name, format!("only `{home}` knows it")));
        for (name, why) in shunned.chain(hidden) {
            let named = self.graph.foreign[file].iter().filter(|(path, _)| is_below(path, name));
            if let Some((_, line)) = named.min_by_key(|(_, line)| **line) {
                problems.push(self.problem(file, *line, format!("`{module}` names `{name}`: {why}")));
            }
        }
    }

    /// The layer that lists the module of a file, or else the nearest one above it.
    fn layer_of(&self, file: usize) -> Option<usize> {
        let module = self.graph.modules[file].as_str();
        let listed =
            self.layers.iter().enumerate().flat_map(|(at, layer)| layer.modules().into_iter().map(move |name| (at, name)));
        listed.filter(|(_, name)| is_below(module, name)).max_by_key(|(_, name)| name.len()).map(|(at, _)| at)
    }

    fn problem(&self, file: usize, line: usize, what: String) -> Problem {
        Problem { path: self.graph.files[file].clone(), line, what }
    }
}

/// Whether `path` is `above`, or begins with it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What is wrong with the tables here.
fn table(what: String) -> Problem {
    Problem { path: "xtask/src/tidy/layers.rs".into(), line: 0, what }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::super::source::Source;
    use super::*;

    const TWO: &[Layer] = &[
        Layer { name: "words", modules: &["error", "task"], shuns: &["std::thread"] },
        Layer { name: "deeds", modules: &["worker", "task::done"], shuns: &[] },
    ];

    const FOLDERS: &[Layer] = &[folder("error").without(&["std::thread"]), folder("task"), folder("worker")];

    const DOWN: &[(&str, &str, &str)] = &[("task::kind", "worker", "a kind has its worker")];

    const MODULES: &[(&str, &str)] = &[
        ("error", "pub struct Error;"),
        ("task", "mod kind; mod done;"),
        ("task::kind", ""),
        ("task::done", ""),
        ("worker", "pub mod lease; pub struct Worker; pub fn go() {}"),
        ("worker::lease", "pub struct Lease;"),
    ];

    /// What is wrong when `module` holds `text` beside its own.
    fn wrong_in(layers: &[Layer], module: &str, text: &str) -> Vec<String> {
        let file = |path: String, text: String| File { path: format!("src/{path}.rs"), text };
        let mut files: Vec<File> = MODULES
            .iter()
            .map(|(name, own)| file(name.replace("::", "/"), format!("{} {own}", if *name == module { text } else { "" })))
            .collect();
        let root = "mod error; mod task; mod worker; pub use error::Error; pub use worker::{Worker, lease::Lease};";
        files.push(file("lib".into(), root.into()));
        let sources: Vec<Source<'_>> =
            files.iter().map(|file| Source::read(file).unwrap_or_else(|problem| panic!("{problem}"))).collect();
        let graph = Graph::of(&sources, "src/lib.rs").expect("it has a root");
        Layering { layers, downward: DOWN, graph: &graph }.problems().iter().map(Problem::to_string).collect()
    }

    /// As [`wrong_in`] of two layers, but for what an exception that is not used gives.
    fn wrong(module: &str, text: &str) -> Vec<String> {
        wrong_in(TWO, module, text).into_iter().filter(|what| !what.contains("DOWNWARD")).collect()
    }

    #[test]
    fn earlier_layers_may_be_named() {
        let text = "use crate::{error::{self, Error as E}, task::*};
            fn f() -> crate::Error { super::error::new() }";
        assert_eq!(wrong("worker", text), [""; 0]);
        assert_eq!(wrong("worker::lease", "use super::Worker; use super::super::error::Error;"), [""; 0]);
        assert_eq!(wrong("task::done", "use crate::worker::go;"), [""; 0]);
    }

    #[test]
    fn later_ones_may_not() {
        for text in [
            "use crate::worker;",
            "use crate::{error::Error, worker::lease::{Lease}};",
            "use super::worker::*;",
            "fn f() { crate::worker::go() }",
            "use crate::Worker;",
            "use crate::{Error, Lease};",
            "mod inner { use super::super::worker::go; }",
        ] {
            let wrong = wrong("task", text);
            assert_eq!(wrong.len(), 1, "{text}: {wrong:?}");
            assert!(wrong[0].contains("which is a later layer"), "{wrong:?}");
        }
    }

    #[test]
    fn but_for_pairs_that_are_listed_and_used() {
        assert_eq!(wrong("task::kind", "use crate::worker::go;"), [""; 0]);
        assert_eq!(wrong("task::kind", "use crate::worker::lease::Lease;").len(), 1);
        let unused = wrong_in(TWO, "", "");
        assert_eq!(unused.len(), 1);
        assert!(unused[0].contains("no longer names"), "{unused:?}");
    }

    #[test]
    fn tests_and_comments_may_name_all() {
        let text = "// crate::worker\n#[cfg(test)] mod tests { use crate::worker::go; }";
        assert_eq!(wrong("task", text), [""; 0]);
    }

    #[test]
    fn a_layer_does_without_what_it_shuns() {
        assert_eq!(wrong("task", "use std::thread::spawn;").len(), 1);
        assert_eq!(wrong("task", "use std::thread; fn f() { thread::spawn(g); }").len(), 1);
        assert_eq!(wrong("worker", "use std::thread::spawn;"), [""; 0]);
        assert_eq!(wrong("worker", "fn f() { rmp_serde::to_vec(&1); }").len(), 1);
    }

    #[test]
    fn a_layer_may_be_a_folder() {
        let wrong = |module: &str, text: &str| wrong_in(FOLDERS, module, text).len() - 1;
        assert_eq!(wrong("task::done", "use crate::worker::go;"), 1);
        assert_eq!(wrong("task::done", "use crate::{error::Error, task::kind};"), 0);
        assert_eq!(wrong("error", "use std::thread::spawn;"), 1);
    }

    #[test]
    fn the_table_and_the_files_agree() {
        let wrong = wrong_in(&[folder("error"), folder("task"), folder("gone")], "", "");
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(wrong[0].contains("`gone` is gone"), "{wrong:?}");
        assert!(wrong[1].contains("which layer is `worker` in?"), "{wrong:?}");
    }
}
