//! Aligned columns.

use unicode_width::UnicodeWidthStr as _;

use super::cell::{Cell, Size};
use crate::escape::harmless;

/// No column is made wider than this, so that one long text does not push the others out of sight.
const MAX_WIDTH: usize = 40;
/// Room for a number from the start, so that columns need not move when numbers grow: a process id has 7 digits.
const NUMBER_WIDTH: usize = 7;
/// Room for a text from the start: a command name has 15 bytes.
const TEXT_WIDTH: usize = 15;

/// The columns of a table, as wide as what was seen in them.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    heading: String,
    width: usize,
    right: bool,
}

impl Columns {
    pub(super) fn new(headings: &[String]) -> Self {
        let column = |heading: &String| {
            let heading = harmless(heading).into_owned();
            Column { width: heading.width(), heading, right: false }
        };
        Self { columns: headings.iter().map(column).collect() }
    }

    /// Makes room for a row; whether a column became wider. With `more_to_come`, room for larger values as well.
    pub(super) fn widen(&mut self, row: &[Cell], more_to_come: bool) -> bool {
        let mut wider = false;
        for (column, cell) in self.columns.iter_mut().zip(row) {
            column.right |= cell.size == Size::Number;
            let least = match cell.size {
                Size::Number if more_to_come => NUMBER_WIDTH,
                Size::Text if more_to_come => TEXT_WIDTH,
                _ => 0,
            };
            let wanted = cell.text.width().min(MAX_WIDTH).max(least);
            if wanted > column.width {
                column.width = wanted;
                wider = true;
            }
        }
        wider
    }

    pub(super) fn heading(&self, into: &mut String) {
        let heading = |column: &Column| Cell::fixed(column.heading.clone());
        let row: Vec<Cell> = self.columns.iter().map(heading).collect();
        self.row(&row, into);
    }

    pub(super) fn row(&self, row: &[Cell], into: &mut String) {
        let last = self.columns.len().saturating_sub(1);
        for (index, (column, cell)) in self.columns.iter().zip(row).enumerate() {
            let blanks = column.width.saturating_sub(cell.text.width());
            if index > 0 {
                into.push_str("  ");
            }
            // A column of numbers holds `-` and the like at the right too.
            if column.right {
                into.extend(std::iter::repeat_n(' ', blanks));
            }
            into.push_str(&cell.text);
            if !column.right && index < last {
                into.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        into.push('\n');
    }
}
