//! The names that a text declares at file scope, found by shape.

use std::collections::BTreeSet;

use super::{Lexed, Token, TokenKind};

/// Names that a text declares itself. The kernel type slice must leave them out, or C would see them twice.
///
/// This is found by the shape of the tokens, without expanding macros, so it errs towards fewer names; what it misses
/// is a redefinition error of clang, on the user's line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Tags that are defined with a body: `struct X {`, `union X {`, `enum X {` (C has one name space for the three).
    pub tags: BTreeSet<String>,
    /// Ordinary names at file scope: typedefs, enumerators, functions, variables, maps.
    pub ordinary: BTreeSet<String>,
    /// Macros that `#define` makes.
    pub macros: BTreeSet<String>,
}

impl Declared {
    pub(super) fn of(lexed: &Lexed<'_>) -> Self {
        let mut declared = Self::default();
        let (lines, code): (Vec<&Token>, Vec<&Token>) = lexed
            .tokens()
            .iter()
            .filter(|token| token.kind != TokenKind::Comment)
            .partition(|token| token.preprocessor);
        declared.macros(lexed, &lines);
        declared.scopes(lexed, &code);
        declared
    }

    fn macros(&mut self, lexed: &Lexed<'_>, lines: &[&Token]) {
        for window in lines.windows(3) {
            let [hash, word, name] = window else { continue };
            let defines = hash.kind == TokenKind::Punctuation(b'#')
                && word.kind == TokenKind::Identifier
                && lexed.spelling(word) == "define"
                && name.kind == TokenKind::Identifier;
            if defines {
                self.macros.insert(lexed.spelling(name).into_owned());
            }
        }
    }

    fn scopes(&mut self, lexed: &Lexed<'_>, code: &[&Token]) {
        // One entry an open brace: whether it is the body of an enum, and whether it stands at file scope.
        let mut braces: Vec<bool> = Vec::new();
        let mut parens = 0usize;
        let mut enum_expects_name = false;
        // Between `=` and the end of a declarator at file scope: names there are used.
        let mut initialiser = false;
        for (index, token) in code.iter().enumerate() {
            let next = code.get(index + 1).map(|token| token.kind);
            match token.kind {
                TokenKind::Punctuation(b'{') => {
                    let enumeration = self.tag(lexed, code, index);
                    braces.push(enumeration);
                    enum_expects_name = enumeration;
                }
                TokenKind::Punctuation(b'}') => {
                    braces.pop();
                    enum_expects_name = false;
                }
                TokenKind::Punctuation(b'(') => parens += 1,
                TokenKind::Punctuation(b')') => parens = parens.saturating_sub(1),
                TokenKind::Punctuation(b',') => {
                    enum_expects_name = parens == 0 && braces.last() == Some(&true);
                    initialiser &= parens > 0 || !braces.is_empty();
                }
                TokenKind::Punctuation(b';') => initialiser = false,
                TokenKind::Punctuation(b'=') if braces.is_empty() && parens == 0 => initialiser = true,
                TokenKind::Identifier => {
                    if enum_expects_name {
                        self.ordinary.insert(lexed.spelling(token).into_owned());
                        enum_expects_name = false;
                    } else if braces.is_empty() && parens == 0 && !initialiser {
                        self.file_scope(lexed, code, index, next);
                    } else if braces.is_empty() && parens == 1 && is_function_pointer(lexed, code, index) {
                        self.ordinary.insert(lexed.spelling(token).into_owned());
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes the tag whose body opens at `brace`; whether it is an enum's.
    fn tag(&mut self, lexed: &Lexed<'_>, code: &[&Token], brace: usize) -> bool {
        let at = |index: Option<usize>| index.and_then(|index| code.get(index));
        let word = |index: Option<usize>| {
            at(index).filter(|token| token.kind == TokenKind::Identifier).map(|token| lexed.spelling(token))
        };
        let mut index = brace.checked_sub(1);
        let Some(last) = word(index) else { return false };
        if is_tag_keyword(&last) {
            return last == "enum";
        }
        // Attributes may stand between the keyword and the tag: `struct __attribute__((packed)) tag {`.
        for _ in 0..MAX_ATTRIBUTES {
            index = index.and_then(|index| index.checked_sub(1));
            if at(index).is_some_and(|token| token.kind == TokenKind::Punctuation(b')')) {
                index = opening(code, index).and_then(|open| open.checked_sub(1));
            }
            match word(index) {
                Some(keyword) if is_tag_keyword(&keyword) => {
                    self.tags.insert(last.into_owned());
                    return keyword == "enum";
                }
                Some(_) => {}
                None => break,
            }
        }
        false
    }

    /// Notes a name that is declared outside all braces and parentheses: it stands before `;`, `=`, `[`, `,` or an
    /// attribute, or before `(` and behind its type. A name in capitals before `(` is a macro's.
    fn file_scope(&mut self, lexed: &Lexed<'_>, code: &[&Token], index: usize, next: Option<TokenKind>) {
        let Some(token) = code.get(index) else { return };
        let before = index.checked_sub(1).and_then(|before| code.get(before));
        let name = lexed.spelling(token);
        let declares = match next {
            Some(TokenKind::Punctuation(b'(')) if is_capital(&name) => {
                let place = if name.starts_with("BPF_TABLE") || name.starts_with("BPF_F_TABLE") { 3 } else { 0 };
                let map = name.starts_with("BPF_").then(|| argument(code, index + 1, place)).flatten();
                self.ordinary.extend(map.map(|map| lexed.spelling(map).into_owned()));
                false
            }
            Some(TokenKind::Punctuation(b'(')) => {
                before.is_some_and(|before| matches!(before.kind, TokenKind::Identifier | TokenKind::Punctuation(b'*')))
            }
            Some(TokenKind::Punctuation(b';' | b'=' | b'[' | b',')) => true,
            Some(TokenKind::Identifier) => code.get(index + 1).is_some_and(|attribute| {
                let word = lexed.spelling(attribute);
                let call = code.get(index + 2).is_some_and(|open| open.kind == TokenKind::Punctuation(b'('));
                call && (word == "SEC" || word == "__attribute__")
                    && before.is_some_and(|before| before.kind != TokenKind::Punctuation(b';'))
                    && !is_tag_keyword(&name)
            }),
            _ => false,
        };
        let tag_only = before
            .is_some_and(|before| before.kind == TokenKind::Identifier && is_tag_keyword(&lexed.spelling(before)));
        if declares && !tag_only && !is_keyword(&name) {
            self.ordinary.insert(name.into_owned());
        }
    }
}

/// The most attributes of a struct that are looked through.
const MAX_ATTRIBUTES: usize = 8;

/// The parenthesis that the one at `close` closes.
fn opening(code: &[&Token], close: Option<usize>) -> Option<usize> {
    let mut depth = 0usize;
    for (index, token) in code.iter().enumerate().take(close?.checked_add(1)?).rev() {
        match token.kind {
            TokenKind::Punctuation(b')') => depth += 1,
            TokenKind::Punctuation(b'(') => depth = depth.checked_sub(1)?,
            TokenKind::Punctuation(b';' | b'{' | b'}') => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// Keywords that may stand where a declared name does.
fn is_keyword(word: &str) -> bool {
    let keywords =
        ["__attribute__", "void", "char", "short", "int", "long", "signed", "unsigned", "_Bool", "_Static_assert"];
    keywords.contains(&word)
}

/// Whether a name stands as in `(*name)(` or `(* const name)(`.
fn is_function_pointer(lexed: &Lexed<'_>, code: &[&Token], index: usize) -> bool {
    let kind = |at: Option<usize>| at.and_then(|at| code.get(at)).map(|token| token.kind);
    let constant =
        index.checked_sub(1).and_then(|at| code.get(at)).is_some_and(|token| lexed.spelling(token) == "const");
    kind(index.checked_sub(if constant { 2 } else { 1 })) == Some(TokenKind::Punctuation(b'*'))
        && kind(index.checked_add(1)) == Some(TokenKind::Punctuation(b')'))
        && kind(index.checked_add(2)) == Some(TokenKind::Punctuation(b'('))
}

/// Whether a name is written as macros are.
fn is_capital(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_tag_keyword(word: &str) -> bool {
    matches!(word, "struct" | "union" | "enum")
}

/// The argument of a macro call that is a single identifier: the `place`th behind the parenthesis at `open`.
fn argument<'a>(code: &[&'a Token], open: usize, place: usize) -> Option<&'a Token> {
    let mut depth = 0usize;
    let mut commas = 0usize;
    for (index, token) in code.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::Punctuation(b'(' | b'{') => depth += 1,
            TokenKind::Punctuation(b')' | b'}') => depth = depth.checked_sub(1).filter(|left| *left > 0)?,
            TokenKind::Punctuation(b',') if depth == 1 => commas += 1,
            TokenKind::Punctuation(b';') => return None,
            TokenKind::Identifier if depth == 1 && commas == place => {
                let next = code.get(index + 1)?;
                return matches!(next.kind, TokenKind::Punctuation(b',' | b')')).then_some(*token);
            }
            _ => {}
        }
    }
    None
}
