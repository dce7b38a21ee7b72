//! Functions for lists: their names, and how often each was inlined.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::OnceLock;

use super::Found;
use super::build::{NamesAt, Positions, in_group_order, shown};
use super::name::{Search, candidates, role};
use crate::addr::VirtAddr;
use crate::answer::Role;
use crate::debug::DwarfFiles;
use crate::demangle::RawName;
use crate::dwarf::{Outlined, Outlines};
use crate::elf::Elf;
use crate::error::Error;
use crate::parallel::{Shares, THREADS, beside, together};
use crate::pattern::Pattern;
use crate::source::{Kind, SymbolTable, Table};

/// So many names one thread makes at a time.
const SHARE: usize = 256;
/// Fewer are not worth another thread.
const WORTH_A_THREAD: usize = 1024;

/// A function as a list has it; see [`Binary::list`](crate::Binary::list).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// As people read it.
    pub name: String,
    /// What else the functions at the address of its body are called, sorted.
    pub others: Vec<String>,
    /// It has an out-of-line body.
    pub has_body: bool,
    /// How many inlined copies of it there are.
    pub inlined: usize,
}

/// The functions that a pattern means, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// One for each body, and for each function that has none.
    pub functions: Vec<Listed>,
    /// What the list may lack, in words.
    pub notes: Vec<String>,
}

/// Lists what `pattern` means; its form is one of a function. `files` are those with debug information.
///
/// # Errors
///
/// When the file cannot be read, or its symbol tables are damaged.
pub(crate) fn list(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    pattern: &Pattern,
    files: Option<&DwarfFiles<'_>>,
) -> Result<List, Error> {
    let (names, outlines) = (OnceCell::new(), OnceLock::new());
    let in_symbols = || {
        let read = candidates(tables, pattern)?;
        Search::list(elf, names.get_or_init(|| read), pattern)
    };
    let in_dwarf = || match files {
        Some(files) => outlines.get_or_init(|| Outlines::open(files)).functions(files, pattern),
        None => Vec::new(),
    };
    let (matches, told) = beside(in_symbols, in_dwarf);
    let mut rows = Rows::of_symbols(&matches?);
    let bodies = told.iter().flat_map(|function| &function.bodies).map(|body| VirtAddr(body.addr));
    let mut addrs: Vec<VirtAddr> = rows.all.iter().filter_map(|row| row.addr).chain(bodies).collect();
    addrs.sort_unstable();
    addrs.dedup();
    let tables: Vec<&SymbolTable> = tables.iter().map(|(_, symbols)| symbols).collect();
    let mut positions = Positions::of(&tables, &addrs)?;
    // The only symbol at an address is the one that was found there.
    positions.retain(|addr| rows.of_body(addr).is_none());
    let texts = positions.texts(&tables)?;
    let at = positions.names(&texts);
    for function in told.chunk_by(|_, next| next.like_last) {
        rows.add(function, pattern, &at);
    }
    let notes = outlines.get().map_or(&[][..], Outlines::notes).to_vec();
    Ok(List { functions: sorted(&rows.all, &at), notes })
}

/// What a function is called in a list.
#[derive(Clone, Copy, Debug)]
enum Label<'a> {
    Symbol(RawName<'a>),
    InDwarf(&'a Outlined<&'a str>),
}

#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    /// Of its body.
    addr: Option<VirtAddr>,
    label: Label<'a>,
    inlined: usize,
}

#[derive(Debug)]
struct Rows<'a> {
    /// Those of symbols first, by address.
    all: Vec<Row<'a>>,
    of_symbols: usize,
    /// The rows of other bodies.
    others: HashMap<VirtAddr, usize>,
}

impl<'a> Rows<'a> {
    /// `matches` are in order of their addresses.
    fn of_symbols(matches: &[Found<'a>]) -> Self {
        let groups = matches.chunk_by(|one, other| one.addr == other.addr);
        let row = |group: &[Found<'a>]| {
            let best = group.iter().min_by_key(|found| in_group_order(found))?;
            Some(Row { addr: Some(best.addr), label: Label::Symbol(best.raw), inlined: 0 })
        };
        let all: Vec<Row<'a>> = groups.filter_map(row).collect();
        Self { of_symbols: all.len(), all, others: HashMap::new() }
    }

    /// Adds what the debug information has of one function of the source: its copies belong to the body in their unit, else to
    /// its first one.
    fn add(&mut self, group: &'a [Outlined<&'a str>], pattern: &Pattern, names: &NamesAt<'_>) {
        let (mut first, mut of_unit) = (None, HashMap::new());
        let mut bodies: Vec<_> = group.iter().flat_map(|of| of.bodies.iter().map(move |body| (body, of))).collect();
        bodies.sort_by_key(|(body, _)| body.addr);
        let several = bodies.len() > 1;
        for (body, function) in bodies {
            let addr = VirtAddr(body.addr);
            let row = match self.of_body(addr) {
                Some(row) => row,
                None => {
                    let roles = names.at(addr).map(|name| role(RawName::new(name), Kind::Function, false));
                    if roles.min() == Some(Role::Piece) && !pattern.names_pieces() {
                        continue;
                    }
                    let row = self.push(Some(addr), function);
                    self.others.insert(addr, row);
                    row
                }
            };
            first.get_or_insert(row);
            if several {
                of_unit.entry(body.unit).or_insert(row);
            }
        }
        for (copies, function) in group.iter().flat_map(|of| of.copies.iter().map(move |copies| (copies, of))) {
            let known = of_unit.get(&copies.unit).copied().or(first);
            let row = known.unwrap_or_else(|| self.push(None, function));
            first = Some(first.unwrap_or(row));
            if let Some(row) = self.all.get_mut(row) {
                row.inlined += usize::try_from(copies.count).unwrap_or(usize::MAX);
            }
        }
    }

    fn of_body(&self, addr: VirtAddr) -> Option<usize> {
        let of_symbols = self.all.get(..self.of_symbols).unwrap_or_default();
        let index = of_symbols.binary_search_by_key(&Some(addr), |row| row.addr).ok();
        index.or_else(|| self.others.get(&addr).copied())
    }

    fn push(&mut self, addr: Option<VirtAddr>, function: &'a Outlined<&'a str>) -> usize {
        self.all.push(Row { addr, label: Label::InDwarf(function), inlined: 0 });
        self.all.len() - 1
    }
}

impl Row<'_> {
    fn listed(&self, names: &NamesAt<'_>) -> Listed {
        let name = match self.label {
            Label::Symbol(raw) => shown(raw),
            Label::InDwarf(function) => function.shown.to_owned(),
        };
        let here = self.addr.into_iter().flat_map(|addr| names.at(addr));
        let is_other = |symbol: &&str| match self.label {
            Label::Symbol(raw) => symbol.strip_prefix(raw.base) != Some(raw.suffix),
            Label::InDwarf(function) => function.linkage != Some(*symbol),
        };
        let mut others: Vec<String> = here.filter(is_other).map(|symbol| shown(RawName::new(symbol))).collect();
        others.retain(|other| *other != name);
        others.sort_unstable();
        others.dedup();
        Listed { name, others, has_body: self.addr.is_some(), inlined: self.inlined }
    }
}

/// The rows as they are listed: most of the time goes into demangling.
fn sorted(rows: &[Row<'_>], names: &NamesAt<'_>) -> Vec<Listed> {
    let shares = Shares::new(rows.len(), SHARE);
    let threads = if rows.len() < WORTH_A_THREAD { 1 } else { THREADS };
    let parts = together(threads, || {
        let mut part: Vec<Listed> = Vec::new();
        while let Some(share) = shares.take() {
            part.extend(rows.get(share).unwrap_or_default().iter().map(|row| row.listed(names)));
        }
        part.sort_unstable();
        part
    });
    let mut all: Vec<Listed> = parts.into_iter().flatten().collect();
    // It finds the parts in order, and merges them.
    all.sort();
    all
}
