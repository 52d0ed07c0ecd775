//! A parsed Rust file: its tokens, and its syntax tree with and without the code of tests and loom models.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Item, Meta, Stmt, punctuated::Punctuated};

use super::{File, Problem};

/// A word or a punctuation mark (`::` is a single one), with its line. Literals are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

pub(super) struct Source<'a> {
    pub(super) file: &'a File,
    pub(super) tokens: Vec<Token>,
    /// The syntax tree of the file; empty for a case of the UI tests that syn cannot parse.
    pub(super) whole: syn::File,
    /// The same without items and statements that only `cfg(test)` or `cfg(loom)` compiles.
    pub(super) code: syn::File,
}

impl<'a> Source<'a> {
    pub(super) fn read(file: &'a File) -> Result<Self, Problem> {
        let refused = |error: syn::Error| file.problem(error.span().start().line, format!("syntax error: {error}"));
        let stream: TokenStream = file.text.parse().map_err(|error: proc_macro2::LexError| refused(error.into()))?;
        let tokens = tokens(stream.clone());
        let whole: syn::File = match syn::parse2(stream) {
            Ok(whole) => whole,
            Err(_) if file.path.starts_with("tests/ui/fail/") => {
                syn::File { shebang: None, attrs: Vec::new(), items: Vec::new() }
            }
            Err(error) => return Err(refused(error)),
        };
        let mut code = whole.clone();
        WithoutTests.visit_file_mut(&mut code);
        Ok(Source { file, tokens, whole, code })
    }
}

pub(super) fn tokens(stream: TokenStream) -> Vec<Token> {
    let mut found = Vec::new();
    flatten(stream, &mut found);
    found
}

fn flatten(stream: TokenStream, found: &mut Vec<Token>) {
    let mut joint_colon = false;
    for tree in stream {
        let line = tree.span().start().line;
        let mut add = |text: &str, line| found.push(Token { text: text.to_owned(), line });
        let after_colon = std::mem::take(&mut joint_colon);
        match tree {
            TokenTree::Ident(word) => add(&word.to_string(), line),
            TokenTree::Punct(mark) if mark.as_char() == ':' && after_colon => {
                let first = found.last_mut().expect("a colon came before this one");
                first.text.push(':');
            }
            TokenTree::Punct(mark) => {
                joint_colon = mark.as_char() == ':' && mark.spacing() == Spacing::Joint;
                add(&mark.to_string(), line);
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                let end = group.span_close().end().line;
                add(open, line);
                flatten(group.stream(), found);
                found.push(Token { text: close.to_owned(), line: end });
            }
            TokenTree::Literal(_) => {}
        }
    }
}

/// Whether an item with these attributes is compiled only for tests or loom models.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.is_ident("test") || (path.is_ident("cfg") && attribute.parse_args().is_ok_and(|meta| holds(&meta) == Some(false)))
    })
}

/// Whether a predicate of `cfg` holds if `test`, `loom` and `doctest` are not set; `None` if it depends on other options.
fn holds(predicate: &Meta) -> Option<bool> {
    let list = match predicate {
        Meta::Path(path) if ["test", "loom", "doctest"].iter().any(|name| path.is_ident(name)) => return Some(false),
        Meta::List(list) => list,
        _ => return None,
    };
    let parts = list.parse_args_with(Punctuated::<Meta, syn::Token![,]>::parse_terminated).ok()?;
    let parts: Vec<Option<bool>> = parts.iter().map(holds).collect();
    let all = |value: bool| parts.iter().all(|part| *part == Some(value));
    let any = |value: bool| parts.contains(&Some(value));
    match list.path.get_ident()?.to_string().as_str() {
        "not" => parts.first()?.map(|part| !part),
        "all" if any(false) => Some(false),
        "all" if all(true) => Some(true),
        "any" if any(true) => Some(true),
        "any" if all(false) => Some(false),
        _ => None,
    }
}

/// Removes everything for which [`is_test`] returns true.
struct WithoutTests;

impl VisitMut for WithoutTests {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        if is_test(&file.attrs) {
            file.items.clear();
        }
        file.items.retain(|item| !is_test(of_item(item)));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| !is_test(of_item(item)));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut syn::ItemImpl) {
        block.items.retain(|item| {
            !is_test(match item {
                syn::ImplItem::Const(item) => &item.attrs,
                syn::ImplItem::Fn(item) => &item.attrs,
                syn::ImplItem::Type(item) => &item.attrs,
                syn::ImplItem::Macro(item) => &item.attrs,
                _ => &[],
            })
        });
        visit_mut::visit_item_impl_mut(self, block);
    }

    fn visit_item_trait_mut(&mut self, block: &mut syn::ItemTrait) {
        block.items.retain(|item| {
            !is_test(match item {
                syn::TraitItem::Const(item) => &item.attrs,
                syn::TraitItem::Fn(item) => &item.attrs,
                syn::TraitItem::Type(item) => &item.attrs,
                syn::TraitItem::Macro(item) => &item.attrs,
                _ => &[],
            })
        });
        visit_mut::visit_item_trait_mut(self, block);
    }

    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        block.stmts.retain(|statement| {
            !is_test(match statement {
                Stmt::Local(local) => &local.attrs,
                Stmt::Item(item) => of_item(item),
                Stmt::Macro(call) => &call.attrs,
                Stmt::Expr(expression, _) => of_expression(expression),
            })
        });
        visit_mut::visit_block_mut(self, block);
    }

    fn visit_fields_named_mut(&mut self, fields: &mut syn::FieldsNamed) {
        fields.named = std::mem::take(&mut fields.named).into_iter().filter(|field| !is_test(&field.attrs)).collect();
        visit_mut::visit_fields_named_mut(self, fields);
    }

    fn visit_item_enum_mut(&mut self, item: &mut syn::ItemEnum) {
        item.variants = std::mem::take(&mut item.variants).into_iter().filter(|variant| !is_test(&variant.attrs)).collect();
        visit_mut::visit_item_enum_mut(self, item);
    }

    fn visit_expr_struct_mut(&mut self, value: &mut syn::ExprStruct) {
        value.fields = std::mem::take(&mut value.fields).into_iter().filter(|field| !is_test(&field.attrs)).collect();
        visit_mut::visit_expr_struct_mut(self, value);
    }

    fn visit_expr_match_mut(&mut self, choice: &mut syn::ExprMatch) {
        choice.arms.retain(|arm| !is_test(&arm.attrs));
        visit_mut::visit_expr_match_mut(self, choice);
    }
}

pub(super) fn of_item(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The attributes of an expression that is a statement.
fn of_expression(expression: &syn::Expr) -> &[Attribute] {
    use syn::Expr;
    match expression {
        Expr::Assign(expression) => &expression.attrs,
        Expr::Block(expression) => &expression.attrs,
        Expr::Call(expression) => &expression.attrs,
        Expr::ForLoop(expression) => &expression.attrs,
        Expr::If(expression) => &expression.attrs,
        Expr::Loop(expression) => &expression.attrs,
        Expr::Macro(expression) => &expression.attrs,
        Expr::Match(expression) => &expression.attrs,
        Expr::MethodCall(expression) => &expression.attrs,
        Expr::Return(expression) => &expression.attrs,
        Expr::Unsafe(expression) => &expression.attrs,
        Expr::While(expression) => &expression.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(tokens: &[Token]) -> String {
        let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
        texts.join(" ")
    }

    fn holds_in_code(text: &str, name: &str) -> bool {
        let file = File { path: "src/a.rs".into(), text: text.into() };
        let source = Source::read(&file).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(format!("{:?}", source.whole).contains(name), "{text}");
        format!("{:?}", source.code).contains(name)
    }

    #[test]
    fn comments_and_literals_are_not_tokens() {
        let text = "a /* b /* c */ d */ e // f\n:: g \"h\" r#\"i\"# 'j' (k)";
        let tokens = tokens(text.parse().unwrap());
        assert_eq!(words(&tokens), "a e :: g ( k )");
        assert_eq!(tokens[3], Token { text: "g".into(), line: 2 });
    }

    #[test]
    fn code_of_tests_and_models_is_left_out() {
        for cfg in ["test", "loom", "all(test, not(loom))", "any(test, loom)", "all(unix, not(not(loom)))"] {
            assert!(!holds_in_code(&format!("#[cfg({cfg})] mod a {{ fn gone() {{}} }}"), "gone"), "{cfg}");
            assert!(!holds_in_code(&format!("fn f() {{ #[cfg({cfg})] let gone = 1; }}"), "gone"), "{cfg}");
            assert!(!holds_in_code(&format!("struct S {{ #[cfg({cfg})] gone: u8 }}"), "gone"), "{cfg}");
            assert!(!holds_in_code(&format!("impl S {{ #[cfg({cfg})] fn gone() {{}} }}"), "gone"), "{cfg}");
        }
        assert!(!holds_in_code("#[test] fn gone() {}", "gone"));
        for cfg in ["unix", "not(test)", "not(all(test, loom))", "any(test, feature = \"fuzzing\")", "not(unix)"] {
            assert!(holds_in_code(&format!("#[cfg({cfg})] fn kept() {{}}"), "kept"), "{cfg}");
        }
    }
}
