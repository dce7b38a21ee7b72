//! The debug information of a binary, and the search in it.

use std::collections::HashSet;
use std::sync::Arc;

use gimli::{DwarfFileType, SectionId};

use super::abbreviations::Leaves;
use super::budget::Budget;
use super::candidates::{UnitSet, units_with};
use super::describe::Described;
use super::gather::{Elsewhere, Gathered, Occurrence, gather, wanted};
use super::load::View;
use super::parallel::{Shares, THREADS, together};
use super::sections::Sections;
use super::tree::{Kind, NameTest};
use super::units::Units;
use super::values::Values;
use super::wanted::Wanted;
use crate::debug::DwarfFiles;
use crate::error::Error;
use crate::pattern::Pattern;

/// What one thread reads of `.debug_info` before it forgets it, in bytes.
const FORGET: usize = 4 << 20;
/// Fewer units than this are not worth a second thread.
const WORTH_A_THREAD: usize = 8;
/// An entry of one unit that refers to one of another that refers to one of a third: what is linked goes no further.
const MAX_ROUNDS: usize = 8;

/// The sections of one file with their units.
#[derive(Debug)]
struct Module<'f> {
    sections: Sections<'f>,
    units: Units,
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
    main: Module<'f>,
    /// The supplementary file.
    alt: Option<Module<'f>>,
    budget: Budget,
}

/// What the debug information knows of the functions that a search wants.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In the order of their units.
    pub(crate) occurrences: Vec<Occurrence>,
    /// Functions that fit and of which there is no code.
    pub(crate) without_code: Vec<Arc<Described>>,
    /// Units and entries that could not be read.
    pub(crate) damaged: usize,
    /// The file refers to the same parts so often that not all of it was read.
    pub(crate) exhausted: bool,
}

/// The strings that are wanted, by their offsets: none where they are not known.
struct Strings {
    main: Option<Values>,
    alt: Option<Values>,
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
        let budget = Budget::new(size(&main) + alt.as_ref().map_or(0, size));
        Ok(Self { main, alt, budget })
    }

    /// Searches for the functions that `pattern` means.
    ///
    /// # Errors
    ///
    /// When a section cannot be read at all. What is damaged in one unit is counted.
    pub(crate) fn search(&self, pattern: &Pattern) -> gimli::Result<Found> {
        let wanted = Wanted::by(pattern);
        let strings = self.strings(&wanted)?;
        let mut elsewhere = Elsewhere::default();
        if let Some(alt) = &self.alt {
            let units = Self::candidates(alt, &wanted, strings.alt.as_ref())?;
            elsewhere.alt = self.functions_of(alt, &units, &wanted, strings.alt.as_ref())?;
        }
        let texts = both(strings.main.as_ref(), strings.alt.as_ref().filter(|_| self.alt.is_some()));
        let mut units = match &texts {
            Some(texts) => Self::candidates(&self.main, &wanted, Some(texts))?,
            None => UnitSet::all(&self.main.units),
        };
        if texts.is_some() {
            self.follow(&mut units, &mut elsewhere, &wanted, &strings)?;
        }
        Ok(self.gather(&units, &elsewhere, &wanted, &strings, pattern))
    }

    fn strings(&self, wanted: &Wanted) -> gimli::Result<Strings> {
        let of = |module: &Module<'_>| wanted.offsets(module.sections.get(SectionId::DebugStr));
        let main = of(&self.main)?;
        let alt = self.alt.as_ref().map(of).transpose()?.flatten();
        Ok(Strings { main, alt })
    }

    /// The units of a file in which one of the strings is named; all of them where that cannot be told.
    fn candidates(module: &Module<'_>, wanted: &Wanted, strings: Option<&Values>) -> gimli::Result<UnitSet> {
        let Some(strings) = strings else { return Ok(UnitSet::all(&module.units)) };
        let section = module.sections.get(SectionId::DebugInfo);
        units_with(section, &module.units, strings, Some(wanted))
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
        elsewhere: &Elsewhere,
        names: &Wanted,
        strings: &Strings,
        pattern: &Pattern,
    ) -> Found {
        let indices: Vec<usize> = units.iter().collect();
        let test = NameTest { wanted: names, strings: strings.main.as_ref() };
        let mut parts = self.each(&self.main, &indices, test, |view, index| match view.load(index) {
            Ok(home) => gather(view, &home, index, &wanted(&home.tree, home.start, elsewhere), pattern),
            Err(_) => Gathered { damaged: 1, ..Gathered::default() },
        });
        parts.sort_by_key(|(index, _)| *index);
        let mut found = Found { damaged: usize::from(self.main.units.damaged), ..Found::default() };
        for (_, part) in parts {
            found.occurrences.extend(part.occurrences);
            found.without_code.extend(part.without_code);
            found.damaged += part.damaged;
        }
        found.exhausted = self.budget.is_spent();
        found
    }

    /// Calls `work` with each of the units, in two threads when there are many.
    fn each<T: Send>(
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
            while next.is_some() {
                let info = module.sections.get(SectionId::DebugInfo).fresh();
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

    fn view<'s>(
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
            alt_view = Some(Box::new(View::new(alt.sections.dwarf(), &alt.units, &self.budget, test)));
        }
        let mut view = View::new(dwarf, &module.units, &self.budget, test);
        view.alt = alt_view;
        view
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
