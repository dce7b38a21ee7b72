//! The debug information of a binary, and the search in it.

use std::collections::HashSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use gimli::{DwarfFileType, Format, Reader as _, SectionId};

use super::abbreviations::Leaves;
use super::budget::Budget;
use super::candidates::{UnitSet, units_with};
use super::describe::Described;
use super::gather::{Elsewhere, Gathered, Occurrence, Of, gather, wanted, wanted_anywhere};
use super::load::View;
use super::reader::Section;
use super::sections::{Dwarf, Sections, Unit};
use super::split::{Splits, Stub, root, stub, stubs};
use super::stream::pieces;
use super::tree::{Kind, NameTest};
use super::units::Units;
use super::values::Values;
use super::wanted::Wanted;
use crate::debug::DwarfFiles;
use crate::error::Error;
use crate::parallel::{Shares, THREADS, together};
use crate::pattern::Pattern;

/// What one thread reads of `.debug_info` before it forgets it, in bytes.
const FORGET: usize = 4 << 20;
/// In so many units is looked why a function has no code: the others say the same.
const WITHOUT_CODE: usize = 64;
/// Fewer units than this are not worth a second thread.
const WORTH_A_THREAD: usize = 8;
/// An entry of one unit that refers to one of another that refers to one of a third: what is linked goes no further.
const MAX_ROUNDS: usize = 8;

/// The sections of one file with their units.
#[derive(Debug)]
pub(super) struct Module<'f> {
    pub(super) sections: Sections<'f>,
    pub(super) units: Units,
}

impl<'f> Module<'f> {
    fn new(sections: Sections<'f>) -> Self {
        let units = Units::of(sections.get(SectionId::DebugInfo));
        Self { sections, units }
    }
}

/// The debug information of a binary.
#[derive(Debug)]
pub(crate) struct Information<'f> {
    pub(super) main: Module<'f>,
    /// The supplementary file.
    pub(super) alt: Option<Module<'f>>,
    /// The package of split units.
    package: Option<Sections<'f>>,
    pub(super) files: DwarfFiles<'f>,
    pub(super) budget: Budget,
}

/// What the debug information knows of the functions that a search wants.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In the order of their units.
    pub(crate) occurrences: Vec<Occurrence>,
    /// Functions that fit and of which there is no code; only told when there are no others.
    pub(crate) without_code: Vec<Arc<Described>>,
    pub(crate) gaps: Gaps,
}

/// What a search could not read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gaps {
    /// Units and entries that could not be read.
    pub(super) damaged: usize,
    /// The file refers to the same parts so often that not all of it was read.
    pub(super) exhausted: bool,
    /// Split units whose file is not there, or is of another build.
    pub(super) not_there: usize,
}

impl Gaps {
    /// What an answer may lack.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.damaged > 0 {
            notes.push(format!("{} parts of the debug information are damaged and left out", self.damaged));
        }
        if self.exhausted {
            notes
                .push("the debug information refers to the same parts so often that not all of it was read".to_owned());
        }
        if self.not_there > 0 {
            notes.push(format!("the files of {} split units are not there or of another build", self.not_there));
        }
        notes
    }
}

impl Found {
    fn add(&mut self, part: Gathered) {
        self.occurrences.extend(part.occurrences);
        self.without_code.extend(part.without_code);
        self.gaps.damaged += part.damaged;
    }
}

/// The strings that are wanted, by their offsets: none where they are not known.
struct Strings {
    main: Option<Values>,
    alt: Option<Values>,
}

/// Where functions of a wanted name may be.
struct ToRead {
    units: UnitSet,
    /// The entries in others that they refer to; none where every reference has to be followed.
    elsewhere: Option<Elsewhere>,
    /// Functions without code may be in others too.
    with_code_only: bool,
}

impl<'f> Information<'f> {
    /// Opens it, without reading more than the headers of its units.
    ///
    /// # Errors
    ///
    /// When a section is not inside of its file.
    pub(crate) fn open(files: &DwarfFiles<'f>) -> Result<Self, Error> {
        let main = Module::new(Sections::of(files.main(), DwarfFileType::Main)?);
        let alt = match files.supplementary() {
            Some(elf) => Some(Module::new(Sections::of(elf, DwarfFileType::Main)?)),
            None => None,
        };
        let size = |module: &Module<'_>| module.sections.get(SectionId::DebugInfo).len() as u64;
        let mut bytes = size(&main) + alt.as_ref().map_or(0, size);
        let has_addresses = main.sections.get(SectionId::DebugAddr).len() > 0;
        let package = match files.package().filter(|_| has_addresses) {
            Some(elf) => Some(Sections::of(elf, DwarfFileType::Dwo)?),
            None => None,
        };
        bytes += package.as_ref().map_or(0, |package| package.get(SectionId::DebugInfo).len() as u64);
        Ok(Self { main, alt, package, files: *files, budget: Budget::new(bytes) })
    }

    /// Searches for the functions that `pattern` means.
    ///
    /// # Errors
    ///
    /// When a section cannot be read at all. What is damaged in one unit is counted.
    pub(crate) fn search(&self, pattern: &Pattern) -> gimli::Result<Found> {
        let wanted = Wanted::by(pattern);
        let known = self.remembered(&wanted);
        let strings = match &known {
            // In few units each name is compared.
            Some(_) => Strings { main: None, alt: None },
            None => self.strings(&wanted)?,
        };
        let mut to_read = match known {
            Some(units) => ToRead { units, elsewhere: None, with_code_only: false },
            None => self.to_read(pattern, &wanted, &strings)?,
        };
        let mut found = self.gather(&to_read.units, to_read.elsewhere.as_ref(), &wanted, &strings, pattern, Of::Code);
        self.gather_split(&wanted, pattern, &mut found)?;
        if found.occurrences.is_empty() && matches!(wanted, Wanted::Words(_)) {
            if to_read.with_code_only {
                to_read = self.by_bytes(&wanted, &strings)?;
            }
            let ToRead { mut units, elsewhere, .. } = to_read;
            units.keep_first(WITHOUT_CODE);
            let without = self.gather(&units, elsewhere.as_ref(), &wanted, &strings, pattern, Of::NoCode);
            found.without_code = without.without_code;
        }
        found.gaps.exhausted = self.budget.is_spent();
        Ok(found)
    }

    /// The units that may have functions that a pattern means.
    pub(super) fn units_to_read(&self, pattern: &Pattern, wanted: &Wanted) -> gimli::Result<UnitSet> {
        match self.remembered(wanted) {
            Some(units) => Ok(units),
            None => Ok(self.to_read(pattern, wanted, &self.strings(wanted)?)?.units),
        }
    }

    /// The same, with what else is known: by the outline, else by their bytes.
    fn to_read(&self, pattern: &Pattern, wanted: &Wanted, strings: &Strings) -> gimli::Result<ToRead> {
        if let Some(units) = self.outlined(pattern, wanted) {
            return Ok(ToRead { units, elsewhere: None, with_code_only: true });
        }
        let to_read = self.by_bytes(wanted, strings)?;
        if to_read.elsewhere.is_some() {
            self.remember(wanted, &to_read.units);
        }
        Ok(to_read)
    }

    /// The units in whose bytes a wanted name stands, or which refer to such a one.
    fn by_bytes(&self, wanted: &Wanted, strings: &Strings) -> gimli::Result<ToRead> {
        let texts = both(strings.main.as_ref(), strings.alt.as_ref().filter(|_| self.alt.is_some()));
        let Some(texts) = texts else {
            return Ok(ToRead { units: UnitSet::all(&self.main.units), elsewhere: None, with_code_only: false });
        };
        let mut elsewhere = Elsewhere::default();
        if let Some(alt) = &self.alt {
            let units = self.candidates(alt, wanted, strings.alt.as_ref())?;
            elsewhere.alt = self.functions_of(alt, &units, wanted, strings.alt.as_ref())?;
        }
        let mut units = self.candidates(&self.main, wanted, Some(&texts))?;
        self.follow(&mut units, &mut elsewhere, wanted, strings)?;
        Ok(ToRead { units, elsewhere: Some(elsewhere), with_code_only: false })
    }

    /// Adds what is in split units.
    fn gather_split(&self, wanted_names: &Wanted, pattern: &Pattern, found: &mut Found) -> gimli::Result<()> {
        let none = Elsewhere::default();
        let (parts, not_there) = self.in_splits(wanted_names, |view, index, unit| {
            let Ok(home) = view.load(index) else { return Gathered { damaged: 1, ..Gathered::default() } };
            gather(view, &home, unit, &wanted(&home.tree, home.start, &none), pattern, Of::Code)
        })?;
        parts.into_iter().for_each(|(_, part)| found.add(part));
        found.gaps.not_there += not_there;
        Ok(())
    }

    /// Calls `work` with each split unit that may have a wanted name, its index in its file, and that of its skeleton: what it
    /// gives for each skeleton, in order, and how many units are not there.
    pub(super) fn in_splits<T: Default + Send>(
        &self,
        wanted: &Wanted,
        work: impl Fn(&View<'_>, usize, usize) -> T + Sync,
    ) -> gimli::Result<(Vec<(usize, T)>, usize)> {
        let stubs = self.stubs();
        if stubs.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let packed = match &self.package {
            Some(package) => wanted.offsets(package.get(SectionId::DebugStr))?,
            None => None,
        };
        let splits = self.splits();
        let shares = Shares::new(stubs.len(), 1);
        let of_stub = |stub: &Stub| {
            let info = self.main.sections.get(SectionId::DebugInfo).fresh();
            splits.with(self.main.sections.dwarf_over(&info), stub, |opened| {
                // In a file of its own the strings are few.
                let strings = packed.as_ref();
                if !opened.may_have(wanted, strings) {
                    return T::default();
                }
                opened.view(&self.budget, NameTest { wanted, strings }, |view, index| work(view, index, stub.unit))
            })
        };
        let threads = if stubs.len() < WORTH_A_THREAD { 1 } else { THREADS };
        let results = together(threads, || {
            let mut results = Vec::new();
            while let Some(share) = shares.take() {
                results.extend(stubs.get(share).unwrap_or_default().iter().map(|stub| (stub.unit, of_stub(stub))));
            }
            results
        });
        let mut results: Vec<_> = results.into_iter().flatten().collect();
        results.sort_by_key(|(unit, _)| *unit);
        let not_there = results.iter().filter(|(_, part)| part.is_none()).count();
        Ok((results.into_iter().filter_map(|(unit, part)| Some((unit, part?))).collect(), not_there))
    }

    /// The skeletons of split units.
    fn stubs(&self) -> Vec<Stub> {
        stubs(&self.main.sections.dwarf(), &self.main.units, &self.budget)
    }

    /// Whether there are split units.
    pub(super) fn has_splits(&self) -> bool {
        !self.stubs().is_empty()
    }

    /// What the unit of this index stands for, if it is a skeleton.
    pub(super) fn stub(&self, index: usize) -> Option<Stub> {
        stub(&self.main.sections.dwarf(), &self.main.units, index, &self.budget)
    }

    pub(super) fn splits(&self) -> Splits<'_, 'f> {
        Splits { files: self.files, package: self.package.as_ref(), units: &self.main.units, budget: &self.budget }
    }

    fn strings(&self, wanted: &Wanted) -> gimli::Result<Strings> {
        let of = |module: &Module<'_>| wanted.offsets(module.sections.get(SectionId::DebugStr));
        let main = of(&self.main)?;
        let alt = self.alt.as_ref().map(of).transpose()?.flatten();
        Ok(Strings { main, alt })
    }

    /// The units of a file in which one of the strings is named; all of them where that cannot be told.
    pub(super) fn candidates(
        &self,
        module: &Module<'_>,
        wanted: &Wanted,
        strings: Option<&Values>,
    ) -> gimli::Result<UnitSet> {
        let Some(strings) = strings else { return Ok(UnitSet::all(&module.units)) };
        let section = module.sections.get(SectionId::DebugInfo);
        let mut units = units_with(section, &module.units, strings, Some(wanted))?;
        let indirect = positions(module.sections.get(SectionId::DebugStrOffsets), strings)?;
        if !indirect.is_empty() {
            let info = section.fresh();
            let dwarf = module.sections.dwarf_over(&info);
            for index in 0..module.units.len() {
                let Some(span) = module.units.get(index) else { break };
                let range = match root(&dwarf, span.start, &self.budget) {
                    Some((unit, _)) => string_offsets(&dwarf, &unit),
                    // It cannot be told; what is wrong with it is told when it is read.
                    None => 0..usize::MAX,
                };
                let first = indirect.partition_point(|at| *at < range.start);
                if indirect.get(first).is_some_and(|at| *at < range.end) {
                    units.insert(index);
                }
            }
        }
        Ok(units)
    }

    /// Adds the units that refer to functions of others.
    fn follow(
        &self,
        units: &mut UnitSet,
        elsewhere: &mut Elsewhere,
        wanted: &Wanted,
        strings: &Strings,
    ) -> gimli::Result<()> {
        let leaves = Leaves::of(self.main.sections.get(SectionId::DebugAbbrev))?;
        let section = self.main.sections.get(SectionId::DebugInfo);
        let number = |offsets: &HashSet<usize>| {
            Values::new(offsets.iter().filter_map(|at| u32::try_from(*at).ok()).map(|at| (at, at)).collect())
        };
        if !elsewhere.alt.is_empty() && leaves.file {
            units.union(&units_with(section, &self.main.units, &number(&elsewhere.alt), None)?);
        }
        if !leaves.unit {
            return Ok(());
        }
        for _ in 0..MAX_ROUNDS {
            let known = elsewhere.far.len();
            let found = self.functions_with(units, elsewhere, wanted, strings);
            let new: HashSet<usize> = found.difference(&elsewhere.far).copied().collect();
            elsewhere.far.extend(found);
            if elsewhere.far.len() == known {
                break;
            }
            units.union(&units_with(section, &self.main.units, &number(&new), None)?);
        }
        Ok(())
    }

    /// The offsets of the functions with a wanted name, in units of the main file.
    fn functions_with(
        &self,
        units: &UnitSet,
        elsewhere: &Elsewhere,
        names: &Wanted,
        strings: &Strings,
    ) -> HashSet<usize> {
        let indices: Vec<usize> = units.iter().collect();
        let test = NameTest { wanted: names, strings: strings.main.as_ref() };
        let found = self.each(&self.main, &indices, test, |view, index| functions_in(view, index, elsewhere));
        found.into_iter().flat_map(|(_, offsets)| offsets).collect()
    }

    /// The same in units of another file.
    fn functions_of(
        &self,
        module: &Module<'_>,
        units: &UnitSet,
        names: &Wanted,
        strings: Option<&Values>,
    ) -> gimli::Result<HashSet<usize>> {
        let indices: Vec<usize> = units.iter().collect();
        let test = NameTest { wanted: names, strings };
        let none = Elsewhere::default();
        let found = self.each(module, &indices, test, |view, index| functions_in(view, index, &none));
        Ok(found.into_iter().flat_map(|(_, offsets)| offsets).collect())
    }

    fn gather(
        &self,
        units: &UnitSet,
        elsewhere: Option<&Elsewhere>,
        names: &Wanted,
        strings: &Strings,
        pattern: &Pattern,
        of: Of,
    ) -> Found {
        let indices: Vec<usize> = units.iter().collect();
        let test = NameTest { wanted: names, strings: strings.main.as_ref() };
        let mut parts = self.each(&self.main, &indices, test, |view, index| match view.load(index) {
            Ok(home) => {
                let nodes = match elsewhere {
                    Some(elsewhere) => wanted(&home.tree, home.start, elsewhere),
                    None => wanted_anywhere(view, &home),
                };
                gather(view, &home, index, &nodes, pattern, of)
            }
            Err(_) => Gathered { damaged: 1, ..Gathered::default() },
        });
        parts.sort_by_key(|(index, _)| *index);
        let mut found = Found::default();
        found.gaps.damaged = usize::from(self.main.units.damaged);
        for (_, part) in parts {
            found.add(part);
        }
        found
    }

    /// Calls `work` with each of the units, in two threads when there are many.
    pub(super) fn each<T: Send>(
        &self,
        module: &Module<'_>,
        indices: &[usize],
        test: NameTest<'_>,
        work: impl Fn(&View<'_>, usize) -> T + Sync,
    ) -> Vec<(usize, T)> {
        let shares = Shares::new(indices.len(), 1);
        let threads = if indices.len() < WORTH_A_THREAD { 1 } else { THREADS };
        let run = || {
            let mut results = Vec::new();
            let mut next = shares.take();
            let mut info = module.sections.get(SectionId::DebugInfo).fresh();
            while next.is_some() {
                info.forget();
                let view = self.view(module, &info, test);
                let mut read = 0;
                while read < FORGET {
                    let Some(share) = next.take() else { break };
                    for index in indices.get(share).unwrap_or_default() {
                        results.push((*index, work(&view, *index)));
                        read += module.units.get(*index).map_or(0, |unit| unit.end - unit.start);
                    }
                    next = shares.take();
                }
            }
            results
        };
        together(threads, run).into_iter().flatten().collect()
    }

    pub(super) fn view<'s>(
        &'s self,
        module: &'s Module<'f>,
        info: &'s super::reader::Section<'f>,
        test: NameTest<'s>,
    ) -> View<'s> {
        let mut dwarf = module.sections.dwarf_over(info);
        let mut alt_view = None;
        if let Some(alt) = &self.alt
            && !std::ptr::eq(alt, module)
        {
            dwarf.set_sup(alt.sections.dwarf());
            let test = NameTest { strings: None, ..test };
            alt_view = Some(Box::new(View::new(alt.sections.dwarf(), &alt.units, &self.budget, test)));
        }
        let mut view = View::new(dwarf, &module.units, &self.budget, test);
        view.alt = alt_view;
        view
    }
}

/// Where in a section one of the numbers stands, in order.
fn positions(section: &Section<'_>, values: &Values) -> gimli::Result<Vec<usize>> {
    let scanner = values.scanner(section.endian());
    let mut found = Vec::new();
    pieces(section, 0..section.len(), 4, |start, bytes| {
        scanner.scan(bytes, |at| {
            found.push(start + at);
            at + 1
        });
        ControlFlow::<()>::Continue(())
    })?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The part of `.debug_str_offsets` that belongs to a unit (DWARF 5, 7.26): its length stands before its base.
fn string_offsets(dwarf: &Dwarf<'_>, unit: &Unit<'_>) -> Range<usize> {
    let base = unit.str_offsets_base.0;
    let header = match unit.encoding().format {
        Format::Dwarf32 => 8,
        Format::Dwarf64 => 16,
    };
    let mut input = *gimli::Section::reader(&dwarf.debug_str_offsets);
    let len = base.checked_sub(header).and_then(|start| {
        input.skip(start).ok()?;
        input.read_initial_length().ok()
    });
    match len {
        // Version and padding, four bytes of the length, stand before the base.
        Some((len, _)) => base..base.saturating_add(len),
        None => base..usize::MAX,
    }
}

/// The offsets in the section of the functions of a unit that are wanted.
fn functions_in(view: &View<'_>, index: usize, elsewhere: &Elsewhere) -> Vec<usize> {
    let Ok(home) = view.load(index) else { return Vec::new() };
    let nodes = wanted(&home.tree, home.start, elsewhere);
    let functions = nodes.into_iter().filter_map(|index| home.tree.get(index));
    functions.filter(|node| node.kind == Kind::Function).map(|node| home.start + node.offset).collect()
}

/// The numbers of two sets, when both are known.
fn both(main: Option<&Values>, alt: Option<&Values>) -> Option<Values> {
    match (main, alt) {
        (main, None) => main.cloned(),
        (Some(main), Some(alt)) => Some(main.union(alt)),
        (None, Some(_)) => None,
    }
}
