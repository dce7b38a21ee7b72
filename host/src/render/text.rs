//! For people at a terminal: data in aligned columns, messages as lines that start with `dbcc:`.

mod cell;
mod columns;
mod histogram;
mod map;
mod message;
mod tables;

use std::io::{self, Write};
use std::time::SystemTime;

use super::clock::Clock;
use super::{Renderer, Settings};
use crate::decode::{EventType, Value};
use crate::escape::{harmless, readable};
use crate::output::{Body, Events, Output};
use cell::{Cell, Size};
use columns::{Columns, Row};
use tables::{TableId, Tables};

/// Writes data as columns, and messages to the other writer.
pub(super) struct Text {
    settings: Settings,
    clock: Clock,
    tables: Tables,
    /// The columns of `bpf_trace_printk` lines.
    prints: Option<Columns>,
    /// What is written to the data writer next, and the row that is being made: kept for their memory.
    text: String,
    row: Row,
}

impl Text {
    pub(super) fn new(settings: Settings) -> Self {
        let clock = Clock::new(settings.zone.clone(), "%H:%M:%S", "");
        let (tables, text, row) = Default::default();
        Self { settings, clock, tables, prints: None, text, row }
    }

    /// A cell with hours, minutes, seconds; with milliseconds where asked for.
    fn clock(&mut self, time: SystemTime, millis: bool) -> Cell {
        let mut text = String::new();
        self.clock.write(time, if millis { 3 } else { 0 }, &mut text);
        Cell::fixed(text)
    }

    fn event(&mut self, time: SystemTime, map: &str, kind: &str, fields: &[(String, Value)]) {
        let mut flat = Vec::new();
        for (name, value) in fields {
            cell::flatten(name, value, &mut flat);
        }
        let time_cell = ("time".to_owned(), self.clock(time, true));
        let (headings, row): (Vec<String>, Vec<Cell>) = std::iter::once(time_cell).chain(flat).unzip();
        let table = self.tables.of(&format!("{map}\n{kind}"), headings);
        self.tables.add(table, &[Row::of(&row)], false, &mut self.text);
    }

    /// Events that are still bytes. Nothing is allocated for an event of a kind that was seen before, but for text that is
    /// no UTF-8 or that a terminal would obey.
    fn events(&mut self, events: &Events) {
        let mut known: Option<(&EventType, TableId)> = None;
        for (event, kind) in events.iter() {
            let table = match known {
                Some((last, table)) if std::ptr::eq(last, kind) => table,
                _ => {
                    let headings = std::iter::once("time").chain(kind.paths()).map(str::to_owned).collect();
                    self.tables.of(&format!("{}\n{}", events.map(), kind.name), headings)
                }
            };
            known = Some((kind, table));
            self.row.clear();
            self.row.push(Size::Fixed, |text| self.clock.write(event.time, 3, text));
            for value in kind.leaves(event.bytes) {
                self.row.push(Size::of(value), |text| cell::write(value, text));
            }
            self.tables.add(table, std::slice::from_ref(&self.row), false, &mut self.text);
        }
    }

    /// Lines of the probe's own stand without a heading, and leave the heading of the events around them in force.
    fn print(&mut self, time: SystemTime, message: &str, pid: u32, tid: u32, comm: &str) {
        let number = |of: u32| Cell::of(&Value::Unsigned(of.into()));
        let text = |of: &str| Cell::of(&Value::Text(of.as_bytes().to_vec()));
        let row = [self.clock(time, true), text(comm), number(pid), number(tid), text(message)];
        let row = Row::of(&row);
        let columns = self.prints.get_or_insert_with(|| Columns::new(&[const { String::new() }; 5]));
        columns.widen(&row, true);
        columns.row(&row, &mut self.text);
    }
}

impl Renderer for Text {
    fn record(&mut self, output: &Output, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        self.text.clear();
        match &output.body {
            Body::Events(events) => self.events(events),
            Body::Event { map, kind, fields } => self.event(output.time, map, kind, fields),
            Body::Print { message, pid, tid, comm, .. } => self.print(output.time, message, *pid, *tid, comm),
            Body::Map { .. } => self.text = self.map(output),
            Body::Text { bytes, .. } => {
                self.tables.interrupt();
                let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                // Tabs are what such text is aligned with.
                let plain = |line: &[u8]| {
                    let text = readable(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
                    text.split('\t').map(|part| harmless(part).into_owned()).collect::<Vec<_>>().join("\t") + "\n"
                };
                self.text.extend(lines.map(plain));
            }
            _ => {}
        }
        if !self.text.is_empty() {
            out.write_all(self.text.as_bytes())?;
        }
        let message = message::of(&output.body, self.settings.verbose);
        if !message.is_empty() {
            err.write_all(message.as_bytes())?;
        }
        Ok(())
    }
}
