//! What symbols and debug information say of the same functions, as one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use gimli::SectionId;

use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Alias, Function, Inlined, Place, PlaceKind, Reason, Role, SourceLine};
use crate::debug::DwarfFiles;
use crate::demangle::RawName;
use crate::dwarf::signature::SiteKind;
use crate::dwarf::{Described, Found, Information, Occurrence, Wanted, WantedCode};
use crate::elf::Elf;
use crate::error::Error;
use crate::pattern::{Pattern, PatternForm};
use crate::search::{Added, Aliases, Code, More, aliases, left_out, role};
use crate::signature::Origin;
use crate::source::{Kind, SymbolTable, Table};

/// The details of so many places are told. All of mysqld 5.6 are 124,000, and take two seconds.
const MAX_DETAILED: usize = 1 << 20;

/// Searching less of `.debug_info` than this takes no longer than starting a thread.
const WORTH_A_THREAD: u64 = 4 << 20;

/// A place that the debug information knows.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Index of its function.
    row: usize,
    inlined: bool,
    addr: u64,
    wanted: Wanted,
}

/// What [`merge`] tells.
#[derive(Debug)]
struct Merged {
    places: Vec<Known>,
    /// Copies that the linker left out of the file, though they are still described.
    discarded: usize,
}

/// What makes two functions of the debug information the same one: it is described in every unit that includes its header.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    qualified: String,
    declared: Option<SourceLine>,
}

/// All that is known of one function of the source, by addresses. The same code may be described in several units.
#[derive(Debug, Default)]
struct Source {
    bodies: BTreeMap<u64, Occurrence>,
    inlined: BTreeMap<u64, Occurrence>,
}

/// The debug information of a search: what it adds to what the symbols tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DebugInformation<'a> {
    pub(crate) elf: &'a Elf,
    pub(crate) tables: &'a [(Table, SymbolTable)],
    /// None where there is none.
    pub(crate) files: Option<DwarfFiles<'a>>,
    /// Parameters, and where arguments are, are told too.
    pub(crate) detailed: bool,
}

/// What it has of the functions that a pattern means, or why it is left out.
type Looked<'a> = Option<Result<(Information<'a>, Found), String>>;

impl<'a> More for DebugInformation<'a> {
    type Found = Looked<'a>;

    fn is_long(&self) -> bool {
        let info = |files: &DwarfFiles<'_>| files.main().section_or_older(SectionId::DebugInfo.name()).map(|s| s.size);
        self.files.as_ref().and_then(info).is_some_and(|size| size >= WORTH_A_THREAD)
    }

    fn look(&self, pattern: &Pattern) -> Looked<'a> {
        let by_name = matches!(pattern.form(), PatternForm::Name | PatternForm::Symbol | PatternForm::Regex);
        let files = self.files.as_ref().filter(|_| by_name)?;
        let look = || {
            let information = Information::open(files).map_err(|error| left_out(&error))?;
            let found = information.search(pattern).map_err(|error| left_out(&error))?;
            Ok((information, found))
        };
        Some(look())
    }

    fn add(&self, pattern: &Pattern, found: Looked<'a>, functions: &mut Vec<Function>) -> Result<Added, Error> {
        match found {
            None => Ok(Added::default()),
            Some(Err(note)) => Ok(Added { notes: vec![note], reason: None }),
            Some(Ok((information, found))) => add(self, pattern, &information, found, functions),
        }
    }
}

/// Adds what the debug information knows to what the symbols told.
///
/// # Errors
///
/// When the code cannot be read.
fn add(
    of: &DebugInformation<'_>,
    pattern: &Pattern,
    information: &Information<'_>,
    found: Found,
    functions: &mut Vec<Function>,
) -> Result<Added, Error> {
    let DebugInformation { elf, tables, .. } = of;
    let mut notes = found.gaps.notes();
    let tables: Vec<(Table, &SymbolTable)> = tables.iter().map(|(table, symbols)| (*table, symbols)).collect();
    let merged = merge(elf, pattern, functions, found.occurrences, |addrs| aliases(elf, &tables, addrs.into_iter()))?;
    if merged.discarded > 0 {
        let copies = if merged.discarded == 1 { "copy is described and was" } else { "copies are described and were" };
        notes.push(format!("{} {copies} left out of the file by the linker", merged.discarded));
    }
    let reason = if functions.is_empty() { without_code(&found.without_code, merged.discarded) } else { None };
    let places = if of.detailed { merged.places } else { in_brief(merged.places, functions) };
    let first = places.get(..MAX_DETAILED).unwrap_or(&places);
    let more = places.len() - first.len();
    if more > 0 {
        notes.push(format!("of {more} places the parameters are left out: there are too many"));
    }
    add_details(elf, information, first, functions)?;
    Ok(Added { notes, reason })
}

/// Why a function has no row, as the debug information has it: it knows inlined functions too.
fn without_code(functions: &[Arc<Described>], discarded: usize) -> Option<Reason> {
    // What is defined tells more than what is declared.
    let defined = functions.iter().find(|function| !function.only_declared);
    match (defined, functions.first()) {
        (Some(function), _) => Some(Reason::OptimizedAway { declared: function.declared.clone() }),
        (None, _) if discarded > 0 => Some(Reason::OptimizedAway { declared: None }),
        (None, Some(function)) => Some(Reason::OnlyDeclared { declared: function.declared.clone() }),
        (None, None) => Some(Reason::NotThere { debug_info: true }),
    }
}

/// The places of which no more is wanted than what belongs to the name of their function: one of each whose name has no
/// parameters yet.
fn in_brief(mut places: Vec<Known>, functions: &[Function]) -> Vec<Known> {
    let mut rows = HashSet::new();
    places.retain(|known| functions.get(known.row).is_some_and(lacks_parameters) && rows.insert(known.row));
    places.iter_mut().for_each(|known| known.wanted.code = None);
    places
}

/// GCC gives no linkage name to what was inlined everywhere.
fn lacks_parameters(function: &Function) -> bool {
    function.tables == [Table::Dwarf] && function.name == function.mangled
}

/// Tells the signatures of functions, and where their arguments are.
fn add_details(
    elf: &Elf,
    information: &Information<'_>,
    places: &[Known],
    functions: &mut [Function],
) -> Result<(), Error> {
    let wanted: Vec<Wanted> = places.iter().map(|place| place.wanted).collect();
    let descriptions = information.details(elf, &wanted)?;
    for (known, description) in places.iter().zip(descriptions) {
        let (Some(function), Some(description)) = (functions.get_mut(known.row), description) else { continue };
        if lacks_parameters(function) {
            function.name.push_str(&description.of_name());
        }
        if known.wanted.code.is_none() {
            continue;
        }
        let is_it = |place: &&mut Place| {
            place.addr.0 == known.addr && matches!(place.kind, PlaceKind::Inlined(_)) == known.inlined
        };
        if let Some(place) = function.places.iter_mut().find(is_it) {
            place.arguments = description.arguments;
        }
        // The body comes first. Its copies may have lost parameters.
        let first = !function.signature.as_ref().is_some_and(|signature| signature.origin == Origin::DebugInfo);
        if first {
            function.signature = Some(description.signature);
        }
    }
    Ok(())
}

/// Adds what the debug information found to `functions`, which came from the symbols: a body at the same address is the same
/// function; an inlined copy belongs to the body of its function.
///
/// # Errors
///
/// When the code cannot be read.
fn merge(
    elf: &Elf,
    pattern: &Pattern,
    functions: &mut Vec<Function>,
    found: Vec<Occurrence>,
    names_at: impl FnOnce(Vec<VirtAddr>) -> Result<Aliases, Error>,
) -> Result<Merged, Error> {
    let mut discarded = 0;
    let mut sources: Vec<Source> = Vec::new();
    let mut by_identity: BTreeMap<Identity, usize> = BTreeMap::new();
    // Most places are copies of the same few functions, which are described once in each unit.
    let mut by_description: HashMap<*const Described, usize> = HashMap::new();
    for occurrence in found {
        let entry = occurrence.code.entry;
        // The linker leaves 0, 1 or the largest address where it removed the code; none of them is in the file.
        if elf.code_offset(VirtAddr(entry)).is_none() {
            discarded += 1;
            continue;
        }
        let function = &occurrence.function;
        let index = *by_description.entry(Arc::as_ptr(function)).or_insert_with(|| {
            let identity = Identity { qualified: function.qualified(), declared: function.declared.clone() };
            *by_identity.entry(identity).or_insert_with(|| {
                sources.push(Source::default());
                sources.len() - 1
            })
        });
        let Some(source) = sources.get_mut(index) else { continue };
        let places = if occurrence.callers.is_some() { &mut source.inlined } else { &mut source.bodies };
        places.entry(entry).or_insert(occurrence);
    }
    let mut rows = Rows::new(elf, pattern, functions);
    let bodies = sources.iter().flat_map(|source| source.bodies.keys());
    let names = names_at(bodies.map(|addr| VirtAddr(*addr)).filter(|addr| !rows.by_addr.contains_key(addr)).collect())?;
    for index in by_identity.into_values() {
        rows.add(sources.get_mut(index).map(std::mem::take).unwrap_or_default(), &names)?;
    }
    rows.code.read_all(rows.functions.iter_mut().flat_map(|function| &mut function.places))?;
    Ok(Merged { places: rows.places, discarded })
}

/// The functions of an answer, by the addresses of their bodies.
struct Rows<'a> {
    code: Code<'a>,
    pattern: &'a Pattern,
    functions: &'a mut Vec<Function>,
    by_addr: HashMap<VirtAddr, usize>,
    places: Vec<Known>,
}

impl<'a> Rows<'a> {
    fn new(elf: &'a Elf, pattern: &'a Pattern, functions: &'a mut Vec<Function>) -> Self {
        let addr = |(index, function): (usize, &Function)| Some((function.body()?.addr, index));
        let by_addr = functions.iter().enumerate().filter_map(addr).collect();
        Self { code: Code::new(elf), pattern, functions, by_addr, places: Vec::new() }
    }

    fn add(&mut self, source: Source, names: &Aliases) -> Result<(), Error> {
        // The row of each unit's body, and the first of all.
        let mut of_unit: HashMap<usize, usize> = HashMap::new();
        let mut first = None;
        for body in source.bodies.into_values() {
            let Some(row) = self.body(&body, names)? else { continue };
            of_unit.entry(body.entry.unit).or_insert(row);
            first.get_or_insert(row);
        }
        for (addr, copy) in source.inlined {
            let row = match of_unit.get(&copy.entry.unit).copied().or(first) {
                Some(row) => row,
                None => {
                    let row = self.push(&copy.function, Role::Whole);
                    first = Some(row);
                    row
                }
            };
            let code = WantedCode { outer: copy.outer, addr, kind: SiteKind::Inside };
            let wanted = Wanted { entry: copy.entry, code: Some(code) };
            self.places.push(Known { row, inlined: true, addr, wanted });
            let callers = copy.callers.unwrap_or_default();
            let size = ByteSpan(copy.code.size());
            let place = self.code.place_to_read(VirtAddr(addr), size, PlaceKind::Inlined(Inlined { callers }))?;
            if let Some(function) = self.functions.get_mut(row) {
                note(function, &copy.function);
                function.places.push(place);
            }
        }
        Ok(())
    }

    /// The row of a body; none where it is a piece of a function that was not asked for.
    fn body(&mut self, body: &Occurrence, names: &Aliases) -> Result<Option<usize>, Error> {
        let addr = VirtAddr(body.code.entry);
        let row = match self.by_addr.get(&addr) {
            Some(row) => *row,
            None => {
                let symbols = names.get(&addr);
                let roles = symbols.into_iter().flatten().map(|name| role(RawName::new(name), Kind::Function, false));
                let role = roles.min().unwrap_or(Role::Whole);
                if role == Role::Piece && !self.pattern.names_pieces() {
                    return Ok(None);
                }
                let row = self.push(&body.function, role);
                let place = self.code.place_to_read(addr, ByteSpan(body.code.size()), PlaceKind::Body)?;
                if let Some(function) = self.functions.get_mut(row) {
                    function.aliases = Alias::others(symbols.into_iter().flatten(), &function.mangled);
                    function.places.push(place);
                }
                self.by_addr.insert(addr, row);
                row
            }
        };
        if let Some(function) = self.functions.get_mut(row) {
            note(function, &body.function);
            let copy = matches!(function.role, Role::Copy | Role::Piece);
            let kind = SiteKind::Entry { copy };
            let code = WantedCode { outer: body.outer, addr: addr.0, kind };
            let wanted = Wanted { entry: body.entry, code: Some(code) };
            self.places.push(Known { row, inlined: false, addr: addr.0, wanted });
        }
        Ok(Some(row))
    }

    fn push(&mut self, described: &Described, role: Role) -> usize {
        self.functions.push(row(described, role));
        self.functions.len() - 1
    }
}

/// The row of a function that the debug information alone knows, without its places.
pub(crate) fn row(described: &Described, role: Role) -> Function {
    Function {
        name: described.shown.clone(),
        mangled: described.linkage.clone().unwrap_or_else(|| described.qualified()),
        tables: vec![Table::Dwarf],
        role,
        aliases: Vec::new(),
        signature: None,
        declared: described.declared.clone(),
        places: Vec::new(),
    }
}

/// What the debug information tells of a function that has a row.
fn note(function: &mut Function, described: &Described) {
    if !function.tables.contains(&Table::Dwarf) {
        function.tables.push(Table::Dwarf);
    }
    if function.declared.is_none() {
        function.declared = described.declared.clone();
    }
}
