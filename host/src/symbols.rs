//! `dbcc symbols`: what symres found, as a table for people or as JSON lines.

use std::io;

use symres::{Answer, Binary, Outcome, Pattern};

use crate::cli::SymbolsArgs;
use crate::escape::harmless;
use crate::lookup::Lookup;
use crate::render::object_line;

mod calls;
mod json;
mod lines;
mod list;
mod query;
mod sites;
mod table;
mod text;
pub mod usdt;

pub(crate) use list::ALL as ALL_FUNCTIONS;
use query::Query;
use sites::Sites;
pub use text::Sink;

/// What is shown of each function beside where it is.
#[derive(Debug, Clone, Copy, Default)]
struct Details {
    /// Its name alone, a line for each function.
    brief: bool,
    /// Parameters, and where each is.
    arguments: bool,
    /// What the kernel does at each place, and where a probe is cheaper.
    sites: bool,
    /// Who calls it, and whom it calls.
    calls: bool,
    /// The lines of its source, and their code.
    lines: bool,
}

/// Looks for functions and writes them: a table, or with `--json` one object a line. Says whether there were any; what was
/// not found is written with the reason and what to do.
///
/// # Errors
///
/// When the binary cannot be found or read, the pattern is no function name, or the output cannot be written.
pub fn run(args: &SymbolsArgs, to: &mut Sink<'_>) -> anyhow::Result<bool> {
    if args.usdt {
        return usdt::run(args, to);
    }
    let lookup = Lookup::new(&args.debug_dir, !args.no_cache);
    let query = Query::new(args, &lookup)?;
    for note in &query.notes {
        match args.json {
            true => object_line(to.out, serde_json::json!({"kind": "note", "message": note}))?,
            false => to.prose("note: ", &harmless(note))?,
        }
    }
    let mut found = false;
    match &query.pattern {
        Some(pattern) if !args.list => found = search(&query.binaries, pattern, args, &lookup, to)?,
        pattern => {
            for binary in &query.binaries {
                found |= list::run(binary, pattern.as_ref(), args, &lookup, to)?;
            }
        }
    }
    to.out.flush()?;
    Ok(found)
}

/// Searches all binaries, and shows those that have a match; where none has, what is to be said of the first.
fn search(
    binaries: &[Binary],
    pattern: &Pattern,
    args: &SymbolsArgs,
    lookup: &Lookup,
    to: &mut Sink<'_>,
) -> anyhow::Result<bool> {
    let mut missed = None;
    let mut shown = 0_usize;
    for binary in binaries {
        // What one library keeps to itself is no reason not to show what the others have.
        let answer = match binary.functions(pattern) {
            Err(error) if binaries.len() > 1 => {
                let note = format!("not searched: {error}");
                match args.json {
                    true => object_line(to.out, json::note(binary, &note))?,
                    false => to.prose("note: ", &harmless(&note))?,
                }
                continue;
            }
            answer => answer?,
        };
        lookup.clear();
        if answer.reason.is_some() {
            missed.get_or_insert((binary, answer));
            continue;
        }
        if shown > 0 && !args.json {
            to.line("")?;
        }
        shown += 1;
        write(binary, pattern, &answer, args, to)?;
    }
    if let (0, Some((binary, answer))) = (shown, &missed) {
        write(binary, pattern, answer, args, to)?;
        if binaries.len() > 1 && !args.json {
            let others = text::counted(binaries.len() - 1, "library", "libraries");
            to.line(&format!("\nnor is it in {others} that the process has loaded"))?;
        }
    }
    Ok(shown > 0)
}

fn write(
    binary: &Binary,
    pattern: &Pattern,
    answer: &Answer,
    args: &SymbolsArgs,
    to: &mut Sink<'_>,
) -> anyhow::Result<()> {
    let details =
        Details { arguments: args.args, sites: args.sites, calls: args.calls, lines: args.lines, ..Details::default() };
    match args.json {
        true => write_json(binary, pattern, answer, details, to),
        false => write_text(binary, pattern, answer, details, to),
    }
}

fn write_json(
    binary: &Binary,
    pattern: &Pattern,
    answer: &Answer,
    details: Details,
    to: &mut Sink<'_>,
) -> anyhow::Result<()> {
    let sites = details.sites.then(|| Sites::new(binary));
    let code_lines = details.lines.then(|| binary.lines()).transpose()?;
    for object in binary.notes().iter().chain(&answer.notes).map(|note| json::note(binary, note)) {
        object_line(to.out, object)?;
    }
    if let Some(object) = json::not_found(binary, pattern, answer) {
        object_line(to.out, object)?;
    }
    for function in &answer.matches {
        let mut object = json::function("symbol", binary, function, sites.as_ref());
        if details.calls
            && let (Some(calls), Some(fields)) = (calls::of(binary, function)?, object.as_object_mut())
        {
            fields.insert("calls".to_owned(), calls::object(&calls));
        }
        if let (Some(code_lines), Some(fields)) = (&code_lines, object.as_object_mut()) {
            fields.insert("lines".to_owned(), lines::object(&code_lines.of(function)));
        }
        object_line(to.out, object)?;
    }
    for function in &answer.near {
        object_line(to.out, json::function("near_miss", binary, function, None))?;
    }
    Ok(())
}

fn write_text(
    binary: &Binary,
    pattern: &Pattern,
    answer: &Answer,
    details: Details,
    to: &mut Sink<'_>,
) -> anyhow::Result<()> {
    write_binary(binary, to)?;
    for note in &answer.notes {
        to.prose("note: ", &harmless(note))?;
    }
    let sites = Sites::new(binary);
    // What cannot be read is said where it was wanted.
    let line =
        |place: &symres::Place| sites.of(place).map_or_else(|error| error.to_string(), |site| sites::line(&site));
    let more = |place: &symres::Place| if details.sites { vec![line(place)] } else { Vec::new() };
    if let Some(reason) = &answer.reason {
        to.line(&format!("no function `{}`", harmless(pattern.as_str())))?;
        to.prose("  why:      ", &harmless(&reason.to_string()))?;
        to.prose("  to do:    ", reason.advice())?;
        to.prose("  searched: ", &searched(binary, answer))?;
    } else {
        to.line("")?;
        table::write(binary.machine(), &answer.matches, details, &more, to)?;
        if let Some(summary) = table::summary(&answer.matches) {
            to.line(&format!("\n{summary}"))?;
        }
        if details.sites
            && let Some(summary) = sites.tally(&answer.matches)?.summary()
        {
            to.line(&summary)?;
        }
    }
    if details.lines {
        let code_lines = binary.lines()?;
        for function in &answer.matches {
            lines::write(function, &code_lines.of(function), to)?;
        }
    }
    for function in answer.matches.iter().filter(|_| details.calls) {
        if let Some(calls) = calls::of(binary, function)? {
            calls::write(function, &calls, to)?;
        }
    }
    if !answer.instead.is_empty() {
        to.line("\nto probe instead:")?;
        for neighbour in &answer.instead {
            let addr = neighbour.addr.map(|addr| format!("  {addr}")).unwrap_or_default();
            let exported = if neighbour.exported { " (exported)" } else { "" };
            to.last_column("  ", &harmless(&format!("{neighbour}{addr}{exported}")))?;
        }
    }
    if !answer.near.is_empty() {
        to.line(if answer.reason.is_some() { "\nperhaps one of these:" } else { "\nsimilar names, not matched:" })?;
        let brief = Details { brief: true, ..Details::default() };
        table::write(binary.machine(), &answer.near, brief, &|_| Vec::new(), to)?;
        if answer.more_near {
            match pattern.wider() {
                Some(wider) => to.line(&format!("and more, which the pattern '{}' lists", harmless(&wider)))?,
                None => to.line("and more")?,
            }
        }
    }
    Ok(())
}

/// Which file it is, and what is to be known about how it and its debug information were found.
fn write_binary(binary: &Binary, to: &mut Sink<'_>) -> io::Result<()> {
    let id = binary.build_id().map(|id| format!("  (build ID {})", text::hex(&id))).unwrap_or_default();
    to.line(&format!("{}{id}", harmless(&binary.shown().to_string_lossy())))?;
    if binary.path() != binary.shown() {
        to.line(&format!("read as {}", harmless(&binary.path().to_string_lossy())))?;
    }
    for file in binary.consulted() {
        match &file.outcome {
            Outcome::Used => to.line(&format!("with {}", harmless(&file.to_string())))?,
            Outcome::Refused(_) => to.prose("note: ", &harmless(&file.to_string()))?,
            _ => {}
        }
    }
    for note in binary.notes() {
        to.prose("note: ", &harmless(note))?;
    }
    Ok(())
}

/// Tables with how many functions each has, and the files that could have told more.
fn searched(binary: &Binary, answer: &Answer) -> String {
    let missing: Vec<String> = binary
        .consulted()
        .into_iter()
        .filter(|file| file.outcome == Outcome::Missing)
        .map(|file| harmless(&file.file.to_string_lossy()).into_owned())
        .collect();
    match missing.as_slice() {
        [] => tables(answer),
        missing => format!("{}; there is no {}", tables(answer), missing.join(", no ")),
    }
}

fn tables(answer: &Answer) -> String {
    let tables: Vec<String> =
        answer.tables.iter().map(|t| format!("{} functions in {}", t.functions, t.table)).collect();
    if tables.is_empty() { "no symbol table".to_owned() } else { tables.join(", ") }
}

#[cfg(test)]
mod tests;
