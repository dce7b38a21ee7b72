//! The ELF side: a section that is added, programs that other loaders do not see, debug information that nobody needs.

use std::ops::Range;

use object::build::elf::{Builder, SectionData};
use object::elf::{FileHeader64, SHF_EXECINSTR, SHT_PROGBITS, SHT_STRTAB};
use object::read::elf::{FileHeader as _, SectionHeader as _};
use object::{Endianness, LittleEndian, SectionIndex};

/// Name of the section.
pub(super) const NAME: &str = ".dbcc";

/// Sections without which the object is the same: DWARF, whose lines and types are in BTF.
const LEFT_OUT: &[&str] = &[".debug_", ".rel.debug_"];

/// Offset of `sh_flags` in a section header (`Elf64_Shdr`).
const FLAGS: u64 = 8;

/// The object with `payload` in the section [`NAME`], without DWARF, and with the sections of `hidden` taken for data by
/// whoever does not know better.
pub(super) fn compose(elf: &[u8], payload: Vec<u8>, hidden: &[String]) -> Result<Vec<u8>, object::build::Error> {
    let mut builder = Builder::read64(elf)?;
    for section in builder.sections.iter_mut() {
        let name = section.name.as_slice();
        section.delete = LEFT_OUT.iter().any(|start| name.starts_with(start.as_bytes()));
        if hidden.iter().any(|hidden| hidden.as_bytes() == name) {
            section.sh_flags.0 &= !SHF_EXECINSTR.0;
        }
    }
    builder.delete_orphans();
    let section = builder.sections.add();
    section.name = NAME.as_bytes().into();
    section.sh_type = SHT_PROGBITS;
    section.sh_addralign = 8;
    section.data = SectionData::Data(payload.into());
    // clang keeps the names of sections among those of symbols.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab".as_slice().into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes)?;
    Ok(bytes)
}

/// The programs of `hidden` made programs again.
pub(super) fn show(elf: &mut [u8], hidden: &[String]) -> object::read::Result<()> {
    let places: Vec<Range<usize>> = {
        let header = FileHeader64::<LittleEndian>::parse(&*elf)?;
        let sections = header.sections(LittleEndian, &*elf)?;
        let named = hidden.iter().filter_map(|name| sections.section_by_name(LittleEndian, name.as_bytes()));
        let size = u64::from(header.e_shentsize(LittleEndian));
        let place = |index: SectionIndex| {
            let index = u64::try_from(index.0).ok()?;
            let start = header.e_shoff(LittleEndian).checked_add(index.checked_mul(size)?)?.checked_add(FLAGS)?;
            let start = usize::try_from(start).ok()?;
            Some(start..start.checked_add(8)?)
        };
        named.filter_map(|(index, _)| place(index)).collect()
    };
    for place in places {
        let Some(bytes) = elf.get_mut(place) else { continue };
        let Ok(flags) = <[u8; 8]>::try_from(&*bytes) else { continue };
        let flags = u64::from_le_bytes(flags) | SHF_EXECINSTR.0;
        bytes.copy_from_slice(&flags.to_le_bytes());
    }
    Ok(())
}

/// Where the contents of the section [`NAME`] are in the file; none where it has no such section.
pub(super) fn find(elf: &[u8]) -> object::read::Result<Option<Range<usize>>> {
    let header = FileHeader64::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, elf)?;
    let Some((_, section)) = sections.section_by_name(endian, NAME.as_bytes()) else { return Ok(None) };
    let range = section.file_range(endian).and_then(|(start, size)| {
        let start = usize::try_from(start).ok()?;
        Some(start..start.checked_add(usize::try_from(size).ok()?)?)
    });
    Ok(Some(range.filter(|range| range.end <= elf.len()).unwrap_or(0..0)))
}
