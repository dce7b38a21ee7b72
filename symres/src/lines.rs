//! Lines of the source: their code, and those of functions.

use std::collections::BTreeMap;

use crate::addr::{ByteSpan, FileOffset, VirtAddr};
use crate::answer::{Alias, Answer, Function, Place, PlaceKind, Reason, Role, SourceLine};
use crate::debug::DwarfFiles;
use crate::demangle::RawName;
use crate::dwarf::{Described, Information, LineCode, Located};
use crate::elf::Elf;
use crate::error::Error;
use crate::merge::row;
use crate::pattern::Pattern;
use crate::search::{Code, aliases, left_out};
use crate::source::{SymbolTable, Table};

/// An instruction at which a line of a function begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeLine {
    /// The line.
    pub line: SourceLine,
    /// Of its first instruction, or of the first of a block of them: the compiler may have spread a line.
    pub addr: VirtAddr,
    /// Of the same instruction: what a uprobe is attached to.
    pub offset: FileOffset,
    /// The [`Place::addr`] of the body or inlined copy that it is in.
    pub place: VirtAddr,
}

/// The code of the line that `pattern` asks for.
///
/// # Errors
///
/// When the code or a symbol table cannot be read.
pub(crate) fn of_line(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    files: Option<&DwarfFiles<'_>>,
    pattern: &Pattern,
    line: u32,
) -> Result<Answer, Error> {
    let nothing = |reason| Answer {
        matches: Vec::new(),
        near: Vec::new(),
        more_near: false,
        tables: Vec::new(),
        reason: Some(reason),
        instead: Vec::new(),
        notes: Vec::new(),
    };
    let Some(files) = files else { return Ok(nothing(Reason::NoDebugInfo)) };
    let information = match Information::open(files) {
        Ok(information) => information,
        Err(error) => {
            return Ok(Answer { notes: vec![left_out(&error)], ..nothing(Reason::NoDebugInfo) });
        }
    };
    let LineCode { places, line: found, file_is_there } = information.line(pattern, line);
    if !file_is_there {
        return Ok(nothing(Reason::NoSuchFile));
    }
    let places = places.into_iter().filter(|(addr, _)| elf.code_offset(VirtAddr(*addr)).is_some());
    let mut functions: BTreeMap<u64, Vec<(u64, Located)>> = BTreeMap::new();
    for (addr, located) in places {
        functions.entry(located.body.entry).or_default().push((addr, located));
    }
    if functions.is_empty() {
        return Ok(nothing(Reason::NoCodeAtLine));
    }
    let tables: Vec<(Table, &SymbolTable)> = tables.iter().map(|(table, symbols)| (*table, symbols)).collect();
    let names = aliases(elf, &tables, functions.keys().map(|addr| VirtAddr(*addr)))?;
    let mut code = Code::new(elf);
    let mut matches = Vec::with_capacity(functions.len());
    for (body, places) in functions {
        let Some(mut function) = places.first().map(|(_, located)| row(&located.function, Role::Whole)) else {
            continue;
        };
        function.aliases = Alias::others(names.get(&VirtAddr(body)).into_iter().flatten(), &function.mangled);
        for (addr, located) in places {
            let into = addr.saturating_sub(body);
            let size = located.body.size().saturating_sub(into);
            let kind = PlaceKind::Inside { from_entry: ByteSpan(into), line: located.line, inlined: located.inlined };
            function.places.push(code.place(VirtAddr(addr), ByteSpan(size), kind)?);
        }
        function.places.sort_by_key(|place| place.addr);
        matches.push(function);
    }
    matches.sort_by(|a, b| a.name.cmp(&b.name));
    let notes = if found == line {
        Vec::new()
    } else {
        vec![format!("line {line} has no code of its own: this is the next one that has, line {found}")]
    };
    let (near, tables, instead) = Default::default();
    Ok(Answer { matches, near, more_near: false, tables, reason: None, instead, notes })
}

/// Adds to instructions inside of functions the line that they belong to, and the functions that are inlined there.
pub(crate) fn annotate(files: &DwarfFiles<'_>, answer: &mut Answer) {
    let is_inside = |place: &Place| matches!(place.kind, PlaceKind::Inside { .. });
    if !answer.matches.iter().flat_map(|function| &function.places).any(is_inside) {
        return;
    }
    let information = match Information::open(files) {
        Ok(information) => information,
        Err(error) => {
            answer.notes.push(left_out(&error));
            return;
        }
    };
    for function in &mut answer.matches {
        for place in function.places.iter_mut() {
            let addr = place.addr.0;
            if let PlaceKind::Inside { line, inlined, .. } = &mut place.kind
                && let Some(located) = information.located_at(addr)
            {
                *line = located.line;
                *inlined = located.inlined;
                function.declared = function.declared.take().or_else(|| located.function.declared.clone());
            }
        }
    }
}

/// The lines of the functions of a binary: [`Binary::lines`](crate::Binary::lines).
#[derive(Debug)]
pub struct Lines<'b> {
    elf: &'b Elf,
    information: Option<Information<'b>>,
}

impl<'b> Lines<'b> {
    pub(crate) fn new(elf: &'b Elf, information: Option<Information<'b>>) -> Self {
        Self { elf, information }
    }

    /// The lines of a function that [`Binary::functions`](crate::Binary::functions) found: those of its body and of each
    /// inlined copy, without those of what is inlined into these, in the order of lines. Empty where the debug information
    /// does not tell.
    pub fn of(&self, function: &Function) -> Vec<CodeLine> {
        self.information.as_ref().map_or_else(Vec::new, |information| of_function(self.elf, information, function))
    }
}

/// The lines of a function at each of its places, in the order of lines; none where the debug information does not tell.
fn of_function(elf: &Elf, information: &Information<'_>, function: &Function) -> Vec<CodeLine> {
    let mut lines = Vec::new();
    for place in &function.places {
        let inlined = match place.kind {
            PlaceKind::Body => false,
            PlaceKind::Inlined(_) => true,
            _ => continue,
        };
        // A body's address is its own, while its symbol may have a name of its own (`f.constprop.0`).
        let is_it =
            |described: &Described| !inlined || described.shown == function.name || is_linkage(described, function);
        for start in information.lines_of(place.addr.0, inlined, &is_it) {
            let addr = VirtAddr(start.addr);
            if let Some(offset) = elf.code_offset(addr) {
                lines.push(CodeLine { line: start.line, addr, offset, place: place.addr });
            }
        }
    }
    lines.sort_by(|a, b| (&a.line, a.addr).cmp(&(&b.line, b.addr)));
    lines.dedup();
    lines
}

fn is_linkage(described: &Described, function: &Function) -> bool {
    match &described.linkage {
        // Constructors have the name of one variant in the one unit and of another in the next, or none.
        Some(linkage) => function.mangled.starts_with(linkage.as_str()),
        None => !described.name.is_empty() && RawName::new(&function.mangled).base.contains(described.name.as_str()),
    }
}
