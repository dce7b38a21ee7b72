//! Which header of `templates/` defines which name, and which of the names a text asks for.
//!
//! A text that says `AF_INET` means the kernel's, whatever it includes: the headers of the kernel include one another in
//! ways that differ with its version and configuration. So a header of `templates/` is included where a name that it
//! defines is used, and no header costs anything where it is not.

use std::collections::HashMap;

use crate::lex::{Lexed, Token, TokenKind};

/// All names, sorted (see `build.rs`).
static INDEX: &[Entry] = include!(concat!(env!("OUT_DIR"), "/index.rs"));

/// A name that a header defines.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    shape: Shape,
    header: &'static str,
}

/// How the uses of a name look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A macro without arguments, or a typedef.
    Constant,
    /// A macro with arguments.
    Function,
    /// A macro for the path to a member (`sk_family`), or for another tag (`rcu_head`).
    Alias,
    /// The tag of a struct.
    Tag,
}

/// How a text uses a name.
#[derive(Debug, Clone, Copy, Default)]
struct Use {
    /// Before an open parenthesis.
    called: bool,
    /// Behind `.` or `->`.
    member: bool,
    /// Behind `struct`, `union` or `enum`.
    tag: bool,
    /// Elsewhere.
    plain: bool,
}

/// How the texts around a probe use names.
#[derive(Debug, Default)]
pub(super) struct Uses(HashMap<String, Use>);

impl Uses {
    /// Adds the names of a text.
    pub(super) fn add(&mut self, lexed: &Lexed<'_>) {
        let tokens: Vec<&Token> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
        for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Identifier) {
            let before = |back: usize| index.checked_sub(back).and_then(|at| tokens.get(at));
            let is = |back, byte| before(back).is_some_and(|token| token.kind == TokenKind::Punctuation(byte));
            let next = tokens.get(index + 1).map(|next| next.kind);
            let uses = self.0.entry(lexed.spelling(token).into_owned()).or_default();
            let word = before(1).filter(|token| token.kind == TokenKind::Identifier);
            if is(1, b'.') || (is(1, b'>') && is(2, b'-')) {
                uses.member = true;
            } else if word.is_some_and(|word| matches!(&*lexed.spelling(word), "struct" | "union" | "enum")) {
                uses.tag = true;
            } else {
                uses.called |= next == Some(TokenKind::Punctuation(b'('));
                uses.plain = true;
            }
        }
    }

    /// The headers that define what is used, each once, in the order of their names; `is_declared` says which names
    /// the texts declare themselves.
    pub(super) fn headers(&self, is_declared: impl Fn(&str) -> bool) -> Vec<&'static str> {
        let wanted = self.0.iter().filter_map(|(name, uses)| entry(name).filter(|entry| entry.is_meant(*uses)));
        let mut headers: Vec<_> = wanted.filter(|entry| !is_declared(entry.name)).map(|entry| entry.header).collect();
        headers.sort_unstable();
        headers.dedup();
        headers
    }
}

impl Entry {
    fn is_meant(&self, uses: Use) -> bool {
        match self.shape {
            // A macro would change the member of the same name.
            Shape::Constant => uses.plain && !uses.member,
            Shape::Function => uses.called && !uses.member,
            // Where the text declares such a member itself, it has the name in another place too.
            Shape::Alias => uses.tag || (uses.member && !uses.plain),
            Shape::Tag => uses.tag,
        }
    }
}

fn entry(name: &str) -> Option<&'static Entry> {
    INDEX.binary_search_by(|entry| entry.name.cmp(name)).ok().and_then(|at| INDEX.get(at))
}

/// The header of `templates/` that defines a name: `linux/socket.h` for `AF_INET`.
pub fn header_of(name: &str) -> Option<&'static str> {
    entry(name).map(|entry| entry.header)
}

/// All names that headers of `templates/` define.
pub fn names() -> impl Iterator<Item = &'static str> {
    INDEX.iter().map(|entry| entry.name)
}
