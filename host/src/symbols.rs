//! `dbcc symbols`: what symres found, as a table for people or as JSON lines.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Map, Value, json};
use symres::{Answer, Binary, Function, Pattern, Role};

pub mod usdt;

/// Width that lines are wrapped to where they can be.
const WIDTH: usize = 100;

/// Looks for the functions of `binary` that match `pattern` and writes them to `out`: a table, or with `json` one object
/// a line. Says whether there were any; what was not found is written with the reason and what to do.
///
/// # Errors
///
/// When the binary cannot be found or read, the pattern is no function name, or `out` cannot be written to.
pub fn run(binary: &str, pattern: &str, json: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    let pattern: Pattern = pattern.parse()?;
    let binary = Binary::find(binary)?;
    let answer = binary.functions(&pattern)?;
    if json {
        write_json(&binary, &pattern, &answer, out)?;
    } else {
        write_text(&binary, &pattern, &answer, out)?;
    }
    out.flush()?;
    Ok(answer.reason.is_none())
}

fn write_text(binary: &Binary, pattern: &Pattern, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let shown = printable(&binary.shown().to_string_lossy());
    write!(out, "{shown}")?;
    if let Some(id) = binary.build_id() {
        write!(out, "  (build ID {})", hex(&id))?;
    }
    writeln!(out)?;
    if binary.path() != binary.shown() {
        writeln!(out, "read as {}", printable(&binary.path().to_string_lossy()))?;
    }
    for note in binary.notes() {
        wrapped(out, "note: ", &printable(note))?;
    }
    let (near_heading, table) = match &answer.reason {
        None => ("similar names, not matched:", &answer.matches),
        Some(reason) => {
            writeln!(out, "no function `{}`", printable(pattern.as_str()))?;
            wrapped(out, "  why:      ", &printable(&reason.to_string()))?;
            wrapped(out, "  to do:    ", reason.advice())?;
            wrapped(out, "  searched: ", &searched(answer))?;
            ("perhaps one of these:", &Vec::new())
        }
    };
    if !table.is_empty() {
        writeln!(out)?;
        write_table(table, out)?;
    }
    if table.len() > 1 {
        writeln!(out, "\n{} functions match", table.len())?;
    }
    if !answer.near.is_empty() {
        writeln!(out, "\n{near_heading}")?;
        write_table(&answer.near, out)?;
        if answer.more_near {
            match pattern.wider() {
                Some(wider) => writeln!(out, "and more, which the pattern '{}' lists", printable(&wider))?,
                None => writeln!(out, "and more")?,
            }
        }
    }
    Ok(())
}

/// Columns as wide as their content; names come last because they may be long.
fn write_table(functions: &[Function], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 4]> = functions
        .iter()
        .map(|f| {
            let tables: Vec<&str> = f.tables.iter().map(|t| t.name()).collect();
            let number = |number: Option<String>| number.unwrap_or_default();
            let body = f.body();
            [
                number(body.map(|place| place.addr.to_string())),
                number(body.map(|place| place.offset.to_string())),
                number(body.map(|place| place.size.to_string())),
                tables.join(","),
            ]
        })
        .collect();
    let titles = ["ADDRESS", "OFFSET", "SIZE", "TABLE"];
    let mut widths = titles.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let [address, offset, size, table] = widths;
    let line = |cells: [&str; 4]| {
        let [a, o, s, t] = cells;
        format!("{a:<address$}  {o:<offset$}  {s:>size$}  {t:<table$}  ")
    };
    let indent = " ".repeat(line([""; 4]).len());
    writeln!(out, "{}FUNCTION", line(titles))?;
    for (function, row) in functions.iter().zip(&rows) {
        let mark = match function.role {
            Role::Whole => String::new(),
            role => format!("  ({})", role.name()),
        };
        writeln!(out, "{}{}{mark}", line(row.each_ref().map(String::as_str)), printable(&function.name))?;
        if function.mangled != function.name {
            writeln!(out, "{indent}{}", printable(&function.mangled))?;
        }
        for alias in &function.aliases {
            let other = if alias.name == function.name { &alias.mangled } else { &alias.name };
            writeln!(out, "{indent}same code: {}", printable(other))?;
        }
    }
    // Each caution once: a table of a hundred thunks stays readable.
    let roles: BTreeSet<Role> = functions.iter().map(|function| function.role).collect();
    for role in roles {
        if let Some(caution) = role.caution() {
            wrapped(out, &format!("({}): ", role.name()), caution)?;
        }
    }
    Ok(())
}

fn searched(answer: &Answer) -> String {
    let tables: Vec<String> =
        answer.tables.iter().map(|t| format!("{} functions in {}", t.functions, t.table)).collect();
    if tables.is_empty() { "no symbol table".to_owned() } else { tables.join(", ") }
}

/// Words of `text` in lines of at most [`WIDTH`], the first behind `start`, the others as far to the right.
fn wrapped(out: &mut dyn Write, start: &str, text: &str) -> io::Result<()> {
    let indent = start.chars().count();
    let mut line = start.to_owned();
    let mut used = indent;
    for word in text.split(' ') {
        let len = word.chars().count();
        if used > indent && used + 1 + len > WIDTH {
            writeln!(out, "{line}")?;
            line = " ".repeat(indent);
            used = indent;
        } else if used > indent {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += len;
    }
    writeln!(out, "{line}")
}

/// Names and paths come from untrusted files: what could steer a terminal is shown as an escape.
fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|c| {
            let (escape, plain) = if steers(c) { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escape.into_iter().flatten().chain(plain)
        })
        .collect()
}

fn write_json(binary: &Binary, pattern: &Pattern, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    for note in binary.notes() {
        line(out, json!({"kind": "note", "binary": binary.shown().to_string_lossy(), "message": note}))?;
    }
    if let Some(reason) = &answer.reason {
        let functions: Map<String, Value> =
            answer.tables.iter().map(|t| (t.table.name().to_owned(), json!(t.functions))).collect();
        line(
            out,
            json!({
                "kind": "not_found",
                "binary": binary.shown().to_string_lossy(),
                "pattern": pattern.as_str(),
                "reason": reason.name(),
                "message": reason.to_string(),
                "advice": reason.advice(),
                "functions": functions,
            }),
        )?;
    }
    for function in &answer.matches {
        line(out, object("symbol", binary, function))?;
    }
    for function in &answer.near {
        line(out, object("near_miss", binary, function))?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, object: Value) -> io::Result<()> {
    writeln!(out, "{object}")
}

/// Addresses, offsets and sizes are numbers of bytes.
fn object(kind: &str, binary: &Binary, function: &Function) -> Value {
    let body = function.body();
    let mut object = json!({
        "kind": kind,
        "binary": binary.shown().to_string_lossy(),
        "path": binary.path().to_string_lossy(),
        "build_id": binary.build_id().map(|id| hex(&id)),
        "name": function.name,
        "mangled": function.mangled,
        "address": body.map(|place| place.addr.0),
        "offset": body.map(|place| place.offset.0),
        "size": body.map(|place| place.size.0),
        "tables": function.tables.iter().map(|t| t.name()).collect::<Vec<_>>(),
        "role": function.role.name(),
        "endbr64": body.is_some_and(symres::Place::starts_with_endbr64),
        "aliases": function
            .aliases
            .iter()
            .map(|alias| json!({"name": alias.name, "mangled": alias.mangled}))
            .collect::<Vec<_>>(),
    });
    if let (Some(caution), Some(fields)) = (function.role.caution(), object.as_object_mut())
        && function.role != Role::Whole
    {
        fields.insert("caution".to_owned(), json!(caution));
    }
    object
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(binary: &str, pattern: &str) -> (bool, String) {
        let mut out = Vec::new();
        let found = run(binary, pattern, false, &mut out).unwrap();
        (found, String::from_utf8(out).unwrap())
    }

    fn objects(binary: &str, pattern: &str) -> Vec<Value> {
        let mut out = Vec::new();
        run(binary, pattern, true, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The program that runs this test: it has a symbol table with `main`.
    fn own() -> String {
        std::env::current_exe().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn text_and_json_say_the_same() {
        let (found, text) = text(&own(), "main");
        assert!(found);
        let object =
            objects(&own(), "main").into_iter().find(|o| o["kind"] == "symbol" && o["name"] == "main").unwrap();
        let offset = format!("{:#x}", object["offset"].as_u64().unwrap());
        let row: Vec<&str> = text.lines().find(|l| l.ends_with("  main")).unwrap().split_whitespace().collect();
        let address = format!("{:#x}", object["address"].as_u64().unwrap());
        assert_eq!(row, [&address, &offset, &object["size"].to_string(), "symtab", "main"], "{text}");
    }

    #[test]
    fn what_is_not_there_comes_with_reason_and_advice() {
        let (found, text) = text(&own(), "no_such_function_anywhere");
        assert!(!found);
        for part in ["no function `no_such_function_anywhere`", "  why:      ", "  to do:    ", "functions in symtab"] {
            assert!(text.contains(part), "{text}");
        }
        let prose = text.lines().skip(1).take_while(|line| !line.is_empty());
        assert!(prose.into_iter().all(|line| line.len() <= WIDTH), "{text}");
        let object = objects(&own(), "no_such_function_anywhere").remove(0);
        assert_eq!(object["kind"], "not_found");
        assert_eq!(object["reason"], "not-there");
        assert!(object["functions"]["symtab"].as_u64().unwrap() > 100);
    }

    #[test]
    fn columns_line_up() {
        let (_, text) = text(&own(), "*::symbols::*");
        let title = text.lines().find(|l| l.starts_with("ADDRESS")).unwrap();
        let column = title.find("FUNCTION").unwrap();
        let rows: Vec<&str> =
            text.lines().skip_while(|l| !l.starts_with("ADDRESS")).take_while(|l| !l.is_empty()).collect();
        assert!(rows.len() > 5, "{text}");
        assert!(rows.iter().all(|row| row.get(column - 2..column) == Some("  ")), "{text}");
    }

    #[test]
    fn errors_keep_their_subject() {
        let error = run("/no/such/file", "f", false, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("`/no/such/file`"), "{error}");
        let error = run(&own(), "f(", false, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "`f(` is not a function name: a `(` is not closed");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\u{202e}c ü"), "a\\u{1b}[31mb\\u{202e}c ü");
    }
}
