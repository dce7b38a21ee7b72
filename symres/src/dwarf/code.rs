//! Where the code of an entry is.

use gimli::{DebuggingInformationEntry, constants};

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
/// and its next versions give none for inlined copies, and list the part with the entry first, wherever it is. Later ones
/// give one outside of all ranges, or without any, where all that is left at the start of a copy is what its caller does too.
pub(crate) fn code_of<'s>(
    view: &View<'s>,
    home: &Loaded<'s>,
    entry: &DebuggingInformationEntry<Reader<'s>>,
) -> gimli::Result<Option<Code>> {
    let (dwarf, unit) = (&view.dwarf, &home.unit);
    let address = |value| dwarf.attr_address(unit, value);
    let mut code = Code::default();
    let low_pc = entry.attr_value(constants::DW_AT_low_pc).map(address).transpose()?.flatten();
    if let Some(value) = entry.attr_value(constants::DW_AT_ranges) {
        if let Some(mut ranges) = dwarf.attr_ranges(unit, value)? {
            // Empty ones and those of code that the linker removed are passed over.
            while let Some(range) = ranges.next()? {
                view.budget.spend(RANGE)?;
                code.ranges.push((range.begin, range.end));
                if code.ranges.len() > MAX_RANGES {
                    return Err(gimli::Error::TooManyIterations);
                }
            }
        }
    } else if let (Some(low), Some(value)) = (low_pc, entry.attr_value(constants::DW_AT_high_pc)) {
        let high = match address(value)? {
            Some(high) => Some(high),
            None => value.udata_value().and_then(|size| low.checked_add(size)),
        };
        code.ranges.extend(high.filter(|high| low < *high).map(|high| (low, high)));
    }
    let first = code.ranges.first().map(|(begin, _)| *begin);
    // With ranges, `DW_AT_low_pc` is only their base, and often 0.
    let base = low_pc.filter(|low| first.is_none() || code.contains(*low)).or(first);
    let stated = match entry.attr_value(constants::DW_AT_entry_pc) {
        None => None,
        Some(value) => match address(value)? {
            Some(addr) => Some(addr),
            // DWARF 5 allows an offset from the base address.
            None => base.zip(value.udata_value()).and_then(|(base, offset)| base.checked_add(offset)),
        },
    };
    let Some(addr) = stated.or(base) else { return Ok(None) };
    code.entry = addr;
    Ok(Some(code))
}
