//! Line tables: source files by their number, and lines by their addresses.

use gimli::{AttributeValue, DebugLineOffset, LineProgramHeader, Reader as _};

use super::budget::Budget;
use super::sections::{Dwarf, Reader, Unit};
use crate::pattern::{Pattern, PatternForm};

/// The start of a line program that lists the source files: at most this long, in bytes.
const MAX_HEADER: usize = 16 << 20;

/// The names of a unit's source files.
#[derive(Debug, Default)]
pub(crate) struct FileNames<'s> {
    header: Option<LineProgramHeader<Reader<'s>>>,
}

impl<'s> FileNames<'s> {
    /// Those of the line table at `offset`; none where it cannot be read.
    pub(crate) fn of(dwarf: &Dwarf<'s>, unit: &Unit<'s>, offset: DebugLineOffset, budget: &Budget) -> Self {
        Self { header: header(dwarf, unit, offset, budget).ok() }
    }

    /// The path of the file of this number: absolute where the unit tells the folder that it was compiled in.
    pub(crate) fn path(&self, dwarf: &Dwarf<'s>, unit: &Unit<'s>, number: u64) -> Option<String> {
        let header = self.header.as_ref()?;
        let file = header.file(number)?;
        let text = |value: AttributeValue<Reader<'s>>| -> Option<String> {
            Some(dwarf.attr_string(unit, value).ok()?.to_string_lossy().ok()?.into_owned())
        };
        let name = text(file.path_name())?;
        if name.starts_with('/') {
            return Some(name);
        }
        // Folder 0 is the one of the compilation. Before DWARF 5 it is not in the table.
        let folder = match (file.directory_index(), header.version()) {
            (0, ..5) => None,
            (index, _) => header.directory(index).and_then(text),
        };
        let path = join(folder.as_deref().unwrap_or_default(), &name);
        if path.starts_with('/') {
            return Some(path);
        }
        let base = unit.comp_dir.and_then(|dir| Some(dir.to_string_lossy().ok()?.into_owned()));
        Some(join(base.as_deref().unwrap_or_default(), &path))
    }
}

impl<'s> FileNames<'s> {
    /// Those that `pattern` means, with their numbers.
    pub(crate) fn matching(&self, dwarf: &Dwarf<'s>, unit: &Unit<'s>, pattern: &Pattern) -> Vec<(u64, String)> {
        let (Some(header), PatternForm::Line { file: asked, .. }) = (&self.header, pattern.form()) else {
            return Vec::new();
        };
        // Most names differ in their last part, which costs least to compare.
        let last = asked.rsplit('/').next().unwrap_or(asked).as_bytes();
        // Numbers begin with 1 before DWARF 5, and with 0 from then on.
        let numbers = (0..=header.file_names().len()).filter_map(|number| u64::try_from(number).ok());
        numbers
            .filter(|number| {
                let name = header.file(*number).and_then(|file| dwarf.attr_string(unit, file.path_name()).ok());
                name.is_some_and(|name| name.to_slice().is_ok_and(|name| name.ends_with(last)))
            })
            .filter_map(|number| Some((number, self.path(dwarf, unit, number)?)))
            .filter(|(_, path)| pattern.matches_file(path))
            .collect()
    }
}

/// Reads the start of the line program at `offset`.
///
/// # Errors
///
/// When it is damaged, or longer than any that was made by a compiler.
pub(crate) fn header<'s>(
    dwarf: &Dwarf<'s>,
    unit: &Unit<'s>,
    offset: DebugLineOffset,
    budget: &Budget,
) -> gimli::Result<LineProgramHeader<Reader<'s>>> {
    // unit_length, version, (address_size, segment_selector_size,) header_length: DWARF 5, 6.2.4.
    let mut start = *gimli::Section::reader(&dwarf.debug_line);
    start.skip(offset.0)?;
    let (_, format) = start.read_initial_length()?;
    if start.read_u16()? >= 5 {
        start.skip(2)?;
    }
    let len = start.read_length(format)?;
    if len > MAX_HEADER {
        return Err(gimli::Error::TooManyIterations);
    }
    budget.spend(len)?;
    let program = dwarf.debug_line.program(offset, unit.header.address_size(), unit.comp_dir, unit.name)?;
    Ok(program.header().clone())
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() || name.starts_with('/') {
        return name.to_owned();
    }
    format!("{}/{name}", folder.trim_end_matches('/'))
}
