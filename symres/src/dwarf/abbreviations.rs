//! What the abbreviations of a whole file say about its entries, without reading any.

use std::ops::ControlFlow;

use gimli::constants;

use super::reader::Section;
use super::stream::pieces;

/// Larger tables are not looked through: anything may be in them. A browser has 20 MB.
const MAX_LEN: usize = 64 << 20;

/// Whether functions refer to entries beyond their unit by `DW_AT_abstract_origin` or `DW_AT_specification`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaves {
    /// To other units: after link-time optimisation, or `dwz`.
    pub(super) unit: bool,
    /// To the supplementary file.
    pub(super) file: bool,
}

impl Leaves {
    /// Looks through all tables, unless no byte of them looks like such a reference. They stand one behind another (DWARF 5,
    /// 7.5.3); where something else stands there, the answer is that they may.
    ///
    /// # Errors
    ///
    /// When the section cannot be read.
    pub(super) fn of(section: &Section<'_>) -> gimli::Result<Self> {
        if pieces(section, 0..section.len(), AROUND, |_, bytes| may_leave(bytes))?.is_none() {
            return Ok(Self { unit: false, file: false });
        }
        if section.len() > MAX_LEN {
            return Ok(Self { unit: true, file: true });
        }
        let read;
        let bytes = match section.memory()? {
            Some(bytes) => bytes,
            None => {
                let mut buffer = vec![0; section.len()];
                section.fill(0, &mut buffer)?;
                read = buffer;
                &read
            }
        };
        let mut leaves = Self { unit: false, file: false };
        leaves.look_through(bytes).unwrap_or_else(|| leaves = Self { unit: true, file: true });
        Ok(leaves)
    }

    /// None where the bytes are not tables of abbreviations.
    fn look_through(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            if number(&mut bytes)? == 0 {
                // The end of a table.
                continue;
            }
            number(&mut bytes)?;
            if !matches!(bytes.split_off_first(), Some(0 | 1)) {
                return None;
            }
            loop {
                let (name, form) = (number(&mut bytes)?, number(&mut bytes)?);
                if form == u64::from(constants::DW_FORM_implicit_const.0) {
                    number(&mut bytes)?;
                }
                if name == 0 && form == 0 {
                    break;
                }
                self.note(name, form);
            }
        }
        Some(())
    }

    fn note(&mut self, name: u64, form: u64) {
        let origin = [constants::DW_AT_abstract_origin, constants::DW_AT_specification];
        let (Ok(name), Ok(form)) = (u16::try_from(name), u16::try_from(form)) else { return };
        if !origin.contains(&constants::DwAt(name)) {
            return;
        }
        match constants::DwForm(form) {
            constants::DW_FORM_ref_addr => self.unit = true,
            constants::DW_FORM_GNU_ref_alt | constants::DW_FORM_ref_sup4 | constants::DW_FORM_ref_sup8 => {
                self.file = true;
            }
            // The form is told by each entry.
            constants::DW_FORM_indirect => *self = Self { unit: true, file: true },
            _ => {}
        }
    }
}

/// How many bytes [`looks_like_reference`] looks at.
const AROUND: usize = 4;

/// Breaks off where an attribute may be a reference beyond its unit. Reading all tables of MySQL, which has none, takes ten
/// times as long.
fn may_leave(bytes: &[u8]) -> ControlFlow<()> {
    // The first attribute has three bytes before it. What is around the end of a block is looked at with the next one.
    let mut from = 0;
    while let Some(rest) = bytes.get(from..).filter(|rest| rest.len() >= AROUND) {
        let block = rest.get(..BLOCK).unwrap_or(rest);
        if block_may_leave(block) {
            return ControlFlow::Break(());
        }
        from += block.len() - (AROUND - 1);
    }
    ControlFlow::Continue(())
}

fn block_may_leave(block: &[u8]) -> bool {
    let behind = |by: usize| block.get(by..).unwrap_or_default();
    let around = block.iter().zip(behind(1)).zip(behind(2).iter().zip(behind(3)));
    around.fold(false, |found, ((a, b), (c, d))| found | looks_like_reference([*a, *b, *c, *d]))
}

/// So many bytes are looked at without a branch, which the compiler makes vector instructions of.
const BLOCK: usize = 16 << 10;

/// Whether the last two of these bytes may be the name and the form of an origin that leaves its unit, or stand in a number
/// that is longer than it has to be, so that its bytes tell nothing.
///
/// Behind two zeros begins an abbreviation or a table, never an attribute: no tag and no form is 0 (DWARF 5, 7.5.3).
fn looks_like_reference([second_last, last, name, form]: [u8; AROUND]) -> bool {
    let origin = (name == 0x31) | (name == 0x47);
    let leaves = (form == 0x10) | (form == 0x16) | (form == 0xa0) | (form == 0x1c) | (form == 0x24);
    let behind_zeros = (second_last == 0) & (last == 0);
    (origin & leaves & !behind_zeros) | ((name >= 0x80) & (form == 0)) | ((last >= 0x80) & (name == 0))
}

/// A number in LEB128, of which the lowest 64 bits count. Nearly all of them are one byte.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use gimli::RunTimeEndian;

    use super::*;

    #[track_caller]
    fn check(tables: &[u8], unit: bool, file: bool) {
        let section = Section::in_memory(tables, RunTimeEndian::Little);
        assert_eq!(Leaves::of(&section).unwrap(), Leaves { unit, file }, "{tables:x?}");
    }

    #[test]
    fn forms_of_origins() {
        check(&[], false, false);
        // Abbreviation 0x31 of a reference type (tag 0x10) with an abstract origin in the same unit; the end of the table.
        check(&[0x31, 0x10, 0, 0x31, 0x13, 0, 0, 0], false, false);
        check(&[1, 0x2e, 0, 0x31, 0x13, 0, 0, 0, 1, 0x1d, 1, 0x31, 0x10, 0, 0, 0], true, false);
        check(&[1, 0x2e, 0, 0x47, 0xa0, 0x3e, 0, 0, 0], false, true);
        check(&[1, 0x2e, 0, 0x03, 0x21, 0x80, 0x7f, 0x47, 0x1c, 0, 0, 0], false, true);
        check(&[1, 0x2e, 0, 0x47, 0x16, 0, 0, 0], true, true);
    }

    #[test]
    fn what_cannot_be_read_may_be_anything() {
        check(&[1, 0x2e, 7, 0x31, 0x10], true, true);
        check(&[1, 0x2e, 1, 0x47, 0x1c], true, true);
        check(&[0x81, 0, 0x2e, 0, 0xb1, 0x00, 0x10, 0, 0, 0], true, false);
    }

    #[test]
    fn what_has_no_such_bytes_is_not_read() {
        check(&[1, 0x2e, 7], false, false);
        check(&[1, 0x2e, 0, 0x31], false, false);
        check(&[0xff; 40], false, false);
    }

    /// Wherever blocks and pieces of the section end.
    #[test]
    fn one_reference_among_many_tables() {
        let plain = [1, 0x2e, 0, 0x03, 0x08, 0x31, 0x13, 0, 0, 0];
        let leaving = [1, 0x2e, 0, 0x03, 0x08, 0x31, 0x10, 0, 0, 0];
        for at in [0, 1, 1637, 1638, 1639, 3275, 3276, 3277, 9_999] {
            let mut tables = plain.repeat(10_000);
            tables[at * 10..at * 10 + 10].copy_from_slice(&leaving);
            check(&tables, true, false);
        }
        check(&plain.repeat(10_000), false, false);
    }
}
