//! Macros of the probe whose bodies hold something to rewrite: their uses are written out, in place, before the text is
//! looked at again. libclang gives no places inside of a macro's body, and one body may mean different things at each
//! use.

use crate::lex::{Lexed, Token, TokenKind};
use crate::source::Span;

use super::edit::Edits;
use super::slice;
use super::tree::{Expansion, Tree};

/// The longest text that one use may become.
const MAX_EXPANSION: usize = 1 << 16;

/// Why a use could not be written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed;

/// The edits that write out the uses of macros that `places` are in. Of uses within each other only one is taken; the
/// other is left for the next time.
///
/// # Errors
/// For the first place that is in no use of a macro whose definition can be read.
pub(super) fn expand(text: &str, tree: &Tree<'_>, places: &[Span]) -> Result<Edits, (usize, Failed)> {
    let mut edits = Edits::default();
    let mut taken: Vec<Span> = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let failed = (number, Failed);
        let used = outermost(tree, find(tree, *place).ok_or(failed)?);
        if taken.iter().any(|other| other.start < used.span.end && used.span.start < other.end) {
            continue;
        }
        taken.push(used.span);
        let definition = used.cursor.referenced().and_then(|definition| definition.text()).ok_or(failed)?;
        let expanded = write_out(&definition, slice(text, used.span)).ok_or(failed)?;
        edits.replace(used.span, used.span, expanded);
    }
    Ok(edits)
}

/// The use of a macro that gave a place its first or its last token, the smallest of several.
fn find<'t, 'u>(tree: &'t Tree<'u>, place: Span) -> Option<&'t Expansion<'u>> {
    // A place inside of nested macros may be empty.
    let last = place.end.saturating_sub(1).max(place.start);
    let touches = |used: &&Expansion<'_>| used.span.start <= last && place.start < used.span.end;
    let shares = |used: &&Expansion<'_>| used.span.start == place.start || used.span.end == place.end;
    let all = || tree.expansions.iter().filter(touches);
    all().filter(shares).min_by_key(|used| used.span.len()).or_else(|| all().min_by_key(|used| used.span.len()))
}

/// The use that a use is an argument of, or itself: what a macro becomes could hold commas that separate arguments.
fn outermost<'t, 'u>(tree: &'t Tree<'u>, used: &'t Expansion<'u>) -> &'t Expansion<'u> {
    let around = tree.expansions.iter().filter(|other| {
        other.span.start <= used.span.start && used.span.end <= other.span.end && other.span.len() > used.span.len()
    });
    around.max_by_key(|other| other.span.len()).unwrap_or(used)
}

/// What a use of a macro becomes by one step, on one line; the macros that are in it stay as they are. None where use and
/// definition do not fit.
fn write_out(definition: &str, used: &str) -> Option<String> {
    let definition = Macro::parse(definition)?;
    let arguments = if definition.is_function {
        arguments(used, definition.parameters.len(), definition.variadic)?
    } else {
        Vec::new()
    };
    let mut out = String::new();
    let mut pieces = definition.body.iter().peekable();
    while let Some(piece) = pieces.next() {
        let pasted_before = out.ends_with(PASTE);
        let text = match piece {
            Piece::Blank => {
                if !out.ends_with([' ', PASTE]) {
                    out.push(' ');
                }
                continue;
            }
            Piece::Paste => {
                out.truncate(out.trim_end().len());
                // GNU: a comma before an empty rest goes with it.
                let next = pieces.clone().find(|piece| !matches!(piece, Piece::Blank));
                if let Some(Piece::Parameter(number)) = next
                    && definition.variadic
                    && number + 1 == definition.parameters.len()
                    && out.ends_with(',')
                {
                    if arguments.get(*number).is_none_or(|rest| rest.is_empty()) {
                        out.pop();
                    }
                    continue;
                }
                out.push(PASTE);
                continue;
            }
            Piece::Parameter(number) => arguments.get(*number)?.clone(),
            Piece::Quoted(number) => quoted(arguments.get(*number)?),
            Piece::Token(token) => token.clone(),
        };
        if pasted_before {
            out.pop();
        }
        out.push_str(&text);
        if out.len() > MAX_EXPANSION {
            return None;
        }
    }
    let out: String = out.chars().filter(|letter| *letter != PASTE).collect();
    Some(out.trim().to_owned())
}

/// Marks a `##` while text is put together; it stands in no text that clang accepts outside of comments and literals.
const PASTE: char = '\u{1}';

/// A definition: what stands behind `#define`.
struct Macro {
    is_function: bool,
    parameters: Vec<String>,
    /// Whether the last parameter takes all that is left.
    variadic: bool,
    body: Vec<Piece>,
}

enum Piece {
    Blank,
    Token(String),
    Parameter(usize),
    /// `#parameter`
    Quoted(usize),
    /// `##`
    Paste,
}

impl Macro {
    fn parse(text: &str) -> Option<Self> {
        let lexed = Lexed::new(text);
        let tokens: Vec<Token> =
            lexed.tokens().iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
        let name = tokens.first()?;
        let is_function = tokens
            .get(1)
            .is_some_and(|open| open.kind == TokenKind::Punctuation(b'(') && open.span.start == name.span.end);
        let mut at = 1;
        let (mut parameters, mut variadic) = (Vec::new(), false);
        if is_function {
            at = 2;
            loop {
                let token = tokens.get(at)?;
                at += 1;
                match token.kind {
                    TokenKind::Punctuation(b')') => break,
                    TokenKind::Identifier => parameters.push(lexed.spelling(token).into_owned()),
                    TokenKind::Punctuation(b'.') if !variadic => {
                        variadic = true;
                        // `args...` names the rest; `...` alone is __VA_ARGS__.
                        let named =
                            at >= 2 && tokens.get(at - 2).is_some_and(|before| before.kind == TokenKind::Identifier);
                        if !named {
                            parameters.push("__VA_ARGS__".to_owned());
                        }
                    }
                    TokenKind::Punctuation(b'.' | b',') => {}
                    _ => return None,
                }
            }
        }

        let mut body = Vec::new();
        let mut before: Option<Token> = None;
        let rest = tokens.get(at..)?;
        let mut index = 0;
        let is_hash = |token: Option<&Token>| token.is_some_and(|token| token.kind == TokenKind::Punctuation(b'#'));
        while let Some(token) = rest.get(index) {
            if before.is_some_and(|before| before.span.end < token.span.start) {
                body.push(Piece::Blank);
            }
            let spelling = lexed.spelling(token).into_owned();
            let parameter = |token: &Token| {
                let name = lexed.spelling(token);
                (token.kind == TokenKind::Identifier)
                    .then(|| parameters.iter().position(|parameter| *parameter == name))
                    .flatten()
            };
            let next = rest.get(index + 1);
            let mut last = *token;
            if is_hash(Some(token)) && is_hash(next) && next.is_some_and(|next| next.span.start == token.span.end) {
                body.push(Piece::Paste);
                index += 1;
                last = *next?;
            } else if let (true, true, Some(number)) = (is_function, is_hash(Some(token)), next.and_then(parameter)) {
                body.push(Piece::Quoted(number));
                index += 1;
                last = *next?;
            } else if let Some(number) = parameter(token) {
                body.push(Piece::Parameter(number));
            } else {
                body.push(Piece::Token(spelling));
            }
            before = Some(last);
            index += 1;
        }
        Some(Self { is_function, parameters, variadic, body })
    }
}

/// The arguments of `NAME(a, b)`, each on one line and without comments; `count` of them.
fn arguments(used: &str, count: usize, variadic: bool) -> Option<Vec<String>> {
    let lexed = Lexed::new(used);
    let mut tokens = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).skip(1);
    tokens.next().filter(|open| open.kind == TokenKind::Punctuation(b'('))?;
    let mut arguments = vec![String::new()];
    let mut depth = 0usize;
    let mut before: Option<Token> = None;
    for token in tokens {
        match token.kind {
            TokenKind::Punctuation(b'(') => depth += 1,
            TokenKind::Punctuation(b')') if depth == 0 => {
                let empty = arguments.len() == 1 && arguments.first().is_some_and(String::is_empty);
                if count == 0 && empty {
                    arguments.clear();
                }
                if variadic && arguments.len() + 1 == count {
                    arguments.push(String::new());
                }
                return (arguments.len() == count).then_some(arguments);
            }
            TokenKind::Punctuation(b')') => depth -= 1,
            TokenKind::Punctuation(b',') if depth == 0 && !(variadic && arguments.len() == count) => {
                arguments.push(String::new());
                before = None;
                continue;
            }
            _ => {}
        }
        let argument = arguments.last_mut()?;
        if before.is_some_and(|before| before.span.end < token.span.start) {
            argument.push(' ');
        }
        argument.push_str(&lexed.spelling(token));
        before = Some(*token);
    }
    None
}

/// An argument as a string literal (C11, 6.10.3.2).
fn quoted(argument: &str) -> String {
    let mut out = String::from("\"");
    let lexed = Lexed::new(argument);
    let mut end = 0;
    for token in lexed.tokens() {
        if token.span.start > end && out.len() > 1 {
            out.push(' ');
        }
        end = token.span.end;
        let is_literal = matches!(token.kind, TokenKind::String | TokenKind::Char);
        for letter in lexed.spelling(token).chars() {
            if is_literal && matches!(letter, '"' | '\\') {
                out.push('\\');
            }
            out.push(letter);
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_written_out_as_the_preprocessor_does() {
        let check = |definition: &str, used: &str, expect: &str| {
            assert_eq!(write_out(definition, used).as_deref(), Some(expect), "{definition} / {used}");
        };
        check("P task", "P", "task");
        check("PID(t) ((t)->pid)", "PID(a->b)", "((a->b)->pid)");
        check("PID(t) ((t)->pid)", "PID( f(a, b) )", "((f(a, b))->pid)");
        check("F(a, b) a  + \\\n b /* c */", "F(1,\n 2 /* x */)", "1 + 2");
        check("CAT(a, b) a ## _##b", "CAT(x, y)", "x_y");
        check("S(a) #a", "S(p->x  + \"q\\n\")", "\"p->x + \\\"q\\\\n\\\"\"");
        check("V(f, ...) g(f, ##__VA_ARGS__)", "V(1)", "g(1)");
        check("V(f, ...) g(f, ##__VA_ARGS__)", "V(1, 2, 3)", "g(1,2, 3)");
        check("V(f, rest...) g(f, ## rest)", "V(1, 2)", "g(1, 2)");
        check("V(...) g(__VA_ARGS__)", "V(a, (b, c))", "g(a, (b, c))");
        check("N() 1", "N()", "1");
        check("O (x)", "O", "(x)");
        assert_eq!(write_out("F(a, b) a", "F(1)"), None);
        assert_eq!(write_out("F(a", "F(1)"), None);
        assert_eq!(write_out("F(a) a", "F(1"), None);
    }
}
