//! For people at a terminal: data in aligned columns, messages as lines that start with `dbcc:`.

mod cell;
mod columns;
mod histogram;
mod map;
mod message;

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::SystemTime;

use super::{Renderer, Settings, local};
use crate::decode::Value;
use crate::escape::{harmless, readable};
use crate::output::{Body, Output};
use cell::Cell;
use columns::Columns;

/// After so many lines under one heading it is repeated.
const HEADING_EVERY: u32 = 40;

/// Writes data as columns, and messages to the other writer.
pub(super) struct Text {
    settings: Settings,
    /// The columns of each kind of event and of each map whose rows follow one another, by heading.
    tables: HashMap<String, Columns>,
    /// The columns of `bpf_trace_printk` lines.
    prints: Option<Columns>,
    /// The table whose heading was written last, and the lines under it.
    under: Option<(String, u32)>,
}

impl Text {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, tables: HashMap::new(), prints: None, under: None }
    }

    /// Hours, minutes, seconds; with milliseconds where asked for.
    fn clock(&self, time: SystemTime, millis: bool) -> String {
        let format = if millis { "%H:%M:%S%.3f" } else { "%H:%M:%S" };
        local(time, &self.settings.zone).strftime(format).to_string()
    }

    /// Adds rows to a table that goes on from record to record, under a heading where one is due: when another table
    /// was written in between, after many lines, and when columns became wider between whole reports.
    fn stream(&mut self, table: &str, headings: &[String], rows: &[Vec<Cell>], align: bool, into: &mut String) {
        let key = format!("{table}\n{}", headings.join("\n"));
        let columns = self.tables.entry(key.clone()).or_insert_with(|| Columns::new(headings));
        let mut wider = false;
        for row in rows {
            wider |= columns.widen(row, true);
        }
        let lines = match &self.under {
            Some((last, lines)) if *last == key && *lines < HEADING_EVERY && !(wider && align) => *lines,
            _ => {
                columns.heading(into);
                0
            }
        };
        for row in rows {
            columns.row(row, into);
        }
        let lines = lines.saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        self.under = Some((key, lines));
    }

    fn event(&mut self, time: SystemTime, map: &str, kind: &str, fields: &[(String, Value)]) -> String {
        let mut flat = Vec::new();
        for (name, value) in fields {
            cell::flatten(name, value, &mut flat);
        }
        let time_cell = ("time".to_owned(), Cell::fixed(self.clock(time, true)));
        let (headings, row): (Vec<String>, Vec<Cell>) = std::iter::once(time_cell).chain(flat).unzip();
        let mut text = String::new();
        self.stream(&format!("{map}\n{kind}"), &headings, &[row], false, &mut text);
        text
    }

    /// Lines of the probe's own stand without a heading, and leave the heading of the events around them in force.
    fn print(&mut self, time: SystemTime, message: &str, pid: u32, tid: u32, comm: &str) -> String {
        let number = |of: u32| Cell::of(&Value::Unsigned(of.into()));
        let text = |of: &str| Cell::of(&Value::Text(of.as_bytes().to_vec()));
        let row = [Cell::fixed(self.clock(time, true)), text(comm), number(pid), number(tid), text(message)];
        let columns = self.prints.get_or_insert_with(|| Columns::new(&[const { String::new() }; 5]));
        columns.widen(&row, true);
        let mut line = String::new();
        columns.row(&row, &mut line);
        line
    }
}

impl Renderer for Text {
    fn record(&mut self, output: &Output, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
        let text = match &output.body {
            Body::Event { map, kind, fields } => self.event(output.time, map, kind, fields),
            Body::Print { message, pid, tid, comm, .. } => self.print(output.time, message, *pid, *tid, comm),
            Body::Map { .. } => self.map(output),
            Body::Text { bytes, .. } => {
                self.under = None;
                let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                // Tabs are what such text is aligned with.
                let plain = |line: &[u8]| {
                    let text = readable(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
                    text.split('\t').map(|part| harmless(part).into_owned()).collect::<Vec<_>>().join("\t") + "\n"
                };
                lines.map(plain).collect()
            }
            _ => String::new(),
        };
        if !text.is_empty() {
            out.write_all(text.as_bytes())?;
        }
        let message = message::of(&output.body, self.settings.verbose);
        if !message.is_empty() {
            err.write_all(message.as_bytes())?;
        }
        Ok(())
    }
}
