//! Just enough of a Rust lexer to tell code from what only looks like it: comments, strings, the
//! tests of a file.

/// The text with comments and literals blanked out, line breaks kept: positions stay what they
/// were.
pub(super) fn without_comments_and_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (length, blank) = piece(rest, code.chars().next_back());
        let (piece, after) = rest.split_at(length);
        if blank {
            code.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            code.push_str(piece);
        }
        rest = after;
    }
    code
}

/// The length of what `rest` begins with, and whether it is a comment or a literal.
fn piece(rest: &str, before: Option<char>) -> (usize, bool) {
    let first = rest.chars().next().expect("not empty");
    let in_word = before.is_some_and(is_word);
    match first {
        '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), true),
        '/' if rest.starts_with("/*") => (block_comment(rest), true),
        '"' => (quoted(rest, '"'), true),
        'r' | 'b' | 'c' if !in_word => match raw_string(rest) {
            Some(length) => (length, true),
            None => (1, false),
        },
        '\'' => match char_literal(rest) {
            Some(length) => (length, true),
            None => (1, false), // a lifetime
        },
        _ => (first.len_utf8(), false),
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn quoted(rest: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == end => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r".."`, `r#".."#`, `br".."`, `cr".."`; not `r#name`.
fn raw_string(rest: &str) -> Option<usize> {
    let marks = rest.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    let body = marks[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + length)
}

fn char_literal(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    match chars.next()?.1 {
        '\\' => Some(quoted(rest, '\'')),
        _ => match chars.next()? {
            (at, '\'') => Some(at + 1),
            _ => None,
        },
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word or a punctuation mark (`::` is one), with the line it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

/// The tokens of code that [`without_comments_and_literals`] gave back.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (text, after) = rest.split_at(length);
            tokens.push(Token { text, line: number + 1 });
            rest = after.trim_start();
        }
    }
    tokens
}

/// The tokens without the modules that stand under `#[cfg(test)]`, or under another `cfg` that
/// names `test`.
pub(super) fn without_test_modules<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if text(at) == "#" && text(at + 1) == "[" && text(at + 2) == "cfg" {
            let attribute = closing(tokens, at + 1);
            let names_test = tokens[at..attribute].iter().any(|token| token.text == "test");
            if names_test && text(attribute + 1) == "mod" && text(attribute + 3) == "{" {
                at = closing(tokens, attribute + 3) + 1;
                continue;
            }
        }
        kept.push(tokens[at]);
        at += 1;
    }
    kept
}

/// Where the bracket that opens at `open` closes.
pub(super) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let code = without_comments_and_literals(text);
        assert_eq!(code.lines().count(), text.lines().count());
        let tokens = tokens(&code);
        let texts: Vec<&str> = without_test_modules(&tokens).iter().map(|t| t.text).collect();
        texts.join(" ")
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(words("a /* b /* c */ d */ e // f\ng"), "a e g");
        assert_eq!(words(r#"a "b \" c" d"#), "a d");
        assert_eq!(words(r##"a r#"b " c"# d br"e" r#f"##), "a d r # f");
        assert_eq!(words(r"&'a str, '\'' 'x' bar"), "& ' a str , bar");
    }

    #[test]
    fn test_modules_are_left_out() {
        let text = "use a::b;\n#[cfg(all(test, not(loom)))]\nmod tests { use c::d; fn e() {} }\nfn f() {}";
        assert_eq!(words(text), "use a :: b ; fn f ( ) { }");
    }
}
