//! Maps as tables.
//!
//! With a layout that has a column for the time, the rows of all intervals are one table that goes on. Else each interval
//! is a block of its own, under a line with the time and the map's name.

use super::cell::{self, Cell};
use super::columns::{Columns, Row};
use super::{Text, histogram};
use crate::decode::Value;
use crate::escape::harmless;
use crate::output::{Body, Cell as Shown, Layout, MapRow, Measure, Output};

impl Text {
    pub(super) fn map(&mut self, output: &Output) -> String {
        let Body::Map { map, rows, layout, histogram, elapsed, more, .. } = &output.body else { return String::new() };
        let clock = self.clock(output.time, false).text;
        let mut sorted: Vec<&MapRow> = rows.iter().collect();
        if more.is_none() {
            sorted.sort_by(|a, b| a.key.order(&b.key));
        }
        if sorted.is_empty() {
            self.tables.interrupt();
            return format!("{clock}  {}: no entries\n", harmless(map));
        }
        if let (None, Some(scale)) = (layout, histogram) {
            self.tables.interrupt();
            return format!("{clock}  {}\n{}\n", harmless(map), histogram::of(&sorted, *scale, self.settings.rows));
        }
        let hidden = sorted.len().saturating_sub(self.settings.rows).saturating_add(more.unwrap_or(0));
        sorted.truncate(self.settings.rows);
        let (headings, cells) = match layout {
            Some(layout) => by_layout(layout, &sorted, *elapsed, &clock),
            None => by_fields(&sorted),
        };
        let cells: Vec<Row> = cells.iter().map(|row| Row::of(row)).collect();
        let mut text = String::new();
        let streams = layout.as_ref().is_some_and(|layout| layout.columns.iter().any(|c| c.cell == Shown::Time));
        if streams {
            let table = self.tables.of(map, headings);
            self.tables.add(table, &cells, true, &mut text);
        } else {
            self.tables.interrupt();
            let cpus = if layout.is_none() { summed_over(&sorted) } else { String::new() };
            text.push_str(&format!("{clock}  {}{cpus}\n", harmless(map)));
            let mut columns = Columns::new(&headings);
            for row in &cells {
                columns.widen(row, false);
            }
            columns.heading(&mut text);
            for row in &cells {
                columns.row(row, &mut text);
            }
        }
        if hidden > 0 {
            let entries = if hidden == 1 { "entry" } else { "entries" };
            let help = if more.is_some() { "" } else { "; --json writes all" };
            text.push_str(&format!("… and {hidden} more {entries}{help}\n"));
        }
        if !streams {
            text.push('\n');
        }
        text
    }
}

fn by_layout(layout: &Layout, rows: &[&MapRow], elapsed: f64, clock: &str) -> (Vec<String>, Vec<Vec<Cell>>) {
    let headings = layout.columns.iter().map(|column| column.heading.clone()).collect();
    let cell = |row: &MapRow, shown: &Shown| match shown {
        Shown::Time => Cell::fixed(clock),
        Shown::Field { path, measure: Measure::PerSecond, unit } => {
            Cell::per_second(row.per_second(path, elapsed), *unit)
        }
        Shown::Field { path, measure: Measure::Total, unit } => {
            let found = row.at(path);
            let value = found.as_deref().map(|value| value.sum().unwrap_or_else(|| value.clone()));
            value.map_or_else(|| Cell::fixed("-"), |value| Cell::in_unit(&value, *unit))
        }
    };
    let cells = rows.iter().map(|row| layout.columns.iter().map(|column| cell(row, &column.cell)).collect());
    (headings, cells.collect())
}

/// Every field of the key, then every field of the value. A field that both have is written `key.x` and `value.x`.
fn by_fields(rows: &[&MapRow]) -> (Vec<String>, Vec<Vec<Cell>>) {
    let mut headings: Vec<String> = Vec::new();
    let mut cells = Vec::with_capacity(rows.len());
    for row in rows {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        cell::flatten("key", &row.key, &mut key);
        cell::flatten("value", &row.value, &mut value);
        if headings.is_empty() {
            let short = |name: &String| name.split_once('.').map_or(name.as_str(), |(_, field)| field).to_owned();
            let shorts: Vec<String> = key.iter().chain(&value).map(|(name, _)| short(name)).collect();
            headings = key
                .iter()
                .chain(&value)
                .zip(&shorts)
                .map(|((name, _), short)| {
                    let unique = shorts.iter().filter(|other| *other == short).count() == 1;
                    if unique { short.clone() } else { name.clone() }
                })
                .collect();
        }
        cells.push(key.into_iter().chain(value).map(|(_, cell)| cell).collect());
    }
    (headings, cells)
}

/// Says that the numbers of a per-CPU map are sums.
fn summed_over(rows: &[&MapRow]) -> String {
    match rows.first().map(|row| &row.value) {
        Some(value @ Value::PerCpu(cpus)) if value.sum().is_some() => format!(" (sums over {} CPUs)", cpus.len()),
        _ => String::new(),
    }
}
