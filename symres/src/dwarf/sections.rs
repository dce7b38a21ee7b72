//! The sections of one file that hold debug information.

use gimli::{DwarfFileType, RunTimeEndian, SectionId};

use super::reader::{Section, SectionReader};
use crate::elf::Elf;
use crate::error::Error;

/// What `gimli` reads debug information with here.
pub(crate) type Reader<'s> = SectionReader<'s>;
/// The sections as `gimli` knows them.
pub(crate) type Dwarf<'s> = gimli::Dwarf<Reader<'s>>;
/// A unit as `gimli` knows it.
pub(crate) type Unit<'s> = gimli::Unit<Reader<'s>, usize>;

/// The sections that are read, in the order of [`Sections::all`].
const USED: &[SectionId] = &[
    SectionId::DebugInfo,
    SectionId::DebugTypes,
    SectionId::DebugAbbrev,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugLineStr,
    SectionId::DebugLine,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugFrame,
    SectionId::EhFrame,
    SectionId::EhFrameHdr,
    SectionId::DebugCuIndex,
    SectionId::DebugTuIndex,
];

/// The debug sections of a file.
#[derive(Debug)]
pub(crate) struct Sections<'f> {
    all: Vec<Section<'f>>,
    none: Section<'f>,
    file_type: DwarfFileType,
}

impl<'f> Sections<'f> {
    /// Those of `elf`; of a `.dwo` file, those with `.dwo` at the end of their names.
    ///
    /// # Errors
    ///
    /// When one of them is not inside of the file, or is compressed in an unknown way.
    pub(crate) fn of(elf: &'f Elf, file_type: DwarfFileType) -> Result<Self, Error> {
        let endian = if elf.ctx.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let load = |id: &SectionId| {
            let name = match file_type {
                DwarfFileType::Main => Some(id.name()),
                DwarfFileType::Dwo => id.dwo_name(),
            };
            match name.and_then(|name| elf.section_or_older(name)) {
                Some(section) => Section::of(elf, section, endian),
                None => Ok(Section::empty(endian)),
            }
        };
        let all = USED.iter().map(load).collect::<Result<_, _>>()?;
        Ok(Self { all, none: Section::empty(endian), file_type })
    }

    /// One of them; empty when the file does not have it.
    pub(crate) fn get(&self, id: SectionId) -> &Section<'f> {
        let index = USED.iter().position(|used| *used == id);
        index.and_then(|index| self.all.get(index)).unwrap_or(&self.none)
    }

    /// A section that no file has.
    pub(crate) fn none(&self) -> &Section<'f> {
        &self.none
    }

    /// What `gimli` reads.
    pub(crate) fn dwarf(&self) -> Dwarf<'_> {
        self.dwarf_over(self.get(SectionId::DebugInfo))
    }

    /// The same with the bytes of `.debug_info` read through `info`, see [`Section::fresh`].
    pub(crate) fn dwarf_over<'s>(&'s self, info: &'s Section<'f>) -> Dwarf<'s> {
        let load = |id: SectionId| -> Result<Reader<'s>, std::convert::Infallible> {
            Ok(if id == SectionId::DebugInfo { info.reader() } else { self.get(id).reader() })
        };
        let Ok(mut dwarf) = gimli::Dwarf::load(load);
        dwarf.file_type = self.file_type;
        dwarf
    }
}
