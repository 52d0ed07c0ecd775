//! Checks the engine's layers: a module uses only modules of its own layer and of lower layers, which come earlier in
//! [`LAYERS`].
//!
//! [`Graph`] finds the uses. The use of a re-exported name counts for the module that defines the item. The root of the
//! crate, which only lists the public items, is in no layer.

use std::collections::HashSet;

use super::Problem;
use super::graph::Graph;

/// A group of modules.
struct Layer {
    name: &'static str,
    /// The modules. Each stands also for the modules below it that no layer lists.
    modules: &'static [&'static str],
    /// Paths of other crates that the modules must not use.
    forbidden: &'static [&'static str],
}

/// The layer that consists of the module `name` and has the same name.
const fn folder(name: &'static str) -> Layer {
    Layer { name, modules: &[], forbidden: &[] }
}

impl Layer {
    const fn without(self, forbidden: &'static [&'static str]) -> Self {
        Layer { name: self.name, modules: self.modules, forbidden }
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

/// The exceptions: a module, a module of a higher layer that it uses, and the reason.
const DOWNWARD: &[(&str, &str, &str)] = &[];

/// Crates that a single module wraps: the crate, and the only module that may use it.
const HIDDEN: &[(&str, &str)] = &[("rmp_serde", "base::value")];

/// The root of the crate that has the layers.
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
            self.forbidden(file, &mut problems);
        }
        problems
    }

    /// The problems of the table: modules that are in no layer, and entries without a module.
    fn unlisted(&self) -> Vec<Problem> {
        let modules = &self.graph.modules;
        let listed = self.layers.iter().flat_map(Layer::modules);
        let gone = listed.filter(|listed| !modules.iter().any(|module| module == listed));
        let gone = gone.map(|module| table(format!("there is no module `{module}`: remove it from LAYERS")));
        let novel = (0..modules.len()).filter(|file| !modules[*file].is_empty() && self.layer_of(*file).is_none());
        let novel = novel.map(|file| {
            let what = format!("`{}` is in no layer: add it to LAYERS in xtask/src/tidy/layers.rs", modules[file]);
            self.problem(file, 0, what)
        });
        gone.chain(novel).collect()
    }

    /// The uses of higher layers, and the exceptions that no use needs.
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
                let what = format!("`{module}` (layer {own}) uses `{item}` of `{target}` ({layer}), which is a higher layer");
                problems.push(self.problem(*from, *line, what));
            }
        }
        for (from, to, _) in self.downward {
            if !used.contains(&(*from, *to)) {
                problems.push(table(format!("`{from}` no longer uses `{to}`: remove the pair from DOWNWARD")));
            }
        }
    }

    /// The uses of other crates that the module of a file must not use.
    fn forbidden(&self, file: usize, problems: &mut Vec<Problem>) {
        let module = self.graph.modules[file].as_str();
        let layer = self.layer_of(file).map(|at| &self.layers[at]);
        let by_layer = layer
            .into_iter()
            .flat_map(|layer| layer.forbidden.iter().map(|name| (*name, format!("the layer `{}` must not use it", layer.name))));
        let hidden =
            HIDDEN.iter().filter(|(_, home)| *home != module).map(|(name, home)| (*name, format!("only `{home}` may use it")));
        for (name, why) in by_layer.chain(hidden) {
            let named = self.graph.foreign[file].iter().filter(|(path, _)| is_below(path, name));
            if let Some((_, line)) = named.min_by_key(|(_, line)| **line) {
                problems.push(self.problem(file, *line, format!("`{module}` uses `{name}`: {why}")));
            }
        }
    }

    /// The layer that lists the module of a file or, if none does, the nearest listed module above it.
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

/// Whether `path` is `above` or a path below it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A problem of the tables in this file.
fn table(what: String) -> Problem {
    Problem { path: "xtask/src/tidy/layers.rs".into(), line: 0, what }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::super::source::Source;
    use super::*;

    const TWO: &[Layer] = &[
        Layer { name: "low", modules: &["error", "task"], forbidden: &["std::thread"] },
        Layer { name: "high", modules: &["worker", "task::done"], forbidden: &[] },
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

    /// The problems if `text` is added to the file of `module`.
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

    /// The problems of [`wrong_in`] with the layers of `TWO`, without those of unused exceptions.
    fn wrong(module: &str, text: &str) -> Vec<String> {
        wrong_in(TWO, module, text).into_iter().filter(|what| !what.contains("DOWNWARD")).collect()
    }

    #[test]
    fn lower_layers_may_be_used() {
        let text = "use crate::{error::{self, Error as E}, task::*};
            fn f() -> crate::Error { super::error::new() }";
        assert_eq!(wrong("worker", text), [""; 0]);
        assert_eq!(wrong("worker::lease", "use super::Worker; use super::super::error::Error;"), [""; 0]);
        assert_eq!(wrong("task::done", "use crate::worker::go;"), [""; 0]);
    }

    #[test]
    fn higher_layers_may_not_be_used() {
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
            assert!(wrong[0].contains("which is a higher layer"), "{wrong:?}");
        }
    }

    #[test]
    fn exceptions_are_allowed_while_they_are_used() {
        assert_eq!(wrong("task::kind", "use crate::worker::go;"), [""; 0]);
        assert_eq!(wrong("task::kind", "use crate::worker::lease::Lease;").len(), 1);
        let unused = wrong_in(TWO, "", "");
        assert_eq!(unused.len(), 1);
        assert!(unused[0].contains("no longer uses"), "{unused:?}");
    }

    #[test]
    fn tests_and_comments_may_name_all_layers() {
        let text = "// crate::worker\n#[cfg(test)] mod tests { use crate::worker::go; }";
        assert_eq!(wrong("task", text), [""; 0]);
    }

    #[test]
    fn forbidden_crates_may_not_be_used() {
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
    fn modules_and_the_table_must_match() {
        let wrong = wrong_in(&[folder("error"), folder("task"), folder("gone")], "", "");
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(wrong[0].contains("there is no module `gone`"), "{wrong:?}");
        assert!(wrong[1].contains("`worker` is in no layer"), "{wrong:?}");
    }
}
