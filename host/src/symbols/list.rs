//! `dbcc symbols --list`: all functions of a binary, a line each.

use symres::{Binary, Function, Pattern};

use super::sites::{Sites, Tally};
use super::table::{Columns, cells};
use super::text::{Sink, counted};
use super::{json, tables, write_binary};
use crate::cli::SymbolsArgs;
use crate::escape::harmless;
use crate::lookup::Lookup;
use crate::render::object_line;

/// What every function's name fits.
pub(crate) const ALL: &str = "/./";

/// Lists the functions that fit the pattern, or all. Says whether there are any.
///
/// # Errors
///
/// When the binary cannot be read, or the output cannot be written.
pub(super) fn run(
    binary: &Binary,
    pattern: Option<&Pattern>,
    args: &SymbolsArgs,
    lookup: &Lookup,
    to: &mut Sink<'_>,
) -> anyhow::Result<bool> {
    let all: Pattern = ALL.parse()?;
    let pattern = pattern.unwrap_or(&all);
    let answer = if args.json { binary.functions(pattern)? } else { binary.functions_in_brief(pattern)? };
    lookup.clear();
    let functions = &answer.matches;
    let sites = args.sites.then(|| Sites::new(binary));
    if args.json {
        for note in binary.notes().iter().chain(&answer.notes) {
            object_line(to.out, json::note(binary, note))?;
        }
        for function in functions {
            object_line(to.out, json::function("symbol", binary, function, sites.as_ref()))?;
        }
        return Ok(!functions.is_empty());
    }
    write_binary(binary, to)?;
    for note in &answer.notes {
        to.prose("note: ", &harmless(note))?;
    }
    let rows: Vec<[String; 4]> = functions.iter().map(row).collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let columns = Columns::new(widths);
    if !rows.is_empty() {
        to.line(&columns.title())?;
    }
    let mut copies = 0;
    for (function, row) in functions.iter().zip(&rows) {
        let inlined = function.inlined().count();
        copies += inlined;
        let mut name = harmless(&function.name).into_owned();
        if inlined > 0 {
            name.push_str(&format!("  (inlined {})", counted(inlined, "time", "times")));
        }
        to.line(&format!("{}{name}", columns.start(row.each_ref().map(String::as_str))))?;
    }
    let copies = match copies {
        0 => String::new(),
        copies => format!(", {}", counted(copies, "inlined copy", "inlined copies")),
    };
    to.line(&format!("{}{copies} ({})", counted(functions.len(), "function", "functions"), tables(&answer)))?;
    if let Some(summary) = sites.map(|sites| sites.tally(functions)).transpose()?.and_then(Tally::summary) {
        to.line(&summary)?;
    }
    Ok(!functions.is_empty())
}

fn row(function: &Function) -> [String; 4] {
    let tables: Vec<&str> = function.tables.iter().map(|table| table.name()).collect();
    cells(function.body(), &tables.join(","))
}
