//! Tables that go on from record to record.

use std::collections::HashMap;

use super::columns::{Columns, Row};

/// After so many lines under one heading it is repeated.
const HEADING_EVERY: u32 = 40;

/// The columns of each kind of event and of each map whose rows follow one another.
#[derive(Debug, Default)]
pub(super) struct Tables {
    all: Vec<Columns>,
    /// Which table has a name and headings.
    known: HashMap<(String, Vec<String>), TableId>,
    /// The table whose heading was written last, and the lines under it.
    under: Option<(TableId, u32)>,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableId(usize);

impl Tables {
    /// The table of that name with these headings.
    pub(super) fn of(&mut self, name: &str, headings: Vec<String>) -> TableId {
        let Self { all, known, .. } = self;
        *known.entry((name.to_owned(), headings)).or_insert_with_key(|(_, headings)| {
            all.push(Columns::new(headings));
            TableId(all.len() - 1)
        })
    }

    /// Adds rows to a table, under a heading where one is due: when another table was written in between, after many
    /// lines, and when columns became wider between whole reports.
    pub(super) fn add(&mut self, table: TableId, rows: &[Row], align: bool, into: &mut String) {
        let Some(columns) = self.all.get_mut(table.0) else { return };
        let mut wider = false;
        for row in rows {
            wider |= columns.widen(row, true);
        }
        let lines = match self.under {
            Some((last, lines)) if last == table && lines < HEADING_EVERY && !(wider && align) => lines,
            _ => {
                columns.heading(into);
                0
            }
        };
        for row in rows {
            columns.row(row, into);
        }
        let lines = lines.saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        self.under = Some((table, lines));
    }

    /// Something else is written: the next row needs a heading.
    pub(super) fn interrupt(&mut self) {
        self.under = None;
    }
}
