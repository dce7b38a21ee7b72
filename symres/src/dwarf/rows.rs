//! Rows of line tables: which line of the source each address belongs to (DWARF 5, 6.2).

use gimli::DebugLineOffset;

use super::budget::Budget;
use super::lines::header;
use super::sections::{Dwarf, Unit};

/// A row, with where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) begin: u64,
    /// The start of the next row: the addresses up to it belong to this line. It may be `begin`: lines that came to share an
    /// instruction all have a row there, of which the last one counts.
    pub(super) end: u64,
    /// The number of the source file in the table.
    pub(super) file: u64,
    /// 0 where the code belongs to no line.
    pub(super) line: u32,
    /// The first instruction of a statement, at which to stop: by this row, or by an empty one of the same line there.
    pub(super) is_stmt: bool,
}

/// Calls `visit` with each row of the line table at `offset`, in the order of the table.
///
/// # Errors
///
/// When the table is damaged: what is in front of the damage was visited.
pub(super) fn rows<'s>(
    dwarf: &Dwarf<'s>,
    unit: &Unit<'s>,
    offset: DebugLineOffset,
    budget: &Budget,
    mut visit: impl FnMut(Row),
) -> gimli::Result<()> {
    let header = header(dwarf, unit, offset, budget)?;
    budget.spend(header.unit_length())?;
    let program = dwarf.debug_line.program(offset, unit.header.address_size(), unit.comp_dir, unit.name)?;
    let mut rows = program.rows();
    let mut last: Option<Row> = None;
    // The lines of the empty rows in front of `last` at its address, of those at which to stop.
    let mut stops: Vec<(u64, u32)> = Vec::new();
    while let Some((_, row)) = rows.next_row()? {
        if let Some(mut last) = last.take() {
            last.end = row.address();
            if last.begin < last.end {
                last.is_stmt |= stops.contains(&(last.file, last.line));
                stops.clear();
            } else if last.is_stmt {
                stops.push((last.file, last.line));
            }
            // At the end of a sequence there is no instruction.
            if last.begin < last.end || !row.end_sequence() {
                visit(last);
            }
        }
        if row.end_sequence() {
            stops.clear();
        } else {
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0);
            let (begin, file) = (row.address(), row.file_index());
            last = Some(Row { begin, end: begin, file, line, is_stmt: row.is_stmt() });
        }
    }
    Ok(())
}
