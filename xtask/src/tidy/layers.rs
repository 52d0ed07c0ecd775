//! The engine's layers: imports point only upward in [`LAYERS`].
//!
//! Within a layer modules may name each other, and so may a module and its children. The crate's
//! root is only a list of what is public, so `crate::Error` means `crate::error::Error` here: it
//! counts as what it stands for.

use std::collections::{HashMap, HashSet};

use super::code::{Token, tokens, without_comments_and_literals, without_test_modules};
use super::imports::paths;
use super::{File, Problem};

/// A group of modules, and what none of them names although all the other layers may.
struct Layer {
    name: &'static str,
    modules: &'static [&'static str],
    shuns: &'static [&'static str],
}

/// From the top down. Every module of `ray-core/src` but the root and its tests is in here exactly once; a child need not
/// be where its parent is.
const LAYERS: &[Layer] = &[
    // What everything is said in. No threads of its own.
    Layer {
        name: "vocabulary",
        modules: &[
            "arity",
            "clock",
            "sync",
            "id",
            "error",
            "error::glue",
            "error::payload",
            "error::show",
            "event",
            "event::unread",
            "os",
            "unwind",
            "value",
            "resources",
            "resources::available",
            "options",
            "options::call",
            "config",
            "collective::ask",
            "collective::element",
            "collective::kernel",
        ],
        shuns: &["tokio"],
    },
    // Pure state machines, apart from the threads that carry out what they decide.
    Layer {
        name: "decisions",
        modules: &[
            "scheduler",
            "scheduler::claims",
            "scheduler::lease",
            "retry",
            "actor::current",
            "actor::outcome",
            "actor::run_state",
            "wait::arrivals",
            "worker::rest",
            "collective::board",
            "collective::trouble",
        ],
        shuns: &["tokio", "std::thread"],
    },
    // Objects, their entries and references.
    Layer {
        name: "results",
        modules: &[
            "store",
            "store::block",
            "store::depot",
            "store::region",
            "store::stamp",
            "store::state",
            "store::entry",
            "store::waiter",
            "object_ref",
            "object_ref::alarm",
            "object_ref::any",
            "object_ref::travel",
            "object_ref::view",
        ],
        shuns: &["tokio"],
    },
    // What can be called, with which arguments.
    Layer {
        name: "callable",
        modules: &[
            "callable",
            "callable::arg",
            "callable::bounds",
            "callable::flatten",
            "callable::function",
            "callable::params",
            "callable::refs",
            "callable::registry",
            "callable::spec",
        ],
        shuns: &["tokio", "std::thread"],
    },
    // The engine: whoever runs, waits or ends. Its parts know each other.
    Layer {
        name: "execution",
        modules: &[
            "task",
            "task::cell",
            "task::children",
            "task::dependency",
            "task::future",
            "task::parts",
            "thread",
            "thread::threads",
            "tips",
            "runtime",
            "runtime::async_runtime",
            "runtime::claim",
            "runtime::submit",
            "worker",
            "worker::awaited",
            "worker::extra",
            "worker::free",
            "worker::overrun",
            "worker::pulse",
            "deadlock",
            "blocking",
            "blocking::awaiting",
            "blocking::give_back",
            "blocking::inline",
            "blocking::interrupt",
            "blocking::last_resort",
            "blocking::park",
            "blocking::world",
            "object_ref::callbacks",
            "actor",
            "actor::call",
            "actor::cell",
            "actor::concurrent",
            "actor::create",
            "actor::handle",
            "actor::interrupt",
            "actor::life",
            "actor::living",
            "actor::mailbox",
            "actor::names",
            "actor::run",
            "actor::send",
            "actor::steal",
            "emit",
            "collective::shared",
        ],
        shuns: &[],
    },
    // What users and `#[remote]` call: thin, and known to nobody inside.
    Layer {
        name: "doors",
        modules: &[
            "runtime::api",
            "runtime::dump",
            "runtime::shutdown",
            "object_ref::put",
            "object_ref::future",
            "callable::closure",
            "callable::configured",
            "actor::method",
            "blocking::get",
            "blocking::several",
            "wait",
            "wait::completed",
            "wait::set",
            "cancel",
            "context",
            "collective",
            "collective::named",
        ],
        shuns: &[],
    },
];

/// The few names that point downward all the same: who names whom, and why.
const DOWNWARD: &[(&str, &str, &str)] = &[
    ("store::entry", "task", "an entry's table leads to its task's: an object's future is found from the object"),
    ("store::entry", "blocking", "a watched failure wakes the getters of several"),
    ("object_ref", "task::parts", "a part of a tuple tells which task makes it"),
    ("object_ref", "blocking", "an object of an engine that is gone is asked for where getters ask"),
    ("callable::arg", "actor", "a handle is an argument too"),
    ("callable::arg", "actor::handle", "a handle is an argument too"),
    ("callable::refs", "task::parts", "num_returns makes a reference for each part"),
    ("callable::registry", "actor", "a class is found by its name as a function is"),
];

/// What only the one module names that hides it from the others.
const HIDDEN: &[(&str, &str)] = &[("rmp_serde", "value")];

const SOURCES: &str = "ray-core/src/";

pub(super) fn check(files: &[File]) -> Vec<Problem> {
    Layering::of(LAYERS, DOWNWARD, files).problems()
}

struct Layering<'a> {
    layers: &'a [Layer],
    downward: &'a [(&'a str, &'a str, &'a str)],
    /// The files that the table is about, by module: `scheduler::queue`.
    modules: HashMap<String, &'a File>,
    /// What the root re-exports, with the module that it comes from.
    exports: HashMap<String, String>,
}

impl<'a> Layering<'a> {
    fn of(layers: &'a [Layer], downward: &'a [(&'a str, &'a str, &'a str)], files: &'a [File]) -> Self {
        let mut modules = HashMap::new();
        let mut root = None;
        for file in files.iter().filter(|file| file.is_rust()) {
            match file.path.strip_prefix(SOURCES) {
                Some("lib.rs") => root = Some(file),
                Some(path) => {
                    modules.insert(path.trim_end_matches(".rs").replace('/', "::"), file);
                }
                None => {}
            }
        }
        modules.retain(|module, _| !is_test(module));
        let mut layering = Layering { layers, downward, modules, exports: HashMap::new() };
        if let Some(root) = root {
            layering.exports = layering.exports(root);
        }
        layering
    }

    fn exports(&self, root: &File) -> HashMap<String, String> {
        let code = without_comments_and_literals(&root.text);
        let mut exports = HashMap::new();
        for (path, _) in paths(&tokens(&code), "", &self.children("")) {
            if let (Some(module), Some((_, name))) = (self.module_of(&path), path.rsplit_once("::")) {
                exports.insert(name.to_owned(), module);
            }
        }
        exports
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.unlisted();
        let mut used = HashSet::new();
        let mut modules: Vec<_> = self.modules.iter().collect();
        modules.sort_by_key(|(module, _)| *module);
        for (module, file) in modules {
            let code = without_comments_and_literals(&file.text);
            let tokens = without_test_modules(&tokens(&code));
            self.upward(module, file, &tokens, &mut used, &mut problems);
            self.shunned(module, file, &tokens, &mut problems);
        }
        for (from, to, _) in self.downward {
            if !used.contains(&(*from, *to)) {
                problems.push(table(format!("`{from}` no longer names `{to}`: take the pair out of DOWNWARD")));
            }
        }
        problems
    }

    fn unlisted(&self) -> Vec<Problem> {
        let listed: HashSet<&str> = self.layers.iter().flat_map(|layer| layer.modules).copied().collect();
        let mut problems: Vec<Problem> = listed
            .iter()
            .filter(|module| !self.modules.contains_key(**module))
            .map(|module| table(format!("`{module}` is gone: take it out of LAYERS")))
            .collect();
        for (module, file) in &self.modules {
            if !listed.contains(module.as_str()) {
                let what = format!("which layer is `{module}` in? Add it to LAYERS in xtask/src/tidy/layers.rs");
                problems.push(file.problem(0, what));
            }
        }
        problems.sort_by_key(Problem::to_string);
        problems
    }

    /// What `module` names in a layer below its own. The pairs that may go to `used`.
    fn upward(
        &self,
        module: &str,
        file: &File,
        tokens: &[Token<'_>],
        used: &mut HashSet<(&'a str, &'a str)>,
        problems: &mut Vec<Problem>,
    ) {
        let Some(own) = self.layer_of(module) else {
            return;
        };
        let mut said = HashSet::new();
        for (path, line) in paths(tokens, module, &self.children(module)) {
            let Some(target) = self.module_of(&path) else {
                continue;
            };
            let Some(layer) = self.layer_of(&target) else {
                continue;
            };
            if layer <= own {
                continue;
            }
            if let Some((from, to, _)) = self.downward.iter().find(|(from, to, _)| *from == module && *to == target) {
                used.insert((*from, *to));
            } else if said.insert((target.clone(), line)) {
                let (own, layer) = (self.layers[own].name, self.layers[layer].name);
                let what = format!("`{module}` ({own}) names `{target}` ({layer}): imports point only upward");
                problems.push(file.problem(line, what));
            }
        }
    }

    fn shunned(&self, module: &str, file: &File, tokens: &[Token<'_>], problems: &mut Vec<Problem>) {
        let layer = self.layer_of(module).map(|at| &self.layers[at]);
        let shunned = layer
            .into_iter()
            .flat_map(|layer| layer.shuns.iter().map(|name| (*name, format!("the layer `{}` does without", layer.name))));
        let hidden =
            HIDDEN.iter().filter(|(_, home)| *home != module).map(|(name, home)| (*name, format!("only `{home}` knows it")));
        for (name, why) in shunned.chain(hidden) {
            let words: Vec<&str> = name.split("::").flat_map(|word| ["::", word]).skip(1).collect();
            let found =
                tokens.windows(words.len()).find(|window| window.iter().map(|token| token.text).eq(words.iter().copied()));
            if let Some(window) = found {
                problems.push(file.problem(window[0].line, format!("`{module}` names `{name}`: {why}")));
            }
        }
    }

    fn layer_of(&self, module: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.modules.contains(&module))
    }

    /// The module that a path from the root leads into: its longest prefix that is one, or an
    /// export's home.
    fn module_of(&self, path: &str) -> Option<String> {
        let mut prefix = path;
        loop {
            if self.modules.contains_key(prefix) {
                return Some(prefix.to_owned());
            }
            match prefix.rsplit_once("::") {
                Some((shorter, _)) => prefix = shorter,
                None => return self.exports.get(prefix).cloned(),
            }
        }
    }

    fn children(&self, module: &str) -> HashSet<&str> {
        let names = self.modules.keys().map(|path| path.rsplit_once("::").unwrap_or(("", path)));
        names.filter(|(parent, _)| *parent == module).map(|(_, name)| name).collect()
    }
}

/// What is wrong with the tables here.
fn table(what: String) -> Problem {
    Problem { path: "xtask/src/tidy/layers.rs".into(), line: 0, what }
}

fn is_test(module: &str) -> bool {
    module.split("::").any(|name| matches!(name, "tests" | "loom"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Layer] = &[
        Layer { name: "words", modules: &["error", "task", "task::kind"], shuns: &["std::thread"] },
        Layer { name: "deeds", modules: &["worker", "worker::lease"], shuns: &[] },
    ];

    const DOWN: &[(&str, &str, &str)] = &[("task::kind", "worker", "a kind has its worker")];

    /// What is wrong when `module` holds `text` and the other modules hold nothing.
    fn wrong(module: &str, text: &str) -> Vec<String> {
        let mut files: Vec<File> = TWO
            .iter()
            .flat_map(|layer| layer.modules)
            .map(|name| File {
                path: format!("{SOURCES}{}.rs", name.replace("::", "/")),
                text: if *name == module { text.to_owned() } else { String::new() },
            })
            .collect();
        files.push(File {
            path: format!("{SOURCES}lib.rs"),
            text: "pub use error::Error; pub use worker::{Worker, lease::Lease};".into(),
        });
        Layering::of(TWO, DOWN, &files)
            .problems()
            .iter()
            .map(Problem::to_string)
            .filter(|what| !what.contains("DOWNWARD"))
            .collect()
    }

    #[test]
    fn upward_is_fine() {
        let text = "use crate::{error::{self, Error as E}, task::*};
            fn f() -> crate::Error { super::error::new() }";
        assert_eq!(wrong("worker", text), [""; 0]);
        assert_eq!(wrong("worker::lease", "use super::Worker; use super::super::error::Error;"), [""; 0]);
        assert_eq!(wrong("task", "use kind::Kind; macro_rules! m { () => { $crate::worker::go() } }"), [""; 0]);
    }

    #[test]
    fn downward_is_not() {
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
            assert!(wrong[0].contains("imports point only upward"), "{wrong:?}");
        }
    }

    #[test]
    fn but_for_pairs_that_are_listed_and_used() {
        assert_eq!(wrong("task::kind", "use crate::worker::go;"), [""; 0]);
        assert_eq!(wrong("task::kind", "use crate::worker::lease::Lease;").len(), 1);
        let problems = Layering::of(&[], DOWN, &[]).problems();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.contains("no longer names"), "{}", problems[0]);
    }

    #[test]
    fn tests_and_comments_may_look_down() {
        let text = "// crate::worker\n#[cfg(test)] mod tests { use crate::worker::go; }";
        assert_eq!(wrong("task", text), [""; 0]);
    }

    #[test]
    fn a_layer_does_without_what_it_shuns() {
        assert_eq!(wrong("task", "use std::thread::spawn;").len(), 1);
        assert_eq!(wrong("worker", "use std::thread::spawn;"), [""; 0]);
        assert_eq!(wrong("worker", "fn f() { rmp_serde::to_vec(&1); }").len(), 1);
    }

    #[test]
    fn the_table_and_the_files_agree() {
        let file = File { path: format!("{SOURCES}novel.rs"), text: String::new() };
        let problems: Vec<String> = Layering::of(TWO, &[], &[file]).problems().iter().map(Problem::to_string).collect();
        assert_eq!(problems.len(), 6);
        assert!(problems[0].contains("which layer is `novel` in?"), "{problems:?}");
    }
}
