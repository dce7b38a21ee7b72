//! The names in a probe that a slice of kernel types starts from.

use std::collections::BTreeSet;

use crate::lex::{Lexed, Token, TokenKind};

/// What occurs in a probe and in the templates that it includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Every identifier: typedefs and enumerators of these names are wanted.
    pub identifiers: BTreeSet<String>,
    /// Identifiers behind `struct`, `union` and `enum`: types of these names are wanted.
    pub tags: BTreeSet<String>,
    /// Identifiers behind `->` and `.`, and those that stand among the arguments of a macro: a pointer member of such a
    /// name is followed to what it points to.
    pub members: BTreeSet<String>,
    /// Tags that the text defines itself. The kernel's types of these names are left out.
    pub declared_tags: BTreeSet<String>,
    /// Typedefs, enumerators, functions and variables that the text declares itself. The kernel's typedefs and
    /// enumerators of these names are left out.
    pub declared: BTreeSet<String>,
}

impl Names {
    /// Adds what occurs in a text.
    pub fn add(&mut self, lexed: &Lexed<'_>) {
        let declared = lexed.declared();
        self.declared_tags.extend(declared.tags);
        self.declared.extend(declared.ordinary);
        let tokens: Vec<&Token> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
        let mut previous = Before::Nothing;
        // For each open parenthesis: whether a name stands before it, so that it may be the call of a macro.
        let mut calls: Vec<bool> = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            let next = tokens.get(index + 1).map(|next| next.kind);
            previous = match token.kind {
                TokenKind::Identifier => {
                    let name = lexed.spelling(token);
                    let alone = matches!(next, Some(TokenKind::Punctuation(b',' | b')' | b'.')));
                    if previous == Before::Tag {
                        self.tags.insert(name.to_string());
                    } else if previous == Before::Access || (alone && calls.last() == Some(&true)) {
                        self.members.insert(name.to_string());
                    }
                    let tag = matches!(&*name, "struct" | "union" | "enum");
                    if !tag {
                        self.identifiers.insert(name.into_owned());
                    }
                    if tag { Before::Tag } else { Before::Name }
                }
                TokenKind::Punctuation(b'(') => {
                    calls.push(previous == Before::Name);
                    Before::Nothing
                }
                TokenKind::Punctuation(b')') => {
                    calls.pop();
                    Before::Nothing
                }
                TokenKind::Punctuation(b'-') => Before::Minus,
                TokenKind::Punctuation(b'>') if previous == Before::Minus => Before::Access,
                TokenKind::Punctuation(b'.') => Before::Access,
                _ => Before::Nothing,
            };
        }
    }
}

/// What stands before a token, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Name,
    Tag,
    Minus,
    Access,
}
