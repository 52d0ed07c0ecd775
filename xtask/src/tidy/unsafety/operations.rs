//! Estimates the number of unsafe operations. An exact count would need the types, which only the compiler has.
//!
//! These count within unsafe blocks; a block without any of them counts as one operation:
//! * calls of functions and methods that the workspace declares unsafe, or that are unsafe in the standard library,
//!   recognised by name (an associated function also by the name of its type); calls of fields that contain unsafe
//!   functions; calls of `libc`;
//! * `*expression`, both for a reference and for a pointer;
//! * uses of a `static mut` and of a field of a union, recognised by name.

use std::collections::HashSet;

use syn::visit::{self, Visit};
use syn::{Expr, Type};

use super::super::macros;

/// Unsafe functions of the standard library that are called by a path.
const STD_FUNCTIONS: &[&str] = &[
    "alloc",
    "alloc_zeroed",
    "assert_unchecked",
    "copy",
    "copy_nonoverlapping",
    "dealloc",
    "decrement_strong_count",
    "drop_in_place",
    "from_raw",
    "from_raw_parts",
    "from_raw_parts_mut",
    "from_size_align_unchecked",
    "from_utf8_unchecked",
    "increment_strong_count",
    "new_unchecked",
    "offset_from",
    "read",
    "read_unaligned",
    "read_volatile",
    "realloc",
    "transmute",
    "transmute_copy",
    "unreachable_unchecked",
    "write",
    "write_bytes",
    "write_unaligned",
    "write_volatile",
    "zeroed",
];

/// Unsafe methods of the standard library, most of them of pointers.
const STD_METHODS: &[&str] = &[
    "add",
    "as_mut",
    "as_ref",
    "assume_init",
    "assume_init_drop",
    "assume_init_mut",
    "assume_init_read",
    "assume_init_ref",
    "byte_add",
    "byte_sub",
    "cast_unchecked",
    "copy_from",
    "copy_from_nonoverlapping",
    "copy_to_nonoverlapping",
    "drop_in_place",
    "get_unchecked",
    "get_unchecked_mut",
    "map_unchecked",
    "map_unchecked_mut",
    "offset",
    "offset_from",
    "read",
    "read_volatile",
    "set_len",
    "sub",
    "unwrap_unchecked",
    "write",
    "write_volatile",
];

/// The number of unsafe blocks in a file, and the number of operations in them.
pub(super) fn count(known: &Known, syntax: &syn::File) -> (usize, usize) {
    let mut operations = Operations { known, own: None, open: Vec::new(), blocks: 0, found: 0 };
    operations.visit_file(syntax);
    (operations.blocks, operations.found)
}

/// The names of the unsafe items of the workspace.
#[derive(Default)]
pub(super) struct Known {
    functions: HashSet<String>,
    /// Associated functions, with the names of their types.
    associated: HashSet<(String, String)>,
    /// Functions of traits; any type may implement them.
    of_traits: HashSet<String>,
    methods: HashSet<String>,
    fields: HashSet<String>,
    statics: HashSet<String>,
    of_unions: HashSet<String>,
}

impl Known {
    fn receiver(&mut self, signature: &syn::Signature) {
        if signature.receiver().is_some() {
            self.methods.insert(signature.ident.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Known {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.sig.unsafety.is_some() {
            self.functions.insert(item.sig.ident.to_string());
        }
        visit::visit_item_fn(self, item);
    }

    fn visit_foreign_item_fn(&mut self, item: &'ast syn::ForeignItemFn) {
        self.functions.insert(item.sig.ident.to_string());
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        for function in &item.items {
            if let syn::ImplItem::Fn(function) = function
                && function.sig.unsafety.is_some()
            {
                self.receiver(&function.sig);
                self.associated.insert((type_name(&item.self_ty).unwrap_or_default(), function.sig.ident.to_string()));
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if item.sig.unsafety.is_some() {
            self.receiver(&item.sig);
            self.of_traits.insert(item.sig.ident.to_string());
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let (Some(name), Type::BareFn(function)) = (&field.ident, &field.ty)
            && function.unsafety.is_some()
        {
            self.fields.insert(name.to_string());
        }
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        if matches!(item.mutability, syn::StaticMutability::Mut(_)) {
            self.statics.insert(item.ident.to_string());
        }
        visit::visit_item_static(self, item);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.of_unions.extend(item.fields.named.iter().filter_map(|field| Some(field.ident.as_ref()?.to_string())));
    }
}

fn type_name(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

/// Counts the unsafe blocks, and the operations in them.
struct Operations<'a> {
    known: &'a Known,
    /// The type of the impl that is being visited.
    own: Option<String>,
    /// The unsafe blocks that enclose the current place, each with the number of operations found in it.
    open: Vec<usize>,
    blocks: usize,
    found: usize,
}

impl Operations<'_> {
    fn is_unsafe(&self, function: &Expr) -> bool {
        let path = match function {
            Expr::Paren(inner) => return self.is_unsafe(&inner.expr),
            Expr::Field(field) => {
                return matches!(&field.member, syn::Member::Named(name) if self.known.fields.contains(&name.to_string()));
            }
            Expr::Path(path) => &path.path,
            _ => return false,
        };
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let Some((name, above)) = segments.split_last() else { return false };
        let std = STD_FUNCTIONS.contains(&name.as_str());
        match above.last() {
            Some(first) if first == "libc" => true,
            Some(of) if of.starts_with(char::is_uppercase) => {
                let of = if of == "Self" { self.own.clone().unwrap_or_default() } else { of.clone() };
                std || self.known.of_traits.contains(name) || self.known.associated.contains(&(of, name.clone()))
            }
            Some(_) => std || self.known.functions.contains(name),
            None => self.known.functions.contains(name),
        }
    }
}

impl<'ast> Visit<'ast> for Operations<'_> {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let before = std::mem::replace(&mut self.own, type_name(&item.self_ty));
        visit::visit_item_impl(self, item);
        self.own = before;
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.blocks += 1;
        self.open.push(0);
        visit::visit_expr_unsafe(self, block);
        self.found += self.open.pop().unwrap_or_default().max(1);
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        let counts = match expression {
            Expr::Call(call) => self.is_unsafe(&call.func),
            Expr::MethodCall(call) => {
                let name = call.method.to_string();
                self.known.methods.contains(&name) || STD_METHODS.contains(&name.as_str())
            }
            Expr::Unary(unary) => matches!(unary.op, syn::UnOp::Deref(_)),
            Expr::Path(path) => path.path.get_ident().is_some_and(|name| self.known.statics.contains(&name.to_string())),
            Expr::Field(field) => {
                matches!(&field.member, syn::Member::Named(name) if self.known.of_unions.contains(&name.to_string()))
            }
            _ => false,
        };
        if let (true, Some(operations)) = (counts, self.open.last_mut()) {
            *operations += 1;
        }
        visit::visit_expr(self, expression);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let arguments = macros::arguments(call).unwrap_or_default();
        arguments.expressions.iter().for_each(|expression| self.visit_expr(expression));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_recognised() {
        let body = |body: &str| {
            let text = format!(
                "struct T {{ call: unsafe fn(u8) }} union U {{ a: u8, b: i8 }} static mut S: u8 = 0;
                 unsafe fn f() {{}} fn safe() {{}} impl A {{ unsafe fn g(&self) {{}} unsafe fn h() {{}} fn body() {{ {body} }} }}"
            );
            let file = syn::parse_file(&text).unwrap();
            let mut known = Known::default();
            known.visit_file(&file);
            count(&known, &file)
        };
        assert_eq!(body("unsafe { f(); *p = *q; safe(); x.g(); Self::h(); A::h(); B::h() }"), (1, 6));
        assert_eq!(body("unsafe { (t.call)(1); u.b; S += 1; ptr::read(p); p.add(1); libc::getpid() }"), (1, 6));
        assert_eq!(body("unsafe { unknown() } assert!(unsafe { f(); f() } > 1); *safe"), (2, 3));
    }
}
