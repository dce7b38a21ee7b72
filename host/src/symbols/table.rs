//! Functions as a table for people: a row for each place, the inlined copies under their function.

use std::collections::BTreeSet;
use std::io;

use symres::{Argument, Caller, Function, Machine, Place, PlaceKind, Role, Signature};

use super::Details;
use super::text::{Sink, counted, source_line};
use crate::escape::harmless;

/// The most names of other functions with the same code that are listed for one.
const MOST_ALIASES: usize = 8;

/// What stands in a column that says nothing here.
const NOTHING: &str = "-";

/// A row: its first columns, and the lines of the last one.
struct Row {
    cells: [String; 4],
    lines: Vec<String>,
}

/// Widths of the first columns.
pub(super) struct Columns([usize; 4]);

const TITLES: [&str; 4] = ["ADDRESS", "OFFSET", "SIZE", "TABLE"];

impl Columns {
    pub(super) fn new(widths: [usize; 4]) -> Self {
        let mut own = TITLES.map(str::len);
        for (own, width) in own.iter_mut().zip(widths) {
            *own = (*own).max(width);
        }
        Self(own)
    }

    fn of(rows: &[Row]) -> Self {
        let mut widths = [0; 4];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.len());
            }
        }
        Self::new(widths)
    }

    /// What stands before the last column. Sizes are right-aligned.
    pub(super) fn start(&self, cells: [&str; 4]) -> String {
        let [address, offset, size, table] = self.0;
        let [a, o, s, t] = cells;
        format!("{a:<address$}  {o:<offset$}  {s:>size$}  {t:<table$}  ")
    }

    pub(super) fn title(&self) -> String {
        format!("{}FUNCTION", self.start(TITLES))
    }
}

/// Writes functions as a table with its heading, and what is to be known of them below it.
///
/// `more` adds lines about a place.
pub(super) fn write(
    machine: Machine,
    functions: &[Function],
    details: Details,
    more: &dyn Fn(&Place) -> Vec<String>,
    to: &mut Sink<'_>,
) -> io::Result<()> {
    let mut rows: Vec<Row> = functions.iter().flat_map(|function| rows(machine, function, details, more)).collect();
    if to.is_narrow() {
        rows.iter_mut().for_each(|row| shorten(&mut row.cells));
    }
    let columns = Columns::of(&rows);
    to.line(&columns.title())?;
    let indent = columns.start([""; 4]);
    for row in &rows {
        let mut start = columns.start(row.cells.each_ref().map(String::as_str));
        for line in &row.lines {
            // Blanks at the start of a line are an indentation of the column, where it goes on below.
            let text = line.trim_start();
            let deeper = line.len() - text.len();
            start.push_str(&" ".repeat(deeper));
            // A mangled name is there to be copied.
            match text.starts_with("_Z") || text.starts_with("_R") {
                true => to.line(&format!("{start}{text}"))?,
                false => to.last_column(&start, text)?,
            }
            start.clone_from(&indent);
        }
    }
    // Each caution once: a table of a hundred thunks stays readable.
    let roles: BTreeSet<Role> = functions.iter().map(|function| function.role).collect();
    for role in roles {
        if let Some(caution) = role.caution() {
            to.prose(&format!("({}): ", role.name()), caution)?;
        }
    }
    Ok(())
}

/// The first table alone, and how many others know the function too.
fn shorten([_, _, _, tables]: &mut [String; 4]) {
    if let Some((first, others)) = tables.split_once(',') {
        *tables = format!("{first} +{}", others.split(',').count());
    }
}

/// The rows of one function: its body and what is known of it, then its inlined copies.
fn rows(machine: Machine, function: &Function, details: Details, more: &dyn Fn(&Place) -> Vec<String>) -> Vec<Row> {
    let body = function.body();
    let tables: Vec<&str> = function.tables.iter().map(|table| table.name()).collect();
    let mut lines = vec![headline(function, body)];
    if details.brief {
        return vec![Row { cells: cells(body, &tables.join(",")), lines }];
    }
    // Without a linkage name there is nothing to copy but the same name.
    let is_own = function.name.strip_prefix(function.mangled.as_str()).is_some_and(|rest| rest.starts_with('('));
    if function.mangled != function.name && !is_own {
        lines.push(harmless(&function.mangled).into_owned());
    }
    if let Some(declared) = &function.declared {
        lines.push(format!("declared at {}", source_line(declared)));
    }
    if let Some(PlaceKind::Inside { line, inlined, .. }) = body.map(|place| &place.kind) {
        lines.extend(line.as_ref().map(|line| format!("at {}", source_line(line))));
        lines.extend(chain(inlined).map(|chain| format!("inlined here: {chain}")));
    }
    for alias in function.aliases.iter().take(MOST_ALIASES) {
        let other = if alias.name == function.name { &alias.mangled } else { &alias.name };
        lines.push(format!("same code: {}", harmless(other)));
    }
    if let Some(more) = function.aliases.len().checked_sub(MOST_ALIASES).filter(|more| *more > 0) {
        lines.push(format!("same code: {more} more"));
    }
    if function.places.is_empty() {
        lines.push("no code of it is left".to_owned());
    }
    if details.arguments {
        lines.extend(function.signature.iter().flat_map(|signature| returns(machine, signature)));
        lines.extend(arguments(machine, function.signature.as_ref(), body, ""));
        if function.signature.is_none() {
            lines.push("its parameters are not known".to_owned());
        }
    }
    lines.extend(body.into_iter().flat_map(more));
    let first = Row { cells: cells(body, &tables.join(",")), lines };
    let inlined = function.inlined().map(|(place, inlined)| {
        let mut lines = vec![format!("  {}", into(&inlined.callers))];
        if details.arguments {
            lines.extend(arguments(machine, function.signature.as_ref(), Some(place), "    "));
        }
        lines.extend(more(place).into_iter().map(|line| format!("    {line}")));
        Row { cells: cells(Some(place), ""), lines }
    });
    std::iter::once(first).chain(inlined).collect()
}

/// The name with what a probe on it would see.
fn headline(function: &Function, body: Option<&Place>) -> String {
    let mut text = harmless(&function.name).into_owned();
    match body.map(|place| &place.kind) {
        Some(PlaceKind::Inside { from_entry, .. }) if from_entry.0 > 0 => {
            text.push_str(&format!("+{:#x}", from_entry.0))
        }
        _ => {}
    }
    match function.role {
        Role::Whole => {}
        role => text.push_str(&format!("  ({})", role.name())),
    }
    text
}

pub(super) fn cells(place: Option<&Place>, tables: &str) -> [String; 4] {
    let number = |number: Option<String>| number.unwrap_or_else(|| NOTHING.to_owned());
    [
        number(place.map(|place| place.addr.to_string())),
        number(place.map(|place| place.offset.to_string())),
        number(place.map(|place| place.size.to_string())),
        tables.to_owned(),
    ]
}

/// `inlined into g(int) at sql/a.cc:12, itself into main at sql/a.cc:40`.
fn into(callers: &[Caller]) -> String {
    match chain(callers) {
        Some(chain) => format!("inlined into {chain}"),
        None => "inlined".to_owned(),
    }
}

fn chain(callers: &[Caller]) -> Option<String> {
    let one = |caller: &Caller| {
        let line = caller.line.as_ref().map(|line| format!(" at {}", source_line(line))).unwrap_or_default();
        format!("{}{line}", harmless(&caller.name))
    };
    let all: Vec<String> = callers.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(", itself into "))
}

fn returns(machine: Machine, signature: &Signature) -> Option<String> {
    let at = signature.returns_in.as_ref().map(|at| format!(" in {}", at.text(machine))).unwrap_or_default();
    signature.returns.as_ref().map(|ty| format!("returns {}{at}", harmless(&ty.text)))
}

/// One line a parameter: its name, its type, and where it is at the place.
fn arguments(machine: Machine, signature: Option<&Signature>, place: Option<&Place>, indent: &str) -> Vec<String> {
    let Some(signature) = signature else { return Vec::new() };
    let rows: Vec<[String; 3]> = signature
        .parameters
        .iter()
        .enumerate()
        .map(|(index, parameter)| {
            let name =
                parameter.name.as_deref().map_or_else(|| format!("#{}", index + 1), |name| harmless(name).into());
            let at = place.and_then(|place| place.arguments.get(index)).map(|argument| location(machine, argument));
            [name, harmless(&parameter.ty.text).into_owned(), at.unwrap_or_default()]
        })
        .collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0).min(40)
    };
    let (names, types) = (width(0), width(1));
    let mut lines: Vec<String> = rows
        .iter()
        .map(|[name, ty, at]| format!("{indent}{name:<names$}  {ty:<types$}  {at}").trim_end().to_owned())
        .collect();
    if signature.variadic {
        lines.push(format!("{indent}... (more arguments)"));
    }
    if lines.is_empty() {
        lines.push(format!("{indent}takes nothing"));
    }
    lines
}

pub(super) fn location(machine: Machine, argument: &Argument) -> String {
    harmless(&argument.location.text(machine)).into_owned()
}

/// `2 functions match: 1 body and 3 inlined copies`; none where the table itself is the answer.
pub(super) fn summary(functions: &[Function]) -> Option<String> {
    let copies: usize = functions.iter().map(|function| function.inlined().count()).sum();
    let bodies = functions.iter().filter(|function| function.body().is_some()).count();
    if functions.len() < 2 && copies < 2 {
        return None;
    }
    let verb = if functions.len() == 1 { "matches" } else { "match" };
    let mut text = format!("{} {verb}", counted(functions.len(), "function", "functions"));
    if copies > 0 {
        let copies = counted(copies, "inlined copy", "inlined copies");
        text.push_str(&format!(": {} and {copies}", counted(bodies, "body", "bodies")));
    }
    Some(text)
}

#[cfg(test)]
pub(super) mod tests;
