//! From a pattern to the functions that match, without demangling every name.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem::Finder;

use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Alias, Answer, ENTRY_BYTES, Function, Place, PlaceKind, Reason, Role, TableCount};
use crate::demangle::{RawName, display, unversioned};
use crate::elf::Elf;
use crate::error::Error;
use crate::name::Name;
use crate::near::{self, Near};
use crate::pattern::{Pattern, Prefilter};
use crate::source::{Kind, Symbol, SymbolTable, Table};

/// Names to demangle in one search, in bytes. MySQL 9.7 has 6 MB of names; who has fifty times that was made to keep
/// its reader busy.
const MAX_WORK: usize = 300 << 20;

/// A symbol with what the search found out about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) raw: RawName<'a>,
    pub(crate) addr: VirtAddr,
    pub(crate) size: ByteSpan,
    pub(crate) table: Table,
    pub(crate) role: Role,
    /// Components of its name: how deep it is nested.
    pub(crate) depth: usize,
}

/// Searches `tables` for `pattern`.
pub(crate) fn functions(elf: &Elf, tables: &[(Table, SymbolTable)], pattern: &Pattern) -> Result<Answer, Error> {
    let mut search = Search::new(elf, pattern);
    for (table, symbols) in tables {
        search.table(*table, symbols)?;
    }
    let mut near = search.near;
    if search.matches.is_empty() {
        if pattern.is_symbol() {
            near.merge(same_name_as_symbol(elf, tables, pattern)?);
        }
        // The first table is the most complete; the others repeat it.
        if let (Some(word), Some((table, symbols))) = (pattern.last_word(), tables.first()) {
            near.merge(near::misspelled(elf, *table, symbols, word));
            near.merge(near::sharing_words(elf, *table, symbols, word, pattern.is_nested()));
        }
    } else {
        // With a wildcard, and something found, the rest is simply not what was asked for.
        near.retain_for_success();
    }
    let reason = search.matches.is_empty().then(|| reason(elf, &search.counts, &search.seen, &near));
    let (near, more_near) =
        near.into_best(pattern.last_word().unwrap_or_default(), |at| search.matches.contains_key(&at));
    let mut others: BTreeMap<VirtAddr, BTreeSet<&str>> = BTreeMap::new();
    for found in &near {
        others.entry(found.addr).or_default();
    }
    for addr in search.matches.keys() {
        others.entry(*addr).or_default();
    }
    for symbol in tables.iter().flat_map(|(_, symbols)| symbols.iter()) {
        if symbol.kind.is_function()
            && let Some(names) = others.get_mut(&symbol.addr)
        {
            names.insert(unversioned(symbol.name));
        }
    }
    let mut matches = search.matches.into_values().collect::<Vec<_>>();
    let mut built: Vec<((usize, VirtAddr), Function)> = Vec::with_capacity(matches.len());
    for group in &mut matches {
        group.sort_by(|a, b| (a.role, a.raw.base.len(), a.raw).cmp(&(b.role, b.raw.base.len(), b.raw)));
        if let Some(first) = group.first().copied() {
            let in_tables = group.iter().filter(|f| f.raw == first.raw).map(|f| f.table).collect();
            built.push(((first.depth, first.addr), build(elf, first, in_tables, &others)?));
        }
    }
    built.sort_by(|((depth_a, addr_a), a), ((depth_b, addr_b), b)| {
        (depth_a, &a.name, addr_a).cmp(&(depth_b, &b.name, addr_b))
    });
    Ok(Answer {
        matches: built.into_iter().map(|(_, function)| function).collect(),
        near: near.into_iter().map(|found| build(elf, found, vec![found.table], &others)).collect::<Result<_, _>>()?,
        more_near,
        tables: search.counts,
        reason,
    })
}

/// What else of the asked name the tables hold.
#[derive(Debug, Default)]
struct Seen {
    imported: bool,
    data: bool,
}

struct Search<'a, 'p> {
    elf: &'p Elf,
    pattern: &'p Pattern,
    prefilter: Prefilter,
    matches: BTreeMap<VirtAddr, Vec<Found<'a>>>,
    near: Near<'a>,
    counts: Vec<TableCount>,
    seen: Seen,
    work: usize,
}

impl<'a, 'p> Search<'a, 'p> {
    fn new(elf: &'p Elf, pattern: &'p Pattern) -> Self {
        Self {
            elf,
            pattern,
            prefilter: pattern.prefilter(),
            matches: BTreeMap::new(),
            near: Near::default(),
            counts: Vec::new(),
            seen: Seen::default(),
            work: 0,
        }
    }

    fn table(&mut self, table: Table, symbols: &'a SymbolTable) -> Result<(), Error> {
        let needle = match &self.prefilter {
            Prefilter::All => String::new(),
            Prefilter::Contains(text) | Prefilter::Identifier(text) => text.clone(),
        };
        let finder = Finder::new(needle.as_bytes());
        let mut functions = 0;
        for symbol in symbols.iter() {
            let function = symbol.kind.is_function() && self.elf.code_offset(symbol.addr).is_some();
            functions += usize::from(function);
            if finder.find(symbol.name.as_bytes()).is_some() {
                self.consider(table, symbol, function, &needle)?;
            }
        }
        self.counts.push(TableCount { table, functions });
        Ok(())
    }

    fn consider(&mut self, table: Table, symbol: Symbol<'a>, function: bool, needle: &str) -> Result<(), Error> {
        let raw = RawName::new(symbol.name);
        let by_symbol = self.pattern.matches_symbol(symbol.name);
        let whole = match &self.prefilter {
            Prefilter::Identifier(word) => by_symbol || has_identifier(raw, word),
            _ => true,
        };
        let mut found = Found { raw, addr: symbol.addr, size: symbol.size, table, role: Role::Whole, depth: 1 };
        if !whole {
            if function {
                self.near.add_containing(found, needle);
            }
            return Ok(());
        }
        if (self.pattern.is_symbol() || self.pattern.is_regex()) && !by_symbol {
            return Ok(());
        }
        self.work = self.work.saturating_add(raw.base.len());
        if self.work > MAX_WORK {
            return Err(self.elf.contents.damaged("its symbols have more text than any program needs"));
        }
        let name = Name::of(raw);
        let by_name = name.as_ref().is_some_and(|name| self.pattern.matches_name(name, raw));
        if !by_symbol && !by_name {
            let same = name.as_ref().and_then(|n| n.components.last()).is_some_and(|c| c.name == needle);
            if function && same {
                self.near.add_other_signature(found);
            }
            return Ok(());
        }
        if !function {
            self.seen.imported |= symbol.kind == Kind::Imported;
            self.seen.data |= symbol.kind == Kind::Data;
            return Ok(());
        }
        let prefixed = name.as_ref().is_some_and(|name| name.prefix.is_some());
        found.depth = name.as_ref().map_or(1, |name| name.components.len());
        found.role = role(raw, symbol.kind, prefixed);
        let meant = (by_symbol && !self.pattern.is_regex()) || self.pattern.names_pieces();
        if matches!(found.role, Role::Piece | Role::Thunk) && !meant {
            self.near.add_piece(found);
        } else {
            self.matches.entry(symbol.addr).or_default().push(found);
        }
        Ok(())
    }
}

/// What a symbol of this name and kind is.
pub(crate) fn role(raw: RawName<'_>, kind: Kind, prefixed: bool) -> Role {
    if kind == Kind::Ifunc {
        Role::Resolver
    } else if prefixed {
        Role::Thunk
    } else if raw.is_piece() {
        Role::Piece
    } else if raw.suffix.is_empty() || raw.suffix.starts_with(".localalias") || raw.suffix.starts_with(".lto_priv") {
        Role::Whole
    } else {
        Role::Copy
    }
}

/// In a mangled name identifiers stand behind their length (`16check_connection`); elsewhere the name is the identifier.
fn has_identifier(raw: RawName<'_>, word: &str) -> bool {
    if !raw.is_mangled() {
        return raw.base == word;
    }
    // Rust's legacy mangling counts generic arguments with the name (`$LT$u8$GT$`), and v0 writes `_` in front of one that
    // begins with `_` or a digit.
    let len = word.len();
    raw.base.contains('$') || raw.base.contains(&format!("{len}{word}")) || raw.base.contains(&format!("{len}_{word}"))
}

/// A mangled name that is not there: functions with the same qualified name, which differ in parameters or suffix.
fn same_name_as_symbol<'a>(
    elf: &Elf,
    tables: &'a [(Table, SymbolTable)],
    pattern: &Pattern,
) -> Result<Near<'a>, Error> {
    let mut near = Near::default();
    let Some(parsed) = Name::of(RawName::new(pattern.as_str())) else { return Ok(near) };
    let path: Vec<&str> = parsed.components.iter().map(|c| c.name.as_str()).collect();
    let Ok(by_name) = path.join("::").parse::<Pattern>() else { return Ok(near) };
    let mut search = Search::new(elf, &by_name);
    for (table, symbols) in tables {
        search.table(*table, symbols)?;
    }
    for found in search.matches.into_values().flatten() {
        near.add_other_signature(found);
    }
    Ok(near)
}

fn reason(elf: &Elf, counts: &[TableCount], seen: &Seen, near: &Near<'_>) -> Reason {
    let of = |table| counts.iter().find(|c| c.table == table).map(|c| c.functions);
    if near.has_pieces() {
        Reason::OnlyPieces
    } else if seen.imported {
        Reason::Imported
    } else if seen.data {
        Reason::NotAFunction
    } else if of(Table::Symtab).is_some() {
        // In a stripped binary others of that name say nothing: the one that was meant may have lost its name.
        if near.has_other_signatures() {
            return Reason::OtherSignature;
        }
        Reason::NotThere { debug_info: elf.section(".debug_info").or(elf.section(".zdebug_info")).is_some() }
    } else {
        match of(Table::Dynsym) {
            Some(exported) => Reason::Stripped { exported, debug_link: elf.debug_link() },
            None => Reason::NoSymbols,
        }
    }
}

fn build(
    elf: &Elf,
    found: Found<'_>,
    mut tables: Vec<Table>,
    others: &BTreeMap<VirtAddr, BTreeSet<&str>>,
) -> Result<Function, Error> {
    tables.sort_unstable();
    tables.dedup();
    let offset =
        elf.code_offset(found.addr).ok_or_else(|| elf.contents.damaged(format!("no code at {}", found.addr)))?;
    let symbol = symbol_text(found.raw);
    let aliases = others
        .get(&found.addr)
        .into_iter()
        .flatten()
        .filter(|name| **name != symbol)
        .map(|name| Alias { name: shown(RawName::new(name)), mangled: (*name).to_owned() })
        .collect();
    let entry = elf.contents.read_up_to(offset.0, ENTRY_BYTES as u64, "code")?;
    let place =
        Place { addr: found.addr, offset, size: found.size, kind: PlaceKind::Body, entry, arguments: Vec::new() };
    Ok(Function {
        name: shown(found.raw),
        mangled: symbol,
        tables,
        role: found.role,
        aliases,
        signature: None,
        declared: None,
        places: vec![place],
    })
}

fn symbol_text(raw: RawName<'_>) -> String {
    format!("{}{}", raw.base, raw.suffix)
}

fn shown(raw: RawName<'_>) -> String {
    display(raw).unwrap_or_else(|| symbol_text(raw))
}
