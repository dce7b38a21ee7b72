//! `dbcc symbols --usdt`: the USDT probes of a binary, or of a process and the libraries that it has loaded.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use symres::{Binary, Pid, Usdt, UsdtFile, UsdtProbe, UsdtReason, UsdtSite};

use super::query::{self, Words};
use super::text::Sink;
use crate::cli::SymbolsArgs;
use crate::escape::harmless;
use crate::render::object_line;

/// Lists the USDT probes of a binary that match the pattern (`[PROVIDER:]NAME` with `*`; none: all). Says whether there are
/// any; what was not found is written with the reason and what to do.
///
/// # Errors
///
/// When the binary cannot be found or read, or the output cannot be written.
pub(super) fn run(args: &SymbolsArgs, to: &mut Sink<'_>) -> anyhow::Result<bool> {
    let words = words(args)?;
    let (binary, pattern) = (words.binary.as_deref().unwrap_or_default(), words.pattern.as_deref().unwrap_or("*"));
    let (files, notes) = files(binary)?;
    let matching: Vec<(&UsdtFile, Vec<&UsdtProbe>)> =
        files.iter().map(|file| (file, file.usdt.matching(pattern))).filter(|(_, probes)| !probes.is_empty()).collect();
    for note in &notes {
        match args.json {
            true => object_line(to.out, json!({"kind": "note", "message": note}))?,
            false => to.prose("note: ", &harmless(note))?,
        }
    }
    if matching.is_empty() {
        not_found(binary, pattern, &files, args.json, to)?;
    }
    for (number, (file, probes)) in matching.iter().enumerate() {
        if args.json {
            probes.iter().try_for_each(|probe| object_line(to.out, object(file, probe)))?;
            continue;
        }
        if number > 0 {
            to.line("")?;
        }
        to.line(&harmless(&file.shown.to_string_lossy()))?;
        write_table(probes, to)?;
    }
    to.out.flush()?;
    Ok(!matching.is_empty())
}

/// `BINARY [PATTERN]`, or `[PATTERN]` with `--pid`. Here a `:` stands between provider and name.
fn words(args: &SymbolsArgs) -> anyhow::Result<Words> {
    match (args.pid, &args.binary, &args.pattern) {
        (Some(pid), pattern, None) => Ok(Words { binary: Some(pid.to_string()), pattern: pattern.clone() }),
        (_, Some(binary), pattern) => Ok(Words { binary: Some(binary.clone()), pattern: pattern.clone() }),
        _ => query::words(args, true),
    }
}

/// The files to look into, and what is to be said about them.
pub(crate) fn files(binary: &str) -> anyhow::Result<(Vec<UsdtFile>, Vec<String>)> {
    if let Ok(pid) = binary.parse() {
        let process = symres::usdt_of_process(Pid(pid))?;
        let mut notes: Vec<String> = process.unreadable.iter().map(|error| format!("not searched: {error}")).collect();
        notes.insert(0, format!("{} files of process {pid}, with its libraries", process.searched));
        return Ok((process.files, notes));
    }
    let binary = Binary::find(binary)?;
    let (path, shown) = (binary.path().to_owned(), binary.shown().to_owned());
    Ok((vec![UsdtFile { path, shown, usdt: binary.usdt()? }], binary.notes().to_vec()))
}

fn not_found(binary: &str, pattern: &str, files: &[UsdtFile], json: bool, to: &mut Sink<'_>) -> io::Result<()> {
    let all = Usdt { probes: files.iter().flat_map(|file| file.usdt.probes.iter().cloned()).collect() };
    let (provider, name) = match pattern.split_once(':') {
        Some((provider, name)) => (Some(provider), name),
        None => (None, pattern),
    };
    let Err(reason) = all.find(provider, name) else { return Ok(()) };
    let near: &[String] = match &reason {
        UsdtReason::NotThere { near, .. } => near,
        _ => &[],
    };
    if json {
        let shown: Vec<PathBuf> = files.iter().map(|file| file.shown.clone()).collect();
        return object_line(
            to.out,
            json!({
                "kind": "not_found",
                "binary": binary,
                "searched": shown,
                "pattern": pattern,
                "message": reason.to_string(),
                "near": near,
                "advice": reason.advice(),
            }),
        );
    }
    to.line(&format!("`{}` has no USDT probe `{}`", harmless(binary), harmless(pattern)))?;
    to.prose("  why:   ", &harmless(&reason.to_string()))?;
    to.prose("  to do: ", reason.advice())?;
    if !near.is_empty() {
        to.prose("  perhaps one of these: ", &harmless(&near.join(" ")))?;
    }
    Ok(())
}

/// A line for each site.
fn write_table(probes: &[&UsdtProbe], to: &mut Sink<'_>) -> io::Result<()> {
    let titles = ["PROBE", "OFFSET", "SEMAPHORE", "ARGUMENTS"].map(str::to_owned);
    let row = |probe: &UsdtProbe, site: &UsdtSite| {
        let offset = site.offset.map_or_else(|| "no code".to_owned(), |offset| offset.to_string());
        let semaphore = site.semaphore.map_or_else(|| "-".to_owned(), |addr| addr.to_string());
        [harmless(&probe.to_string()).into_owned(), offset, semaphore, harmless(site.arguments.trim()).into_owned()]
    };
    let rows = probes.iter().flat_map(|probe| probe.sites.iter().map(move |site| row(probe, site)));
    let rows: Vec<[String; 4]> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    for [probe, offset, semaphore, arguments] in &rows {
        let [a, b, c] = widths;
        let text = format!("{probe:<a$}  {offset:<b$}  {semaphore:<c$}  {arguments}");
        to.line(&text)?;
    }
    // Each reason once: a binary may have hundreds of such arguments.
    let mut unreadable: Vec<(&'static str, String)> = Vec::new();
    for argument in probes.iter().flat_map(|probe| &probe.sites).flat_map(UsdtSite::arguments) {
        if let Some(why) = argument.unreadable().filter(|why| unreadable.iter().all(|(known, _)| known != why)) {
            unreadable.push((why, argument.text));
        }
    }
    for (why, text) in unreadable {
        to.prose(&format!("`{}` cannot be read: ", harmless(&text)), why)?;
    }
    Ok(())
}

/// Addresses, offsets and sizes are numbers of bytes.
fn object(file: &UsdtFile, probe: &UsdtProbe) -> Value {
    let argument = |argument: symres::UsdtArgument| {
        let mut object = json!({"text": argument.text, "size": argument.size, "signed": argument.signed});
        if let (Some(why), Some(fields)) = (argument.unreadable(), object.as_object_mut()) {
            fields.insert("unreadable".to_owned(), json!(why));
        }
        object
    };
    let site = |site: &UsdtSite| {
        json!({
            "address": site.addr.0,
            "offset": site.offset.map(|offset| offset.0),
            "semaphore": site.semaphore.map(|addr| addr.0),
            "arguments": site.arguments().into_iter().map(argument).collect::<Vec<_>>(),
        })
    };
    json!({
        "kind": "usdt",
        "binary": file.shown.to_string_lossy(),
        "path": file.path.to_string_lossy(),
        "provider": probe.provider,
        "name": probe.name,
        "sites": probe.sites.iter().map(site).collect::<Vec<_>>(),
    })
}
