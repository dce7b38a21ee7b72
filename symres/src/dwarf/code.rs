//! Where the code of an entry is.

use gimli::{AttributeValue, DebuggingInformationEntry, constants};

use super::load::{Loaded, View};
use super::sections::Reader;

/// Of one entry: a function that is scattered over more ranges was made to keep its reader busy.
const MAX_RANGES: usize = 1 << 14;
/// What an address range takes in a list of them, at least about so many bytes.
const RANGE: usize = 8;

/// The code of a function's body or of an inlined copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// Where calls enter it.
    pub(crate) entry: u64,
    /// Begin and end of each of its parts, in the order in which they are listed.
    pub(crate) ranges: Vec<(u64, u64)>,
}

impl Code {
    /// Of all parts together, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.ranges.iter().fold(0, |sum: u64, (begin, end)| sum.saturating_add(end - begin))
    }

    pub(crate) fn contains(&self, addr: u64) -> bool {
        self.ranges.iter().any(|(begin, end)| (*begin..*end).contains(&addr))
    }
}

/// The code of an entry; none where it has none.
///
/// It is entered at `DW_AT_entry_pc`, else at `DW_AT_low_pc`, else at the start of the first of its ranges: that one is the
/// base address which DWARF 5 (2.17 and 2.18) makes the entry where none is given. `perf probe` and `gdb` do the same. GCC 4.1
/// and its next versions give none for inlined copies, and list the part with the entry first, wherever it is.
pub(crate) fn code_of<'s>(
    view: &View<'s>,
    home: &Loaded<'s>,
    entry: &DebuggingInformationEntry<Reader<'s>>,
) -> gimli::Result<Option<Code>> {
    let mut code = Code::default();
    let mut ranges = view.dwarf.die_ranges(&home.unit, entry)?;
    let mut low_pc = None;
    while let Some(range) = ranges.next()? {
        view.budget.spend(RANGE)?;
        if range.begin < range.end {
            code.ranges.push((range.begin, range.end));
        }
        if code.ranges.len() > MAX_RANGES {
            return Err(gimli::Error::TooManyIterations);
        }
    }
    if let Some(value) = entry.attr_value(constants::DW_AT_low_pc) {
        low_pc = view.dwarf.attr_address(&home.unit, value)?;
    }
    let first = code.ranges.first().map(|(begin, _)| *begin);
    // With ranges, `DW_AT_low_pc` is only their base, and often 0.
    let Some(base) = low_pc.filter(|low| first.is_none() || code.contains(*low)).or(first) else { return Ok(None) };
    let stated = match entry.attr_value(constants::DW_AT_entry_pc) {
        None => None,
        Some(value) => match view.dwarf.attr_address(&home.unit, value)? {
            Some(addr) => Some(addr),
            None => constant(&value).and_then(|offset| base.checked_add(offset)),
        },
    };
    code.entry = stated.filter(|addr| code.ranges.is_empty() || code.contains(*addr)).unwrap_or(base);
    Ok(Some(code))
}

/// DWARF 5 allows an offset from the base address.
fn constant(value: &AttributeValue<Reader<'_>>) -> Option<u64> {
    value.udata_value()
}
