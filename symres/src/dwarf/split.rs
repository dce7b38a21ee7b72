//! Split DWARF: units whose entries are in another file (`.dwo`), or in a package of such files (`.dwp`).
//!
//! The main file has a skeleton of each: a unit with little more than the name of the file, and the addresses.

use std::path::PathBuf;
use std::rc::Rc;

use gimli::{DebugInfoOffset, DwarfFileType, DwarfPackage, DwoId, Reader as _, SectionId};

use super::budget::Budget;
use super::load::{Skeleton, View, abbreviations, open};
use super::sections::{Dwarf, Sections, Unit};
use super::tree::NameTest;
use super::units::Units;
use super::values::Values;
use super::wanted::Wanted;
use crate::debug::DwarfFiles;

/// A file of one unit has it first or behind its type units.
const MAX_UNITS: usize = 1 << 16;

/// A unit in the main file that only stands for another one.
#[derive(Clone, Debug)]
pub(super) struct Stub {
    /// Its index.
    pub(super) unit: usize,
    file: PathBuf,
    comp_dir: Option<PathBuf>,
    id: DwoId,
}

/// The skeletons among the units of the main file.
pub(super) fn stubs(dwarf: &Dwarf<'_>, units: &Units, budget: &Budget) -> Vec<Stub> {
    // Without a table of addresses there is none.
    if gimli::Section::reader(&dwarf.debug_addr).is_empty() {
        return Vec::new();
    }
    (0..units.len()).filter_map(|index| stub(dwarf, units, index, budget)).collect()
}

/// The skeleton of this index; none where the unit is whole.
pub(super) fn stub(dwarf: &Dwarf<'_>, units: &Units, index: usize, budget: &Budget) -> Option<Stub> {
    let (unit, _) = root(dwarf, units.get(index)?.start, budget)?;
    let path = |text: super::sections::Reader<'_>| Some(PathBuf::from(text.to_string_lossy().ok()?.into_owned()));
    let name = dwarf.attr_string(&unit, unit.dwo_name().ok()??).ok()?;
    Some(Stub { unit: index, file: path(name)?, comp_dir: unit.comp_dir.and_then(path), id: unit.dwo_id? })
}

/// Reads the root of the unit that begins at `start`.
pub(super) fn root<'s>(
    dwarf: &Dwarf<'s>,
    start: usize,
    budget: &Budget,
) -> Option<(Unit<'s>, Option<gimli::DebugLineOffset>)> {
    let header = dwarf.unit_header(DebugInfoOffset(start)).ok()?;
    let abbreviations = abbreviations(dwarf, &header, budget).ok()?;
    open(dwarf, header, abbreviations).ok()
}

/// What is needed to read split units.
pub(super) struct Splits<'a, 'f> {
    pub(super) files: DwarfFiles<'f>,
    pub(super) package: Option<&'a Sections<'f>>,
    pub(super) units: &'a Units,
    pub(super) budget: &'a Budget,
}

/// A split unit, ready to be read.
pub(super) struct Opened<'s> {
    pub(super) dwarf: Dwarf<'s>,
    pub(super) units: Units,
    /// Its index among these.
    pub(super) index: usize,
    pub(super) skeleton: Skeleton<'s>,
}

impl Splits<'_, '_> {
    /// Opens the unit that `stub` stands for and calls `then` with it; none where its file is not there, or is of another
    /// build. `main` are the sections of the main file.
    pub(super) fn with<T>(&self, main: Dwarf<'_>, stub: &Stub, then: impl FnOnce(Opened<'_>) -> T) -> Option<T> {
        let main = Rc::new(main);
        let (unit, line_program) = root(&main, self.units.get(stub.unit)?.start, self.budget)?;
        let skeleton = Skeleton { dwarf: Rc::clone(&main), unit: Rc::new(unit), line_program };
        if let Some(package) = self.package {
            let load = |id: SectionId| -> gimli::Result<_> { Ok(package.get(id).reader()) };
            let found = DwarfPackage::load(load, package.none().reader());
            if let Some(dwarf) = found.and_then(|package| package.find_cu(stub.id, &main)).ok().flatten() {
                return self.open(dwarf, skeleton, stub.id).map(then);
            }
        }
        let elf = self.files.split(&stub.file, stub.comp_dir.as_deref())?;
        let sections = Sections::of(&elf, DwarfFileType::Dwo).ok()?;
        let mut dwarf = sections.dwarf();
        dwarf.make_dwo(&main);
        self.open(dwarf, skeleton, stub.id).map(then)
    }

    fn open<'s>(&self, dwarf: Dwarf<'s>, skeleton: Skeleton<'s>, id: DwoId) -> Option<Opened<'s>> {
        let units = Units::in_headers(dwarf.units(), MAX_UNITS);
        let is_it = |index: &usize| {
            let start = units.get(*index).map(|unit| unit.start);
            start.and_then(|start| root(&dwarf, start, self.budget)).is_some_and(|(unit, _)| unit.dwo_id == Some(id))
        };
        let index = (0..units.len()).find(is_it)?;
        Some(Opened { dwarf, units, index, skeleton })
    }
}

impl<'s> Opened<'s> {
    /// Whether the unit may name a function that is wanted. `strings` are the offsets of their names in its strings.
    pub(super) fn may_have(&self, wanted: &Wanted, strings: Option<&Values>) -> bool {
        let Some(strings) = strings else { return true };
        let contains = |reader: &super::sections::Reader<'s>, look: &dyn Fn(&[u8]) -> bool| {
            reader.to_slice().map_or(true, |bytes| look(&bytes))
        };
        let scanner = strings.scanner(gimli::Section::reader(&self.dwarf.debug_str_offsets).endian());
        let offsets = |bytes: &[u8]| {
            let mut found = false;
            scanner.scan(bytes, |at| {
                found = true;
                at.max(bytes.len())
            });
            found
        };
        let texts = |bytes: &[u8]| {
            offsets(bytes) || wanted.texts().iter().any(|text| memchr::memmem::find(bytes, text.as_bytes()).is_some())
        };
        contains(gimli::Section::reader(&self.dwarf.debug_str_offsets), &offsets)
            || contains(gimli::Section::reader(&self.dwarf.debug_info), &texts)
    }

    /// Shows it to `then`, with the index of the unit.
    pub(super) fn view<T>(self, budget: &Budget, test: NameTest<'_>, then: impl FnOnce(&View<'_>, usize) -> T) -> T {
        let Self { dwarf, units, index, skeleton } = self;
        let mut view = View::new(dwarf, &units, budget, test);
        view.skeleton = Some(skeleton);
        then(&view, index)
    }
}
