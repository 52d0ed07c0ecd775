//! The modules of a crate, and name resolution: a path is followed through `use`, re-exports and globs to the module that
//! defines the item.

use std::collections::HashMap;

use syn::{Item, UseTree};

use super::source::Source;

/// The segments of a path as written, including `crate`, `self` and `super`.
pub(super) type Segments = Vec<String>;

/// The index of a module in [`Modules::all`].
pub(super) type Id = usize;

pub(super) struct Module<'a> {
    pub(super) source: &'a Source<'a>,
    /// The path from the root, such as `actor::cell`; `""` for the root itself.
    pub(super) path: String,
    pub(super) items: &'a [Item],
    parent: Option<Id>,
    names: HashMap<String, Vec<Name>>,
    globs: Vec<Segments>,
}

/// A meaning of a name. One name can be both a module and a function.
enum Name {
    Module(Id),
    /// An item that this module defines.
    Item(Id),
    Import(Segments),
}

/// The target of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Module(Id),
    /// An item: the module that defines it, and its name there.
    Item(Id, String),
    /// The full path of an item of another crate.
    Foreign(Segments),
}

impl Target {
    pub(super) fn is_module(&self) -> bool {
        matches!(self, Target::Module(_))
    }
}

pub(super) struct Modules<'a> {
    pub(super) all: Vec<Module<'a>>,
}

impl<'a> Modules<'a> {
    /// The modules below the file `root`, without those of tests and loom models.
    pub(super) fn of(sources: &'a [Source<'a>], root: &str) -> Option<Self> {
        let by_path: HashMap<&str, &Source<'_>> = sources.iter().map(|source| (source.file.path.as_str(), source)).collect();
        let source = by_path.get(root)?;
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut modules = Modules { all: Vec::new() };
        modules.add(&by_path, source, None, "", folder, &source.code.items);
        Some(modules)
    }

    fn add(
        &mut self,
        by_path: &HashMap<&str, &'a Source<'a>>,
        source: &'a Source<'a>,
        parent: Option<Id>,
        path: &str,
        folder: &str,
        items: &'a [Item],
    ) -> Id {
        let id = self.all.len();
        self.all.push(Module { source, path: path.to_owned(), items, parent, names: HashMap::new(), globs: Vec::new() });
        for item in items {
            match item {
                Item::Mod(module) => {
                    let name = module.ident.to_string();
                    let path = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
                    let below = format!("{folder}/{name}");
                    let child = match &module.content {
                        Some((_, items)) => Some(self.add(by_path, source, Some(id), &path, &below, items)),
                        None => by_path
                            .get(format!("{below}.rs").as_str())
                            .map(|source| self.add(by_path, source, Some(id), &path, &below, &source.code.items)),
                    };
                    if let Some(child) = child {
                        self.name(id, name, Name::Module(child));
                    }
                }
                Item::Use(item) if item.leading_colon.is_none() => {
                    for import in imports(&item.tree) {
                        match import.name {
                            Some(name) => self.name(id, name, Name::Import(import.path)),
                            None => self.all[id].globs.push(import.path),
                        }
                    }
                }
                Item::Macro(item) => {
                    let exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
                    for name in item.ident.iter().map(ToString::to_string) {
                        if exported && id != 0 {
                            self.name(0, name.clone(), Name::Item(id));
                        }
                        self.name(id, name, Name::Item(id));
                    }
                }
                item => {
                    for name in defined(item) {
                        self.name(id, name, Name::Item(id));
                    }
                }
            }
        }
        id
    }

    fn name(&mut self, module: Id, name: String, stands_for: Name) {
        self.all[module].names.entry(name).or_default().push(stands_for);
    }

    /// All targets of a path in `module`: a function and a module may have the same name.
    pub(super) fn resolve(&self, module: Id, path: &[String]) -> Vec<Target> {
        self.follow(module, path, &mut Vec::new())
    }

    /// As `resolve`. `open` contains the imports that are being followed; an import that is in it already has no target, so
    /// that cyclic imports terminate.
    fn follow<'p>(&'p self, module: Id, path: &[String], open: &mut Vec<&'p [String]>) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let mut targets = match first.as_str() {
            "crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(module)],
            "super" => vec![Target::Module(self.all[module].parent.unwrap_or(0))],
            name => self.look_up(module, name, open),
        };
        if targets.is_empty() {
            return vec![Target::Foreign(path.to_vec())];
        }
        for segment in rest {
            // A path continues only through a module, not through a function of the same name.
            if targets.iter().any(Target::is_module) {
                targets.retain(Target::is_module);
            }
            targets = targets.into_iter().flat_map(|target| self.step(target, segment, open)).collect();
        }
        targets.dedup();
        targets
    }

    fn step<'p>(&'p self, target: Target, segment: &str, open: &mut Vec<&'p [String]>) -> Vec<Target> {
        match target {
            Target::Module(module) if segment == "super" => vec![Target::Module(self.all[module].parent.unwrap_or(0))],
            Target::Module(module) => {
                let mut found = self.look_up(module, segment, open);
                // An item that a macro defines is not in `names`. An item of another crate counts for the module that
                // re-exports it.
                found.retain(|target| !matches!(target, Target::Foreign(_)));
                if found.is_empty() { vec![Target::Item(module, segment.to_owned())] } else { found }
            }
            // The segment is a variant or an associated function.
            Target::Item(module, name) => vec![Target::Item(module, name)],
            Target::Foreign(mut path) => {
                path.push(segment.to_owned());
                vec![Target::Foreign(path)]
            }
        }
    }

    /// The targets of a name in `module`, without regard to enclosing blocks.
    fn look_up<'p>(&'p self, module: Id, name: &str, open: &mut Vec<&'p [String]>) -> Vec<Target> {
        let mut found = Vec::new();
        for stands_for in self.all[module].names.get(name).into_iter().flatten() {
            match stands_for {
                Name::Module(id) => found.push(Target::Module(*id)),
                Name::Item(id) => found.push(Target::Item(*id, name.to_owned())),
                Name::Import(path) => found.extend(Self::once(path, open, |open| self.follow(module, path, open))),
            }
        }
        if found.is_empty() {
            for glob in &self.all[module].globs {
                found.extend(Self::once(glob, open, |open| {
                    let below: Vec<Id> = self
                        .follow(module, glob, open)
                        .into_iter()
                        .filter_map(|target| match target {
                            Target::Module(id) => Some(id),
                            Target::Item(..) | Target::Foreign(_) => None,
                        })
                        .collect();
                    below.into_iter().flat_map(|id| self.look_up(id, name, open)).collect()
                }));
            }
        }
        found
    }

    /// Follows an import, unless it is being followed already.
    fn once<'p>(
        import: &'p [String],
        open: &mut Vec<&'p [String]>,
        follow: impl FnOnce(&mut Vec<&'p [String]>) -> Vec<Target>,
    ) -> Vec<Target> {
        if open.iter().any(|other| std::ptr::eq(*other, import)) {
            return Vec::new();
        }
        open.push(import);
        let found = follow(open);
        open.pop();
        found
    }
}

/// One path of a `use`.
pub(super) struct Import {
    pub(super) path: Segments,
    /// The name that it brings into scope: none for a glob, `_` for a trait without a name.
    pub(super) name: Option<String>,
    /// Whether it imports only the module of that path, as in `path::{self}`.
    pub(super) of_module: bool,
    pub(super) line: usize,
}

pub(super) fn imports(tree: &UseTree) -> Vec<Import> {
    let mut found = Vec::new();
    gather(tree, &mut Vec::new(), &mut found);
    found
}

fn gather(tree: &UseTree, base: &mut Segments, found: &mut Vec<Import>) {
    let mut add = |base: &[String], last: &syn::Ident, name: &syn::Ident| {
        let mut path = base.to_vec();
        let mut name = name.to_string();
        let of_module = last == "self" && !path.is_empty();
        if of_module {
            if name == "self" {
                name.clone_from(&path[path.len() - 1]);
            }
        } else {
            path.push(last.to_string());
        }
        found.push(Import { path, name: Some(name), of_module, line: last.span().start().line });
    };
    match tree {
        UseTree::Name(leaf) => add(base, &leaf.ident, &leaf.ident),
        UseTree::Rename(leaf) => add(base, &leaf.ident, &leaf.rename),
        UseTree::Glob(star) => {
            found.push(Import { path: base.clone(), name: None, of_module: true, line: star.star_token.spans[0].start().line });
        }
        UseTree::Path(path) => {
            base.push(path.ident.to_string());
            gather(&path.tree, base, found);
            base.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| gather(tree, base, found)),
    }
}

/// The names that an item other than a module, a macro or a `use` defines.
pub(super) fn defined(item: &Item) -> Vec<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::ForeignMod(item) => {
            let names = item.items.iter().filter_map(|item| match item {
                syn::ForeignItem::Fn(item) => Some(item.sig.ident.to_string()),
                syn::ForeignItem::Static(item) => Some(item.ident.to_string()),
                syn::ForeignItem::Type(item) => Some(item.ident.to_string()),
                _ => None,
            });
            return names.collect();
        }
        _ => return Vec::new(),
    };
    vec![name.to_string()]
}
