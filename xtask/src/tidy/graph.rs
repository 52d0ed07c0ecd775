//! The import graph of a crate: which file uses which items of which other file.
//!
//! All paths count: in `use`, in bodies, types, attributes, and in the arguments of macros. A path counts for the file that
//! defines the item, also if it leads through re-exports. The import of a module does not count by itself if paths begin
//! with the module's name; these paths count. Code of tests and loom models does not count, and neither does `mod x;`.
//! Calls of methods are not seen, because only the compiler can tell where a method is defined.

use std::collections::{BTreeMap, HashMap, HashSet};

use syn::visit::{self, Visit};
use syn::{Item, Lit, Meta};

use super::macros;
use super::modules::{Id, Import, Modules, Segments, Target, defined, imports};
use super::source::{Source, of_item};

pub(super) struct Graph {
    pub(super) root: String,
    /// The paths of the files in the repository, in ascending order. The indices of this list identify the files.
    pub(super) files: Vec<String>,
    /// The module of each file, `""` for the root.
    pub(super) modules: Vec<String>,
    /// For each pair of files, the items of the second that the first uses, each with the first line of its use.
    pub(super) edges: BTreeMap<(usize, usize), BTreeMap<String, usize>>,
    /// For each file, the paths of other crates that it uses, each with the first line of its use.
    pub(super) foreign: Vec<BTreeMap<String, usize>>,
}

impl Graph {
    /// The graph of the crate whose root is the file `root`.
    pub(super) fn of<'a>(sources: &'a [Source<'a>], root: &str) -> Option<Self> {
        let modules = Modules::of(sources, root)?;
        let mut named: BTreeMap<&str, &str> = BTreeMap::new();
        for module in &modules.all {
            // The module of the file comes before the inline modules in it.
            named.entry(&module.source.file.path).or_insert(&module.path);
        }
        let files: Vec<String> = named.keys().map(|path| (*path).to_owned()).collect();
        let number: HashMap<&str, usize> = named.keys().enumerate().map(|(at, path)| (*path, at)).collect();
        let file_of: Vec<usize> = modules.all.iter().map(|module| number[module.source.file.path.as_str()]).collect();
        let mut graph = Graph {
            root: root.to_owned(),
            modules: named.values().map(|path| (*path).to_owned()).collect(),
            edges: BTreeMap::new(),
            foreign: vec![BTreeMap::new(); files.len()],
            files,
        };
        for id in 0..modules.all.len() {
            let mut walk = Walk {
                graph: &mut graph,
                modules: &modules,
                file_of: &file_of,
                id,
                local: Vec::new(),
                heads: HashSet::new(),
                ways: Vec::new(),
            };
            walk.module();
        }
        Some(graph)
    }

    /// For each file, the files that it uses.
    pub(super) fn successors(&self) -> Vec<Vec<usize>> {
        let mut successors = vec![Vec::new(); self.files.len()];
        for (from, to) in self.edges.keys() {
            successors[*from].push(*to);
        }
        successors
    }
}

/// Walks through one module.
struct Walk<'g, 'a> {
    graph: &'g mut Graph,
    modules: &'g Modules<'a>,
    file_of: &'g [usize],
    id: Id,
    /// For each enclosing block, the names that it defines: with a path for an import, without one for an item.
    local: Vec<HashMap<String, Option<Segments>>>,
    /// The first names of all paths with more than one segment.
    heads: HashSet<String>,
    /// The imports whose name denotes a module: name, targets, line.
    ways: Vec<(String, Vec<Target>, usize)>,
}

impl Walk<'_, '_> {
    fn module(&mut self) {
        for item in self.modules.all[self.id].items {
            match item {
                Item::Mod(module) => module.attrs.iter().for_each(|attribute| self.visit_attribute(attribute)),
                item => self.visit_item(item),
            }
        }
        // If no path begins with the name of an imported module, the import is for the module itself or for another item of
        // the same name.
        for (name, targets, line) in std::mem::take(&mut self.ways) {
            if !self.heads.contains(&name) {
                targets.into_iter().for_each(|target| self.target(target, &name, line));
            }
        }
    }

    fn edge(&mut self, module: Id, item: &str, line: usize) {
        let (from, to) = (self.file_of[self.id], self.file_of[module]);
        if from != to {
            let first = self.graph.edges.entry((from, to)).or_default().entry(item.to_owned()).or_insert(line);
            *first = line.min(*first);
        }
    }

    fn foreign(&mut self, path: &[String], line: usize) {
        let first = self.graph.foreign[self.file_of[self.id]].entry(path.join("::")).or_insert(line);
        *first = line.min(*first);
    }

    fn resolve(&self, path: &[String]) -> Vec<Target> {
        let first = path.first().map_or("", String::as_str);
        match self.local.iter().rev().find_map(|scope| scope.get(first)) {
            None => self.modules.resolve(self.id, path),
            Some(None) => Vec::new(),
            Some(Some(import)) => self.modules.resolve(self.id, &[import, &path[1..]].concat()),
        }
    }

    fn target(&mut self, target: Target, name: &str, line: usize) {
        match target {
            Target::Item(module, name) => self.edge(module, &name, line),
            Target::Module(module) => self.edge(module, name, line),
            Target::Foreign(full) => self.foreign(&full, line),
        }
    }

    fn path(&mut self, path: &[String], line: usize) {
        let Some(name) = path.last() else { return };
        let mut targets = self.resolve(path);
        if path.len() > 1 {
            self.heads.insert(path[0].clone());
            // If a function and a module have the same name, the path denotes the function: only a `use` can end with a
            // module.
            if targets.iter().any(|target| !target.is_module()) {
                targets.retain(|target| !target.is_module());
            }
        } else if targets.iter().any(Target::is_module) || matches!(targets[..], [Target::Foreign(_)]) {
            // A single name that denotes a module here is a variable of the same name; one that denotes nothing is a local
            // name.
            return;
        }
        targets.into_iter().for_each(|target| self.target(target, name, line));
    }

    fn import(&mut self, import: &Import) {
        let mut targets = self.resolve(&import.path);
        if import.of_module && targets.iter().any(Target::is_module) {
            targets.retain(Target::is_module);
        }
        match &import.name {
            Some(name) if targets.iter().any(Target::is_module) => self.ways.push((name.clone(), targets, import.line)),
            Some(name) => targets.into_iter().for_each(|target| self.target(target, name, import.line)),
            None => targets.into_iter().for_each(|target| self.target(target, "*", import.line)),
        }
    }

    fn tokens(&mut self, tokens: &proc_macro2::TokenStream, own: bool) {
        for path in macros::paths(tokens.clone(), own) {
            self.path(&path.segments, path.line);
        }
    }

    /// A path in a string, as in attributes of serde.
    fn text(&mut self, text: &syn::LitStr) {
        if text.value().contains("::")
            && let Ok(path) = text.parse::<syn::Path>()
        {
            self.visit_path(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Walk<'_, '_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments: Segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let line = path.segments.last().map_or(0, |segment| segment.ident.span().start().line);
            self.path(&segments, line);
        } else {
            let full: Segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.foreign(&full, path.segments[0].ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for import in imports(&item.tree) {
            if item.leading_colon.is_none() {
                self.import(&import);
            } else {
                self.foreign(&import.path, import.line);
            }
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let mut scope = HashMap::new();
        for statement in &block.stmts {
            match statement {
                syn::Stmt::Item(Item::Use(item)) => {
                    let named = imports(&item.tree).into_iter().filter_map(|import| Some((import.name?, Some(import.path))));
                    scope.extend(named);
                }
                syn::Stmt::Item(item) => scope.extend(defined(item).into_iter().map(|name| (name, None))),
                _ => {}
            }
        }
        self.local.push(scope);
        visit::visit_block(self, block);
        self.local.pop();
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        self.visit_path(attribute.path());
        match &attribute.meta {
            Meta::Path(_) => {}
            Meta::List(list) => {
                self.tokens(&list.tokens, true);
                for tree in list.tokens.clone() {
                    if let proc_macro2::TokenTree::Literal(literal) = tree
                        && let Lit::Str(text) = Lit::new(literal)
                    {
                        self.text(&text);
                    }
                }
            }
            Meta::NameValue(pair) => self.visit_expr(&pair.value),
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if item.ident.is_some() {
            let exported = of_item(&Item::Macro(item.clone())).iter().any(|attribute| attribute.path().is_ident("macro_export"));
            self.tokens(&item.mac.tokens, !exported);
        } else {
            visit::visit_item_macro(self, item);
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        match macros::arguments(call) {
            Some(arguments) => {
                arguments.expressions.iter().for_each(|expression| self.visit_expr(expression));
                arguments.pattern.iter().for_each(|pattern| self.visit_pat(pattern));
            }
            None => self.tokens(&call.tokens, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;

    /// The edges of a crate, each as `from -> to: items`.
    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> =
            files.iter().map(|(path, text)| File { path: format!("src/{path}.rs"), text: (*text).to_owned() }).collect();
        let sources: Vec<Source<'_>> =
            files.iter().map(|file| Source::read(file).unwrap_or_else(|problem| panic!("{problem}"))).collect();
        let graph = Graph::of(&sources, "src/lib.rs").expect("it has a root");
        let name = |file: usize| graph.files[file].trim_start_matches("src/").trim_end_matches(".rs").to_owned();
        let items = |items: &BTreeMap<String, usize>| items.keys().cloned().collect::<Vec<_>>().join(" ");
        let line = |((from, to), named): (&(usize, usize), _)| format!("{} -> {}: {}", name(*from), name(*to), items(named));
        graph.edges.iter().map(line).collect()
    }

    /// The items that `a/own.rs` uses if it contains `text`. The other files are `a.rs` (`A`, `go`), `a/kin.rs` (`Kin`),
    /// `b.rs` (`B`) and `b/deep.rs` (`Deep`).
    fn named(text: &str) -> Vec<String> {
        let edges = edges(&[
            ("lib", "mod a; mod b; pub use b::{B as Best, deep::Deep}; pub mod p { pub use crate::b::deep::*; }"),
            ("a", "mod own; mod kin; pub use kin::Kin; use crate::b; pub struct A; pub fn go() {} fn f() { b::B; }"),
            ("a/own", text),
            ("a/kin", "pub struct Kin; #[macro_export] macro_rules! spread { () => { $crate::b::B } }"),
            ("b", "pub mod deep; pub use std::sync::atomic; pub struct B; impl B { fn new() {} } made! { Made }"),
            ("b/deep", "pub struct Deep; pub enum Way { In, Out }"),
        ]);
        edges.into_iter().filter_map(|edge| edge.strip_prefix("a/own -> ").map(str::to_owned)).collect()
    }

    #[test]
    fn imports_count_for_the_file_that_defines_the_item() {
        assert_eq!(named("use crate::b::{B, deep::{self, Deep as D}}; fn f() -> deep::Way {}"), ["b: B", "b/deep: Deep Way"]);
        assert_eq!(named("use super::A; use super::super::b::B as _;"), ["a: A", "b: B"]);
        assert_eq!(named("use crate::b::Made;"), ["b: Made"]);
    }

    #[test]
    fn re_exports_are_followed() {
        assert_eq!(named("use crate::{Best, Deep};"), ["b: B", "b/deep: Deep"]);
        assert_eq!(named("use super::Kin;"), ["a/kin: Kin"]);
        assert_eq!(named("fn f(_: crate::p::Way) {}"), ["b/deep: Way"]);
        assert_eq!(named("fn f() { super::b::deep::Way::In; }"), ["b/deep: Way"]);
        assert_eq!(named("crate::spread!();"), ["a/kin: spread"]);
        assert_eq!(named("use crate::b::atomic::AtomicU8;"), ["b: atomic"]);
    }

    #[test]
    fn an_imported_module_counts_for_the_items_used_through_it() {
        assert_eq!(named("use crate::b; fn f() { b::deep::Deep; }"), ["b/deep: Deep"]);
        assert_eq!(named("fn f() { use crate::b as c; c::deep::Deep; }"), ["b/deep: Deep"]);
        assert_eq!(named("use crate::b;"), ["b: b"]);
    }

    #[test]
    fn a_module_and_a_function_may_have_the_same_name() {
        let named = |text: &str| {
            let root = "mod own; mod wait; pub use wait::deep::wait;";
            let files =
                [("lib", root), ("own", text), ("wait", "pub mod deep; pub fn f() {}"), ("wait/deep", "pub fn wait() {}")];
            edges(&files).into_iter().filter(|edge| edge.starts_with("own")).collect::<Vec<_>>()
        };
        assert_eq!(named("fn g() { crate::wait() }"), ["own -> wait/deep: wait"]);
        assert_eq!(named("use crate::wait; fn g(wait: u8) { wait::f(wait) }"), ["own -> wait: f"]);
        assert_eq!(named("use crate::wait::{self}; fn g() {}"), ["own -> wait: wait"]);
        assert_eq!(named("use crate::wait; fn g() { wait() }"), ["own -> wait: wait", "own -> wait/deep: wait"]);
    }

    #[test]
    fn paths_count_in_all_places() {
        for text in [
            "fn f() { crate::b::B::new() }",
            "fn f(_: Vec<crate::b::B>) {}",
            "impl Drop for crate::b::B {}",
            "fn f(x: u8) { match x { crate::b::B => {} } }",
            "fn f<T: crate::b::B>() {}",
            "fn f() { <crate::b::B as Clone>::clone() }",
            "#[crate::b::B] fn f() {}",
            "#[derive(crate::b::B)] struct S;",
            "struct S { #[serde(with = \"crate::b::B\")] x: u8 }",
            "mod inner { use super::super::super::b::B; }",
            "mod inner { fn f() { crate::b::B::new() } }",
        ] {
            assert_eq!(named(text), ["b: B"], "{text}");
        }
    }

    #[test]
    fn paths_in_macro_arguments_count() {
        for text in [
            "fn f() { println!(\"{}\", crate::b::B::new()) }",
            "fn f() { assert!(matches!(x, Some(crate::b::B))) }",
            "fn f() -> Vec<u8> { vec![crate::b::B; 2] }",
            "ours! { a => crate::b::B, }",
            "ours! { use crate::b::{B as C}; }",
            "macro_rules! m { () => { $crate::b::B } }",
        ] {
            assert_eq!(named(text), ["b: B"], "{text}");
        }
        let none = [""; 0];
        assert_eq!(named("#[macro_export] macro_rules! m { () => { $crate::b::B } }"), none);
    }

    #[test]
    fn globs_are_followed() {
        assert_eq!(named("use crate::b::*; fn f(_: B) {}"), ["b: * B"]);
        assert_eq!(named("use crate::p::*; fn f(_: Deep) {}"), ["b/deep: Deep", "lib: *"]);
        assert_eq!(named("use super::*; fn f() { go(); Kin; }"), ["a: * go", "a/kin: Kin"]);
    }

    #[test]
    fn tests_other_crates_and_locals_do_not_count() {
        let none = [""; 0];
        assert_eq!(named("#[cfg(test)] mod tests { use crate::b::B; }"), none);
        assert_eq!(named("#[cfg(all(test, loom))] use crate::b::B;"), none);
        assert_eq!(named("fn f() { #[cfg(test)] crate::b::B::new(); }"), none);
        assert_eq!(named("/// [`crate::b::B`]\nfn f() {}"), none);
        assert_eq!(named("use ::b::B; use other::b::B as C;"), none);
        assert_eq!(named("use super::*; fn f() { struct Kin; Kin; }"), ["a: *"]);
        assert_eq!(named("pub(in crate::a) fn f() { self::g() } fn g() {}"), none);
    }

    #[test]
    fn cyclic_imports_terminate() {
        let edges = edges(&[
            ("lib", "mod a; mod b;"),
            ("a", "pub use super::b::*; pub use super::b::x; fn f() { x(); y(); }"),
            ("b", "pub use super::a::*; pub use super::a::x;"),
        ]);
        assert_eq!(edges, ["a -> b: * x", "b -> a: * x"]);
    }

    #[test]
    fn paths_of_other_crates_are_full() {
        let file = File { path: "src/lib.rs".into(), text: "use std::{thread as t}; fn f() { t::spawn(); }".into() };
        let sources = [Source::read(&file).unwrap_or_else(|problem| panic!("{problem}"))];
        let graph = Graph::of(&sources, "src/lib.rs").expect("it has a root");
        let paths: Vec<&str> = graph.foreign[0].keys().map(String::as_str).collect();
        assert_eq!(paths, ["std::thread", "std::thread::spawn"]);
    }
}
