//! Functions by name, symbol or regular expression, without demangling every name.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::build::{Code, aliases, build, build_group};
use super::plt;
use super::{Found, MAX_WORK};
use crate::answer::{Answer, Function, NEAR_LIMIT, Reason, Role, TableCount};
use crate::demangle::RawName;
use crate::elf::Elf;
use crate::error::Error;
use crate::name::Name;
use crate::near::{self, All, Near};
use crate::parallel::{Shares, THREADS, together};
use crate::pattern::{Pattern, Prefilter};
use crate::source::{Entry, Kind, Names, Symbol, SymbolTable, Table};

/// So many symbols are considered together.
const BATCH: usize = 32 << 10;
/// Fewer than this are not worth another thread, which takes some 50 µs to start.
const WORTH_A_THREAD: usize = 512;
/// So many of them one thread takes at a time.
const SHARE: usize = 128;

/// A symbol table with those of its names that can match.
#[derive(Debug)]
pub(crate) struct Candidates<'t> {
    table: Table,
    symbols: &'t SymbolTable,
    names: Names,
}

/// Reads the names that can match `pattern`.
pub(crate) fn candidates<'t>(
    tables: &'t [(Table, SymbolTable)],
    pattern: &Pattern,
) -> Result<Vec<Candidates<'t>>, Error> {
    let prefilter = pattern.prefilter();
    let needle = needle(&prefilter);
    tables
        .iter()
        .map(|(table, symbols)| Ok(Candidates { table: *table, symbols, names: symbols.names(needle)? }))
        .collect()
}

fn needle(prefilter: &Prefilter) -> &str {
    match prefilter {
        Prefilter::All => "",
        Prefilter::Contains(text) | Prefilter::Identifier(text) => text,
    }
}

/// What the symbols tell.
#[derive(Debug)]
pub(crate) struct Matched<'a> {
    /// The functions that match, in no order. Others that know of more may add them.
    pub(crate) functions: Vec<Function>,
    /// By symbol: components of the name. The fewer, the more likely it is what was meant.
    depths: HashMap<String, usize>,
    tables: Vec<(Table, &'a SymbolTable)>,
    near: Near<'a>,
    counts: Vec<TableCount>,
    seen: Seen,
}

/// Searches the symbols for what `pattern` names; its form is one of a function.
pub(crate) fn find<'a>(elf: &Elf, candidates: &'a [Candidates<'_>], pattern: &Pattern) -> Result<Matched<'a>, Error> {
    let search = Search::run(elf, candidates, pattern)?;
    let tables: Vec<_> = candidates.iter().map(|c| (c.table, c.symbols)).collect();
    let aliases = aliases(elf, &tables, search.matches.iter().map(|found| found.addr))?;
    let mut code = Code::new(elf);
    let mut functions = Vec::new();
    let mut depths = HashMap::new();
    for group in search.matches.chunk_by(|one, other| one.addr == other.addr) {
        let depth = group.iter().map(|found| found.depth).min();
        if let Some(function) = build_group(&mut code, group.to_vec(), &aliases)? {
            depths.insert(function.mangled.clone(), depth.unwrap_or(1));
            functions.push(function);
        }
    }
    Ok(Matched { functions, depths, tables, near: search.near, counts: search.counts, seen: search.seen })
}

impl Matched<'_> {
    /// The whole answer: the functions in order, and when there is none, why and what was perhaps meant.
    pub(crate) fn answer(
        self,
        elf: &Elf,
        all_tables: &[(Table, SymbolTable)],
        pattern: &Pattern,
    ) -> Result<Answer, Error> {
        let Self { functions: matches, depths, tables, near: found_near, counts, seen } = self;
        let word = pattern.last_word();
        // The first table is the most complete; the others repeat it.
        let first = tables.first().filter(|_| matches.is_empty() && word.is_some());
        let names = first.map(|(_, symbols)| symbols.names("")).transpose()?;
        let candidates =
            if matches.is_empty() && pattern.is_symbol() { Some(same_name(&tables, pattern)?) } else { None };
        let mut near: Near<'_> = found_near;
        if matches.is_empty() {
            if let Some(Some((by_name, candidates))) = &candidates {
                near.merge(other_signatures(elf, candidates, by_name)?);
            }
            if let (Some((table, symbols)), Some(names), Some(word)) = (first, &names, word) {
                let all = All { table: *table, symbols, names };
                near.merge(near::misspelled(elf, all, word)?);
                near.merge(near::sharing_words(elf, all, word, pattern.is_nested())?);
            }
        } else {
            // With a wildcard, and something found, the rest is simply not what was asked for.
            near.retain_for_success();
        }
        let reason = matches.is_empty().then(|| reason(elf, &counts, &seen, &near));
        let found = |addr| matches.iter().any(|f| f.body().is_some_and(|place| place.addr == addr));
        let (best, more_near) = near.into_best(word.unwrap_or_default(), found);
        let aliases = aliases(elf, &tables, best.iter().map(|found| found.addr))?;
        let mut code = Code::new(elf);
        let mut near =
            best.into_iter().map(|f| build(&mut code, f, vec![f.table], &aliases)).collect::<Result<Vec<_>, _>>()?;
        let mut more_near = more_near;
        if reason == Some(Reason::Imported) {
            near.splice(0..0, plt::find(elf, all_tables, |symbol| pattern.matches_linkage_name(symbol))?);
            more_near |= near.len() > NEAR_LIMIT;
            near.truncate(NEAR_LIMIT);
        }
        let matches = in_order(matches, &depths);
        Ok(Answer { matches, near, more_near, tables: counts, reason, instead: Vec::new(), notes: Vec::new() })
    }
}

/// The shortest qualified names first.
fn in_order(mut functions: Vec<Function>, depths: &HashMap<String, usize>) -> Vec<Function> {
    functions.sort_by_cached_key(|function| {
        let depth = depths.get(&function.mangled).copied();
        let depth = depth.or_else(|| Some(Name::of(RawName::new(&function.mangled))?.components.len()));
        (depth.unwrap_or(1), function.name.clone(), function.places.first().map(|place| place.addr))
    });
    functions
}

/// Whether a symbol is one of those that [`TableCount`] counts.
pub(super) fn count_functions(elf: &Elf, entry: &Entry) -> bool {
    let counts = matches!(entry.kind, Kind::Function | Kind::Ifunc) && entry.name_at != 0;
    counts && elf.code_offset(entry.addr).is_some()
}

/// What else of the asked name the tables hold.
#[derive(Debug, Default)]
struct Seen {
    imported: bool,
    data: bool,
}

pub(super) struct Search<'a, 'p> {
    elf: &'p Elf,
    pattern: &'p Pattern,
    /// [`Found::depth`] is wanted.
    depths: bool,
    prefilter: Prefilter,
    /// What a symbol must hold too, for the first look at it.
    scopes: Vec<&'p str>,
    /// Something was left out since it does not hold that.
    elsewhere: bool,
    /// In order of their addresses, once it is done.
    matches: Vec<Found<'a>>,
    near: Near<'a>,
    counts: Vec<TableCount>,
    seen: Seen,
    work: usize,
}

impl<'a, 'p> Search<'a, 'p> {
    /// The symbols that match, in order of their addresses. How deep their names are nested is not told, for which each had to be demangled.
    pub(super) fn list(
        elf: &'p Elf,
        candidates: &'a [Candidates<'_>],
        pattern: &'p Pattern,
    ) -> Result<Vec<Found<'a>>, Error> {
        let mut search = Self { depths: false, ..Self::new(elf, pattern, pattern.scopes()) };
        candidates.iter().try_for_each(|candidates| search.table(candidates))?;
        search.matches.sort_by_key(|found| found.addr);
        Ok(search.matches)
    }

    fn run(elf: &'p Elf, candidates: &'a [Candidates<'_>], pattern: &'p Pattern) -> Result<Self, Error> {
        let search = Self::run_in(elf, candidates, pattern, pattern.scopes())?;
        // Functions of that name in other classes matter where there is none in the right one.
        if search.matches.is_empty() && search.elsewhere {
            return Self::run_in(elf, candidates, pattern, Vec::new());
        }
        Ok(search)
    }

    fn run_in(
        elf: &'p Elf,
        candidates: &'a [Candidates<'_>],
        pattern: &'p Pattern,
        scopes: Vec<&'p str>,
    ) -> Result<Self, Error> {
        let mut search = Self::new(elf, pattern, scopes);
        for candidates in candidates {
            search.table(candidates)?;
        }
        search.matches.sort_by_key(|found| found.addr);
        Ok(search)
    }

    fn table(&mut self, candidates: &'a Candidates<'_>) -> Result<(), Error> {
        let Candidates { table, symbols, names } = candidates;
        let elf = self.elf;
        let mut functions = 0;
        let mut batch = Vec::new();
        let count = |entry: &Entry| functions += usize::from(count_functions(elf, entry));
        let stopped = symbols.each(names, count, |symbol| {
            batch.push(symbol);
            if batch.len() < BATCH {
                return ControlFlow::Continue(());
            }
            let considered = self.consider_all(*table, &batch);
            batch.clear();
            considered.map_or_else(ControlFlow::Break, ControlFlow::Continue)
        })?;
        self.counts.push(TableCount { table: *table, functions });
        match stopped {
            Some(error) => Err(error),
            None => self.consider_all(*table, &batch),
        }
    }

    /// Considers symbols, in several threads where they are many: what takes time is to demangle them.
    fn consider_all(&mut self, table: Table, symbols: &[Symbol<'a>]) -> Result<(), Error> {
        if symbols.len() < WORTH_A_THREAD {
            return symbols.iter().try_for_each(|symbol| self.consider(table, *symbol));
        }
        let shares = Shares::new(symbols.len(), SHARE);
        let this = &*self;
        let parts = together(THREADS, || {
            let mut part = Self { depths: this.depths, ..Self::new(this.elf, this.pattern, this.scopes.clone()) };
            while let Some(share) = shares.take() {
                for symbol in symbols.get(share).unwrap_or_default() {
                    part.consider(table, *symbol)?;
                }
            }
            Ok(part)
        });
        parts.into_iter().try_for_each(|part| self.add(part?))
    }

    /// A search that has found nothing yet.
    fn new(elf: &'p Elf, pattern: &'p Pattern, scopes: Vec<&'p str>) -> Self {
        Self {
            elf,
            pattern,
            depths: true,
            prefilter: pattern.prefilter(),
            scopes,
            elsewhere: false,
            matches: Vec::new(),
            near: Near::default(),
            counts: Vec::new(),
            seen: Seen::default(),
            work: 0,
        }
    }

    /// Adds what a part of the search found.
    fn add(&mut self, part: Self) -> Result<(), Error> {
        self.elsewhere |= part.elsewhere;
        self.matches.extend(part.matches);
        self.near.merge(part.near);
        self.seen.imported |= part.seen.imported;
        self.seen.data |= part.seen.data;
        self.spend(part.work)
    }

    /// Counts the bytes of names that are demangled.
    fn spend(&mut self, work: usize) -> Result<(), Error> {
        self.work = self.work.saturating_add(work);
        if self.work > MAX_WORK {
            return Err(self.elf.contents.damaged("its symbols have more text than any program needs"));
        }
        Ok(())
    }

    fn consider(&mut self, table: Table, symbol: Symbol<'a>) -> Result<(), Error> {
        let raw = RawName::new(symbol.name);
        // In assembler, such labels are inside of functions (`$x` marks code on ARM).
        if symbol.kind == Kind::Label && symbol.name.starts_with(['.', '$']) {
            return Ok(());
        }
        let function = symbol.kind.is_function() && self.elf.code_offset(symbol.addr).is_some();
        self.spend(raw.base.len())?;
        let by_symbol = self.pattern.matches_symbol(symbol.name);
        if !by_symbol && !self.scopes.iter().all(|scope| raw.base.contains(scope)) {
            self.elsewhere = true;
            return Ok(());
        }
        let whole = match &self.prefilter {
            Prefilter::Identifier(word) => by_symbol || has_identifier(raw, word),
            _ => true,
        };
        let mut found = Found { raw, addr: symbol.addr, size: symbol.size, table, role: Role::Whole, depth: 1 };
        if !whole {
            if function {
                self.near.add_containing(found, needle(&self.prefilter));
            }
            return Ok(());
        }
        if (self.pattern.is_symbol() || self.pattern.is_regex()) && !by_symbol {
            return Ok(());
        }
        let name = match by_symbol {
            true if self.depths || raw.may_have_prefix() => Name::outline(raw),
            true => None,
            false => Name::of(raw),
        };
        let by_name = name.as_ref().is_some_and(|name| self.pattern.matches_name(name, raw));
        if !by_symbol && !by_name {
            let same =
                name.as_ref().and_then(|n| n.components.last()).is_some_and(|c| c.name == needle(&self.prefilter));
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
            self.matches.push(found);
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

/// A mangled name that is not there: the pattern of its qualified name, and the names that can match that.
#[allow(clippy::type_complexity, reason = "it is taken apart at once")]
fn same_name<'t>(
    tables: &[(Table, &'t SymbolTable)],
    pattern: &Pattern,
) -> Result<Option<(Pattern, Vec<Candidates<'t>>)>, Error> {
    let Some(parsed) = Name::of(RawName::new(pattern.as_str())) else { return Ok(None) };
    let path: Vec<&str> = parsed.components.iter().map(|c| c.name.as_str()).collect();
    let Ok(by_name) = path.join("::").parse::<Pattern>() else { return Ok(None) };
    let prefilter = by_name.prefilter();
    let candidates = tables
        .iter()
        .map(|(table, symbols)| Ok(Candidates { table: *table, symbols, names: symbols.names(needle(&prefilter))? }))
        .collect::<Result<_, Error>>()?;
    Ok(Some((by_name, candidates)))
}

/// Functions with the same qualified name, which differ in parameters or suffix.
fn other_signatures<'a>(elf: &Elf, candidates: &'a [Candidates<'_>], by_name: &Pattern) -> Result<Near<'a>, Error> {
    let mut near = Near::default();
    for found in Search::run(elf, candidates, by_name)?.matches {
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
        Reason::NotThere { debug_info: false }
    } else {
        match of(Table::Dynsym) {
            Some(exported) => Reason::Stripped { exported, debug_link: elf.debug_link() },
            None => Reason::NoSymbols,
        }
    }
}
