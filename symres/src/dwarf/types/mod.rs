//! Types by their names: where they are defined, and how their objects lie in memory.

mod members;
mod search;
mod source;

use std::collections::HashSet;

use gimli::{DwarfFileType, SectionId};

use super::candidates::{UnitSet, units_with};
use super::details::Program;
use super::info::{Information, Module};
use super::load::{abbreviations, open};
use super::sections::Sections;
use super::split::{Opened, stubs};
use super::tree::NameTest;
use super::units::Units;
use super::wanted::Wanted;
use crate::elf::Elf;
use crate::error::Error;
use crate::layout::{Fit, NamedType, TypeName, TypeNumber, Types};
use search::types_of;
pub(crate) use search::{Home, TypeEntry};
use source::Source;

/// The most types that a search tells of.
const MAX_FOUND: usize = 200_000;

/// What a search for types is about.
#[derive(Debug)]
struct Search<'a> {
    name: &'a TypeName,
    wanted: Wanted,
}

impl<'a> Search<'a> {
    fn new(name: &'a TypeName) -> Self {
        let wanted = match name.word() {
            Some((word, true)) => Wanted::Words(vec![word]),
            Some((part, false)) => Wanted::Part(part),
            None => Wanted::Any,
        };
        Self { name, wanted }
    }

    fn keeps(&self, entry: &TypeEntry) -> bool {
        self.name.allows(entry.kind) && self.name.fits(&entry.name).is_some()
    }

    /// The definitions among what was found, each once; those with the whole name where there are such.
    fn best(&self, mut found: Vec<TypeEntry>) -> Vec<TypeEntry> {
        found.retain(|entry| !entry.only_declared);
        let fit = |entry: &TypeEntry| self.name.fits(&entry.name);
        let whole = found.iter().any(|entry| fit(entry) == Some(Fit::Whole));
        found.retain(|entry| !whole || fit(entry) == Some(Fit::Whole));
        let mut seen = HashSet::new();
        found.retain(|entry| seen.insert((entry.name.clone(), entry.kind, entry.size, entry.line, entry.fields)));
        found
    }
}

/// What a binary says of a type's name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Each once, sorted by name.
    pub(crate) all: Vec<NamedType>,
    /// Not all of them: the file has more than any program.
    pub(crate) cut: bool,
}

impl Information<'_> {
    /// The types whose names fit.
    ///
    /// # Errors
    ///
    /// When a section cannot be read at all.
    pub(crate) fn type_names(&self, name: &TypeName) -> gimli::Result<Named> {
        let search = Search::new(name);
        let mut found = self.entries(&search)?;
        self.each_split(|opened| found.extend(self.entries_of(&opened, &search)));
        let cut = found.len() > MAX_FOUND;
        let named = |entry: TypeEntry| NamedType {
            name: entry.name,
            kind: entry.kind,
            size: entry.size,
            only_declared: entry.only_declared,
        };
        let mut all: Vec<NamedType> = found.into_iter().take(MAX_FOUND).map(named).collect();
        all.sort();
        // What is defined anywhere is no news as a declaration; neither is its size where another unit does not tell it.
        let defined: HashSet<String> = all.iter().filter(|ty| !ty.only_declared).map(|ty| ty.name.clone()).collect();
        all.retain(|ty| !ty.only_declared || !defined.contains(&ty.name));
        all.dedup();
        Ok(Named { all, cut })
    }

    /// Finds the definitions of a type and shows them to `then`: in the main file or, if there is none, in the first split
    /// unit that has one. None where there is no definition. `binary` is the file with the code.
    ///
    /// # Errors
    ///
    /// When a section cannot be read at all.
    pub(crate) fn with_types<T>(
        &self,
        binary: &Elf,
        name: &TypeName,
        then: impl FnOnce(&dyn Types, &[TypeNumber]) -> T,
    ) -> Result<Option<T>, Error> {
        let search = Search::new(name);
        let damaged = |error: gimli::Error| binary.contents.damaged(format!("its debug information: {error}"));
        let code = Sections::of(binary, DwarfFileType::Main)?;
        let debug = &self.main.sections;
        let bytes = debug.get(SectionId::DebugInfo).len() as u64;
        let best = search.best(self.entries(&search).map_err(damaged)?);
        if !best.is_empty() {
            let alt = self.alt.as_ref().map(|alt| (alt.sections.dwarf(), &alt.units));
            let main = (debug.dwarf(), &self.main.units);
            let program = Program::new(binary, &code, debug, main, alt, &self.budget);
            let find = |name: &str| self.definition(name);
            let source = Source::new(&program, binary.machine, bytes, &find);
            let numbers: Vec<TypeNumber> = best.iter().filter_map(|entry| source.number_of(entry)).collect();
            return Ok(Some(then(&source, &numbers)));
        }
        let mut then = Some(then);
        let mut shown = None;
        self.each_split(|opened| {
            let found = self.entries_of(&opened, &search);
            let best = search.best(found);
            let Some(then) = then.take_if(|_| !best.is_empty()) else { return };
            let Opened { dwarf, units, skeleton, .. } = opened;
            let program = Program::new(binary, &code, debug, (dwarf, &units), None, &self.budget);
            let program = program.with_skeleton(&skeleton);
            let find = |_: &str| None;
            let source = Source::new(&program, binary.machine, bytes, &find);
            let numbers: Vec<TypeNumber> = best.iter().filter_map(|entry| source.number_of(entry)).collect();
            shown = Some(then(&source, &numbers));
        });
        Ok(shown)
    }

    /// Where a type is defined that a unit only declares.
    fn definition(&self, name: &str) -> Option<TypeEntry> {
        let name = TypeName::exactly(name);
        let search = Search::new(&name);
        let found = self.entries(&search).ok()?;
        search.best(found).into_iter().find(|entry| name.fits(&entry.name) == Some(Fit::Whole))
    }

    /// All types of the main and of the supplementary file that fit, in the order of their units.
    fn entries(&self, search: &Search<'_>) -> gimli::Result<Vec<TypeEntry>> {
        let mut found = self.entries_in(&self.main, Home::Info, search)?;
        if let Some(alt) = &self.alt {
            found.extend(self.entries_in(alt, Home::Supplementary, search)?);
        }
        found.extend(self.type_units(search)?);
        Ok(found)
    }

    fn entries_in(&self, module: &Module<'_>, home: Home, search: &Search<'_>) -> gimli::Result<Vec<TypeEntry>> {
        let strings = search.wanted.offsets(module.sections.get(SectionId::DebugStr))?;
        // Names of the main file may stand among the strings of the supplementary one, whose offsets are other ones.
        let shared = home == Home::Info && self.alt.is_some();
        let units = match &strings {
            Some(_) if !shared => self.candidates(module, &search.wanted, strings.as_ref())?,
            _ => UnitSet::all(&module.units),
        };
        let indices: Vec<usize> = units.iter().collect();
        let test = NameTest { wanted: &search.wanted, strings: strings.as_ref().filter(|_| !shared) };
        let mut parts = self.each(module, &indices, test, |view, index| {
            let Some(loaded) = view.load_root(index) else { return Vec::new() };
            let mut found = types_of(&view.dwarf, &loaded.unit, home, test, &self.budget);
            found.retain(|entry| search.keeps(entry));
            found
        });
        parts.sort_by_key(|(index, _)| *index);
        Ok(parts.into_iter().flat_map(|(_, found)| found).collect())
    }

    /// The types in `.debug_types`, of DWARF 4.
    fn type_units(&self, search: &Search<'_>) -> gimli::Result<Vec<TypeEntry>> {
        let section = self.main.sections.get(SectionId::DebugTypes);
        if section.len() == 0 {
            return Ok(Vec::new());
        }
        let strings = search.wanted.offsets(self.main.sections.get(SectionId::DebugStr))?;
        let units = Units::of(section);
        let candidates = match &strings {
            Some(strings) => units_with(section, &units, strings, Some(&search.wanted))?,
            None => UnitSet::all(&units),
        };
        let starts: HashSet<usize> =
            candidates.iter().filter_map(|index| units.get(index)).map(|unit| unit.start).collect();
        let test = NameTest { wanted: &search.wanted, strings: strings.as_ref() };
        let dwarf = self.main.sections.dwarf();
        let mut found = Vec::new();
        let mut headers = dwarf.type_units();
        while let Ok(Some(header)) = headers.next() {
            if !starts.contains(&header.offset().0) {
                continue;
            }
            let unit = abbreviations(&dwarf, &header, &self.budget).and_then(|table| open(&dwarf, header, table));
            let Ok((unit, _)) = unit else { continue };
            let types = types_of(&dwarf, &unit, Home::Types, test, &self.budget);
            found.extend(types.into_iter().filter(|entry| search.keeps(entry)));
        }
        Ok(found)
    }

    /// The types of a split unit and of its type units.
    fn entries_of(&self, opened: &Opened<'_>, search: &Search<'_>) -> Vec<TypeEntry> {
        let test = NameTest { wanted: &search.wanted, strings: None };
        let mut found = Vec::new();
        let mut headers = opened.dwarf.units();
        let mut types = opened.dwarf.type_units();
        let next = || headers.next().ok().flatten().map(|header| (header, Home::Info));
        let next_type = || types.next().ok().flatten().map(|header| (header, Home::Types));
        for (header, home) in std::iter::from_fn(next).chain(std::iter::from_fn(next_type)) {
            let table = abbreviations(&opened.dwarf, &header, &self.budget);
            let Ok((mut unit, _)) = table.and_then(|table| open(&opened.dwarf, header, table)) else { continue };
            unit.copy_relocated_attributes(&opened.skeleton.unit);
            let types = types_of(&opened.dwarf, &unit, home, test, &self.budget);
            found.extend(types.into_iter().filter(|entry| search.keeps(entry)));
        }
        found
    }

    /// Calls `then` with each split unit whose file is there.
    fn each_split(&self, mut then: impl FnMut(Opened<'_>)) {
        let dwarf = self.main.sections.dwarf();
        let splits = self.splits();
        for stub in stubs(&dwarf, &self.main.units, &self.budget) {
            splits.with(self.main.sections.dwarf(), &stub, &mut then);
        }
    }
}
