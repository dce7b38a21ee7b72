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

const BLANKS: &str = "                                        ";

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
    pub(super) fn widen(&mut self, row: &Row, more_to_come: bool) -> bool {
        let mut wider = false;
        for (column, cell) in self.columns.iter_mut().zip(&row.cells) {
            column.right |= cell.size == Size::Number;
            let least = match cell.size {
                Size::Number if more_to_come => NUMBER_WIDTH,
                Size::Text if more_to_come => TEXT_WIDTH,
                _ => 0,
            };
            let wanted = cell.width.min(MAX_WIDTH).max(least);
            if wanted > column.width {
                column.width = wanted;
                wider = true;
            }
        }
        wider
    }

    pub(super) fn heading(&self, into: &mut String) {
        self.line(self.columns.iter().map(|column| (column.heading.as_str(), column.heading.width())), into);
    }

    pub(super) fn row(&self, row: &Row, into: &mut String) {
        self.line(row.iter().map(|(cell, text)| (text, cell.width)), into);
    }

    /// Writes cells, each with its width.
    fn line<'t>(&self, cells: impl Iterator<Item = (&'t str, usize)>, into: &mut String) {
        let last = self.columns.len().saturating_sub(1);
        for (index, (column, (text, width))) in self.columns.iter().zip(cells).enumerate() {
            let blanks = column.width.saturating_sub(width);
            if index > 0 {
                into.push_str("  ");
            }
            // A column of numbers holds `-` and the like at the right too.
            if column.right {
                pad(blanks, into);
            }
            into.push_str(text);
            if !column.right && index < last {
                pad(blanks, into);
            }
        }
        into.push('\n');
    }
}

fn pad(blanks: usize, into: &mut String) {
    let most = BLANKS.len();
    for _ in 0..blanks / most {
        into.push_str(BLANKS);
    }
    into.push_str(BLANKS.get(..blanks % most).unwrap_or_default());
}

/// The cells of a row, their text one behind the other, so that one row after the other can be made without allocating.
#[derive(Debug, Default)]
pub(super) struct Row {
    text: String,
    cells: Vec<Place>,
}

/// Where the text of a cell ends, and how wide it is.
#[derive(Debug)]
struct Place {
    end: usize,
    width: usize,
    size: Size,
}

impl Row {
    pub(super) fn of(cells: &[Cell]) -> Self {
        let mut row = Self::default();
        for cell in cells {
            row.push(cell.size, |text| text.push_str(&cell.text));
        }
        row
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
    }

    /// Appends a cell, whose text is written behind that of the others.
    pub(super) fn push(&mut self, size: Size, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        let added = self.text.get(start..).unwrap_or_default();
        // Of ASCII, only controls have no width, and there are none in a cell.
        let width = if added.is_ascii() { added.len() } else { added.width() };
        self.cells.push(Place { end: self.text.len(), width, size });
    }

    fn iter(&self) -> impl Iterator<Item = (&Place, &str)> {
        let starts = std::iter::once(0).chain(self.cells.iter().map(|cell| cell.end));
        self.cells.iter().zip(starts).map(|(cell, start)| (cell, self.text.get(start..cell.end).unwrap_or_default()))
    }
}
