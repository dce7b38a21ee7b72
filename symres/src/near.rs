//! What was perhaps meant.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use memchr::memmem::Finder;

use crate::addr::VirtAddr;
use crate::answer::{NEAR_LIMIT, Role};
use crate::demangle::RawName;
use crate::elf::Elf;
use crate::error::Error;
use crate::name::Name;
use crate::search::{Found, role};
use crate::source::{Names, SymbolTable, Table};

/// Candidates that are demangled to be looked at closely.
const MAX_LOOKED_AT: usize = 200;
/// Shorter words are near to too many others.
const MIN_WORD: usize = 4;

/// How near, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A piece or thunk of what was meant.
    Piece,
    /// The same last component, other classes or parameters.
    OtherSignature,
    /// The word is a part of the name, between underscores.
    Word,
    /// A few letters differ.
    Misspelled,
    /// The word is somewhere in the name.
    Substring,
    /// One of the words between its underscores is one of those in the name: `login_connection` for `check_connection`.
    SharedWord,
}

/// A symbol table with all of its names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct All<'a> {
    pub(crate) table: Table,
    pub(crate) symbols: &'a SymbolTable,
    pub(crate) names: &'a Names,
}

/// Near misses on their way to the best ten.
#[derive(Debug, Default)]
pub(crate) struct Near<'a> {
    found: Vec<(Rank, usize, Found<'a>)>,
}

impl<'a> Near<'a> {
    pub(crate) fn add_piece(&mut self, found: Found<'a>) {
        self.found.push((Rank::Piece, found.raw.suffix.len(), found));
    }

    /// Its last component is the word that was asked for.
    pub(crate) fn add_other_signature(&mut self, found: Found<'a>) {
        self.found.push((Rank::OtherSignature, found.raw.base.len(), found));
    }

    /// The symbol's text contains `word`.
    pub(crate) fn add_containing(&mut self, found: Found<'a>, word: &str) {
        let base = found.raw.base;
        let whole_words = base.match_indices(word).any(|(at, _)| {
            let before = base.get(..at).and_then(|t| t.chars().next_back());
            let behind = base.get(at + word.len()..).and_then(|t| t.chars().next());
            !before.is_some_and(|c| c.is_ascii_alphabetic()) && !behind.is_some_and(|c| c.is_ascii_lowercase())
        });
        let rank = if whole_words { Rank::Word } else { Rank::Substring };
        self.found.push((rank, base.len(), found));
    }

    pub(crate) fn merge(&mut self, other: Near<'a>) {
        self.found.extend(other.found);
    }

    /// Something matched: only pieces of it and whole words are still worth telling.
    pub(crate) fn retain_for_success(&mut self) {
        self.found.retain(|(rank, ..)| matches!(rank, Rank::Piece | Rank::Word));
    }

    pub(crate) fn has_pieces(&self) -> bool {
        self.found.iter().any(|(rank, ..)| *rank == Rank::Piece)
    }

    pub(crate) fn has_other_signatures(&self) -> bool {
        self.found.iter().any(|(rank, ..)| *rank == Rank::OtherSignature)
    }

    /// The best, each address once, and whether there are more. `word` is what was asked for.
    pub(crate) fn into_best(mut self, word: &str, matched: impl Fn(VirtAddr) -> bool) -> (Vec<Found<'a>>, bool) {
        self.found.sort_by_key(|(rank, distance, found)| (*rank, *distance, found.raw, found.addr, found.table));
        let mut seen = BTreeSet::new();
        let mut best = Vec::new();
        let mut looked_at = 0;
        for (rank, _, found) in self.found {
            if matched(found.addr) || found.raw.base.starts_with("_GLOBAL__") || !seen.insert(found.addr) {
                continue;
            }
            // The word may be the name of a class or the type of a parameter, which is nothing that people look for.
            if matches!(rank, Rank::Word | Rank::Substring) && found.raw.is_mangled() {
                looked_at += 1;
                if !last_component(found.raw).is_some_and(|last| last.contains(word)) {
                    continue;
                }
            }
            if best.len() == NEAR_LIMIT || looked_at > MAX_LOOKED_AT {
                return (best, true);
            }
            best.push(found);
        }
        (best, false)
    }
}

/// Functions whose last component differs from `word` by a few letters or in case.
pub(crate) fn misspelled<'a>(elf: &Elf, all: All<'a>, word: &str) -> Result<Near<'a>, Error> {
    let mut near = Near::default();
    let word = word.to_ascii_lowercase();
    if word.len() < MIN_WORD {
        return Ok(near);
    }
    let limit = (word.len() / 5).clamp(1, 3);
    let mut row = Vec::new();
    let mut looked_at = 0;
    all.symbols.each_named(all.names, |symbol| {
        if looked_at >= MAX_LOOKED_AT {
            return ControlFlow::Break(());
        }
        if !symbol.kind.is_function() || elf.code_offset(symbol.addr).is_none() {
            return ControlFlow::Continue(());
        }
        let raw = RawName::new(symbol.name);
        if !identifiers(raw).any(|i| letters_to_change(&word, i, limit, &mut row).is_some()) {
            return ControlFlow::Continue(());
        }
        looked_at += 1;
        let name = if raw.is_mangled() { last_component(raw) } else { Some(raw.base.to_owned()) };
        if let Some(distance) = name.and_then(|name| letters_to_change(&word, &name, limit, &mut row)) {
            let role = role(raw, symbol.kind, false);
            let found = Found { raw, addr: symbol.addr, size: symbol.size, table: all.table, role, depth: 1 };
            if role != Role::Piece {
                near.found.push((Rank::Misspelled, distance, found));
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(near)
}

/// Functions whose last component has one of the longer words of `word` (`connection`) between its underscores: first
/// those that share the rarest, and free functions before methods if that is what was asked for.
pub(crate) fn sharing_words<'a>(
    elf: &Elf,
    all: All<'a>,
    word: &str,
    asked_for_method: bool,
) -> Result<Near<'a>, Error> {
    let parts: Vec<&str> = word.split('_').filter(|part| part.len() > MIN_WORD).collect();
    let finders: Vec<Finder> = parts.iter().map(|part| Finder::new(part.as_bytes())).collect();
    let mut users = vec![0_usize; parts.len()];
    let mut close: Vec<(Vec<usize>, &str, Found<'a>)> = Vec::new();
    all.symbols.each_named::<()>(all.names, |symbol| {
        let has_part = || finders.iter().any(|finder| finder.find(symbol.name.as_bytes()).is_some());
        if !symbol.kind.is_function() || !has_part() {
            return ControlFlow::Continue(());
        }
        let raw = RawName::new(symbol.name);
        let role = role(raw, symbol.kind, raw.base.starts_with("_ZT"));
        if !matches!(role, Role::Whole | Role::Copy) || elf.code_offset(symbol.addr).is_none() {
            return ControlFlow::Continue(());
        }
        let shared = |identifier: &str| -> Vec<usize> {
            let words: Vec<&str> = identifier.split('_').collect();
            (0..parts.len()).filter(|at| parts.get(*at).is_some_and(|part| words.contains(part))).collect()
        };
        let best = identifiers(raw)
            .map(|identifier| (shared(identifier), identifier))
            .max_by_key(|(shared, identifier)| (shared.len(), usize::MAX - identifier.len()));
        if let Some((shared, identifier)) = best.filter(|(shared, _)| !shared.is_empty()) {
            for at in &shared {
                if let Some(count) = users.get_mut(*at) {
                    *count += 1;
                }
            }
            let found = Found { raw, addr: symbol.addr, size: symbol.size, table: all.table, role, depth: 1 };
            close.push((shared, identifier, found));
        }
        ControlFlow::Continue(())
    })?;
    let rarest = |shared: &[usize]| shared.iter().filter_map(|at| users.get(*at)).min().copied();
    close.sort_by_cached_key(|(shared, identifier, found)| {
        let method = found.raw.base.starts_with("_ZN");
        let other = usize::MAX - shared.len();
        (rarest(shared), other, method != asked_for_method, identifier.len(), found.raw, found.table)
    });
    let mut near = Near::default();
    // The word may be the name of a class or the type of a parameter.
    for (order, (_, identifier, found)) in close.into_iter().take(MAX_LOOKED_AT).enumerate() {
        let raw = found.raw;
        if !raw.is_mangled() || last_component(raw).is_some_and(|last| last == identifier) {
            near.found.push((Rank::SharedWord, order, found));
        }
    }
    Ok(near)
}

fn last_component(raw: RawName<'_>) -> Option<String> {
    Name::of(raw)?.components.pop().map(|c| c.name)
}

/// The identifiers in a symbol: those behind their length in a mangled name, the whole of any other.
fn identifiers<'a>(raw: RawName<'a>) -> impl Iterator<Item = &'a str> {
    let mut rest = raw.base;
    let mangled = raw.is_mangled();
    std::iter::from_fn(move || {
        if !mangled {
            return Some(std::mem::take(&mut rest)).filter(|name| !name.is_empty());
        }
        loop {
            let at = rest.bytes().position(|b| b.is_ascii_digit())?;
            let digits = rest.get(at..)?;
            let end = digits.bytes().position(|b| !b.is_ascii_digit())?;
            let (len, tail) = digits.split_at(end);
            let identifier = len.parse::<usize>().ok().and_then(|len| tail.get(..len));
            rest = match identifier {
                Some(identifier) => tail.get(identifier.len()..).unwrap_or_default(),
                None => tail,
            };
            if let Some(identifier) = identifier.filter(|i| !i.is_empty()) {
                return Some(identifier);
            }
        }
    })
}

/// The number of letters to change, add or leave out (Levenshtein), case apart, if at most `limit`.
pub(crate) fn letters_to_change(word: &str, name: &str, limit: usize, row: &mut Vec<usize>) -> Option<usize> {
    if word.len().abs_diff(name.len()) > limit {
        return None;
    }
    row.clear();
    row.extend(0..=name.len());
    for (i, w) in word.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut best = left;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, n) in row.iter_mut().skip(1).zip(name.bytes()) {
            let change = diagonal + usize::from(w != n.to_ascii_lowercase());
            diagonal = *cell;
            *cell = change.min(left + 1).min(diagonal + 1);
            left = *cell;
            best = best.min(left);
        }
        if best > limit {
            return None;
        }
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_differ() {
        let check = |a: &str, b: &str, limit, expect| {
            assert_eq!(letters_to_change(a, b, limit, &mut Vec::new()), expect, "{a} {b}");
        };
        check("check_connection", "chek_connection", 3, Some(1));
        check("dispatch_command", "Dispatch_Command", 3, Some(0));
        check("malloc", "calloc", 1, Some(1));
        check("malloc", "realloc", 1, None);
        check("kitten", "sitting", 3, Some(3));
    }

    #[test]
    fn identifiers_of_a_symbol() {
        let list = |s: &'static str| identifiers(RawName::new(s)).collect::<Vec<_>>();
        assert_eq!(list("_ZN3THD4sendEPKc19enum_server_command"), ["THD", "send", "enum_server_command"]);
        assert_eq!(list("malloc"), ["malloc"]);
        assert_eq!(list("_Z99999999999999999999x"), [""; 0]);
    }
}
