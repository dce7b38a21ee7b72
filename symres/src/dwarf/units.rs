//! Which units a section of debug information has, without reading them.

use gimli::{DebugInfoUnitHeadersIter, Endianity};

use super::reader::{Section, SectionReader};

/// A browser with all its libraries has some fifty thousand units.
const MAX_UNITS: usize = 1 << 20;

/// Where a unit is in its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitSpan {
    /// Of its header.
    pub(crate) start: usize,
    /// Behind its last byte.
    pub(crate) end: usize,
}

/// The units of a section, in order.
#[derive(Debug, Default)]
pub(crate) struct Units {
    all: Vec<UnitSpan>,
    /// The chain of headers does not end where the section ends.
    pub(crate) damaged: bool,
}

impl Units {
    /// Follows the chain of headers: each tells how long its unit is (DWARF 5, 7.4 and 7.5.1).
    pub(crate) fn of(section: &Section<'_>) -> Self {
        let mut units = Self::default();
        let mut start = 0;
        while start < section.len() {
            let Some(end) = unit_end(section, start).filter(|_| units.all.len() < MAX_UNITS) else {
                units.damaged = true;
                break;
            };
            units.all.push(UnitSpan { start, end });
            start = end;
        }
        units
    }

    /// The first `most` of those that `gimli` lists, for what is not a whole section.
    pub(crate) fn in_headers(mut headers: DebugInfoUnitHeadersIter<SectionReader<'_>>, most: usize) -> Self {
        let mut units = Self::default();
        while let Ok(Some(header)) = headers.next()
            && units.all.len() < most
        {
            let start = header.offset().0;
            units.all.push(UnitSpan { start, end: start.saturating_add(header.length_including_self()) });
        }
        units
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<UnitSpan> {
        self.all.get(index).copied()
    }

    /// The index of the unit that the byte at `offset` belongs to.
    pub(crate) fn index_at(&self, offset: usize) -> Option<usize> {
        let index = self.all.partition_point(|unit| unit.start <= offset).checked_sub(1)?;
        self.get(index).filter(|unit| offset < unit.end).map(|_| index)
    }
}

/// Behind the last byte of the unit at `start`: none when its header is cut off or says that it is longer than its section.
fn unit_end(section: &Section<'_>, start: usize) -> Option<usize> {
    let mut word = [0; 4];
    section.fill(start, &mut word).ok()?;
    let (header, len) = match section.endian().read_u32(&word) {
        // 64-bit DWARF.
        0xffff_ffff => {
            let mut wide = [0; 8];
            section.fill(start.checked_add(4)?, &mut wide).ok()?;
            (12, usize::try_from(section.endian().read_u64(&wide)).ok()?)
        }
        0xffff_fff0.. => return None,
        len => (4, usize::try_from(len).ok()?),
    };
    start.checked_add(header)?.checked_add(len).filter(|end| *end <= section.len())
}

#[cfg(test)]
mod tests {
    use gimli::RunTimeEndian;

    use super::*;

    #[test]
    fn both_formats_chain() {
        let mut bytes = vec![3, 0, 0, 0, 1, 2, 3];
        bytes.extend([0xff; 4]);
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend([1, 2]);
        let section = Section::in_memory(&bytes, RunTimeEndian::Little);
        let units = Units::of(&section);
        let spans = [UnitSpan { start: 0, end: 7 }, UnitSpan { start: 7, end: 21 }];
        assert_eq!(units.all, spans);
        assert!(!units.damaged);
        assert_eq!([0, 6, 7, 20, 21].map(|at| units.index_at(at)), [Some(0), Some(0), Some(1), Some(1), None]);
    }

    #[test]
    fn a_chain_that_leaves_the_section_ends() {
        for bytes in [&[9, 0, 0, 0, 1][..], &[0xf3, 0xff, 0xff, 0xff, 0], &[1, 0], &[0xff; 16]] {
            let section = Section::in_memory(bytes, RunTimeEndian::Little);
            let units = Units::of(&section);
            assert!(units.damaged && units.len() == 0, "{bytes:?}");
        }
    }
}
