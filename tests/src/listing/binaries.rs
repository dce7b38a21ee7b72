//! Functions and USDT probes of binaries: what bpftrace lists, and what gdb and readelf tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::types::{arguments, plain};
use super::{bpftrace, explain, name, names, notes, objects, output};

/// Every function that bpftrace lists of a binary is listed, by one of its names.
///
/// # Errors
/// One is not, for no known reason.
pub fn functions_of_bpftrace_are_listed(path: &str) -> Result<()> {
    let theirs = bpftrace::listed("uprobe", &[&format!("uprobe:{path}:*")])?;
    let theirs: Vec<&str> = theirs.iter().filter_map(|name| name.strip_prefix(path)?.strip_prefix(':')).collect();
    let mut ours = BTreeSet::new();
    for object in objects(&[&format!("uprobe:{path}:*")])? {
        ours.extend(name(&object).and_then(|name| name.strip_prefix(path)?.strip_prefix(':')).map(str::to_owned));
        ours.extend(notes(&object).filter_map(|note| note.strip_prefix("also ")).map(str::to_owned));
    }
    let demangled = demangled(&theirs)?;
    let missing: BTreeMap<String, &str> = demangled
        .iter()
        .zip(&theirs)
        .filter(|(name, symbol)| !ours.contains(*name) && !ours.contains(**symbol))
        .map(|(name, symbol)| (name.clone(), *symbol))
        .collect();
    println!("  {path}: {} of bpftrace, {} here", theirs.len(), ours.len());
    ensure!(theirs.len() > 10, "bpftrace lists {} functions of {path}", theirs.len());
    explain(
        path,
        missing.keys(),
        &[
            ("are parts of functions that were moved away", &|name| name.contains(".cold") || name.contains(".part.")),
            ("are thunks, which jump to a function", &|name| name.contains("thunk to ")),
            ("construct what is global", &|name| name.starts_with("global constructors keyed to ")),
            ("are in other files, and have an entry in the table of jumps", &|name| {
                missing.get(name).is_some_and(|symbol| is_undefined(path, symbol).unwrap_or(false))
            }),
        ],
    )
}

fn demangled(symbols: &[&str]) -> Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("symbols");
    fs::write(&file, symbols.join("\n") + "\n")?;
    let mut command = Command::new("c++filt");
    command.stdin(fs::File::open(&file)?);
    let text = String::from_utf8_lossy(&command.output().context("cannot run c++filt")?.stdout).into_owned();
    // c++filt writes out what the ABI abbreviates.
    let short = |line: &str| line.replace("std::basic_ostream<char, std::char_traits<char> >", "std::ostream");
    let names: Vec<String> = text.lines().map(short).collect();
    ensure!(names.len() == symbols.len(), "c++filt writes {} lines for {}", names.len(), symbols.len());
    Ok(names)
}

fn is_undefined(path: &str, symbol: &str) -> Result<bool> {
    let undefined = output("nm", &["-D", "--undefined-only", "--without-symbol-versions", path])?;
    Ok(undefined.lines().filter_map(|line| line.split_whitespace().next_back()).any(|name| name == symbol))
}

/// The USDT probes of a binary are those that bpftrace lists, and have the arguments of the notes that readelf shows.
///
/// # Errors
/// They differ.
pub fn usdt_probes_agree(path: &str) -> Result<()> {
    let pattern = format!("usdt:{path}:*");
    let ours = objects(&["-v", &pattern])?;
    ensure!(names(&ours) == bpftrace::listed("usdt", &[&pattern])?, "{:?}", names(&ours));
    let theirs = notes_of(&output("readelf", &["-n", path])?);
    let mut several = 0;
    for object in &ours {
        let probe = name(object).and_then(|name| name.strip_prefix(path)?.strip_prefix(':')).context("no name")?;
        let sites = theirs.get(probe).with_context(|| format!("readelf does not show {probe}"))?;
        let places = object.get("places").and_then(Value::as_array).context("no places")?;
        let places: BTreeSet<&str> = places.iter().filter_map(Value::as_str).collect();
        ensure!(places.iter().eq(&sites.places), "{probe}: {places:?}, readelf {:?}", sites.places);
        // What differs between sites has the type of none.
        let Some(only) = sites.types.first().filter(|_| sites.types.len() == 1) else {
            several += 1;
            continue;
        };
        let types: Vec<&str> = arguments(object).filter_map(|value| value.get("type")?.as_str()).collect();
        ensure!(types == *only, "{probe}: {types:?}, readelf {only:?}");
    }
    println!("  {path}: {} USDT probes compared, {several} of several forms", ours.len());
    Ok(())
}

/// What the notes of a probe's sites have.
#[derive(Debug, Default)]
struct Noted {
    /// The types of the arguments, each form once.
    types: Vec<Vec<String>>,
    /// Where they are, as it stands there.
    places: BTreeSet<String>,
}

/// `Provider:`, `Name:` and `Arguments:` of each note.
fn notes_of(text: &str) -> BTreeMap<String, Noted> {
    let mut found: BTreeMap<String, Noted> = BTreeMap::new();
    let (mut provider, mut probe) = ("", String::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("Provider: ") {
            provider = name;
        } else if let Some(name) = line.strip_prefix("Name: ") {
            probe = format!("{provider}:{name}");
        } else if let Some(places) = line.strip_prefix("Arguments:") {
            let types: Vec<String> = places.split_whitespace().filter_map(usdt_type).collect();
            let noted = found.entry(probe.clone()).or_default();
            noted.places.extend(Some(places.trim().to_owned()).filter(|places| !places.is_empty()));
            if !noted.types.contains(&types) {
                noted.types.push(types);
            }
        }
    }
    found
}

/// The type of `-4@%eax`: a size in bytes, negative where there is a sign.
fn usdt_type(place: &str) -> Option<String> {
    let (size, _) = place.split_once('@')?;
    let size: i32 = size.parse().ok()?;
    Some(format!("{}{}", if size < 0 { 's' } else { 'u' }, size.abs() * 8))
}

/// What a process can be probed at: the USDT probes are those that bpftrace lists for it, and functions of its executable and of
/// its C library are there.
///
/// # Errors
/// They differ.
pub fn of_a_process_agree(pid: u32, path: &Path) -> Result<()> {
    let (pid, path) = (pid.to_string(), path.display().to_string());
    // bpftrace shows how it reached the files.
    let reached = format!("/proc/{pid}/root");
    let theirs = bpftrace::listed("usdt", &["usdt:*", "-p", &pid])?;
    let theirs: BTreeSet<String> =
        theirs.iter().map(|name| name.strip_prefix(&reached).unwrap_or(name).to_owned()).collect();
    let ours = names(&objects(&["--pid", &pid, "usdt:*"])?);
    ensure!(ours == theirs && !ours.is_empty(), "{ours:?}, bpftrace {theirs:?}");
    let main = names(&objects(&["--pid", &pid, "uprobe:main"])?);
    ensure!(main.contains(&format!("{path}:main")), "{main:?}");
    let library = names(&objects(&["--pid", &pid, "uprobe:libc.so.6:fclose"])?);
    ensure!(library.len() == 1 && library.iter().all(|name| name.ends_with("/libc.so.6:fclose")), "{library:?}");
    // Without a kind, both.
    let kinds: BTreeSet<String> = objects(&["--pid", &pid, "main", "values"])?
        .iter()
        .filter_map(|object| object.get("kind").and_then(Value::as_str).map(str::to_owned))
        .collect();
    ensure!(kinds.iter().eq(["uprobe", "usdt"]), "{kinds:?}");
    Ok(())
}

/// gdb's names and types of parameters.
const SCRIPT: &str = r#"
import gdb
for name in open(NAMES).read().splitlines():
    symbol = gdb.lookup_global_symbol(name)
    if symbol is None:
        continue
    block = gdb.block_for_pc(int(symbol.value().address))
    if block is None or block.function is None or block.start != int(symbol.value().address):
        continue
    print('FUNCTION', name)
    print('RETURNS', str(symbol.type.target()))
    for value in block:
        if value.is_argument:
            print('PARAMETER', str(value.type), '|', value.name)
"#;

/// Arguments and return values of functions of a binary are, with names and types, those that gdb tells.
///
/// # Errors
/// They differ.
pub fn signatures_are_those_of_gdb(path: &str, pattern: &str) -> Result<()> {
    let mut ours: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for object in objects(&["-v", &format!("uprobe:{path}:{pattern}")])? {
        if object.pointer("/prototype/known_from").is_some_and(|from| from == "dwarf") {
            let name = name(&object).and_then(|name| name.strip_prefix(path)?.strip_prefix(':')).context("no name")?;
            ours.entry(name.to_owned()).or_default().push(told(&object));
        }
    }
    let folder = tempfile::tempdir()?;
    let (list, script) = (folder.path().join("names"), folder.path().join("script.py"));
    fs::write(&list, ours.keys().map(|name| format!("{name}\n")).collect::<String>())?;
    fs::write(&script, format!("NAMES = {:?}\n{SCRIPT}", list.display().to_string()))?;
    let text = output("gdb", &["-batch", "-nx", "-x", &script.display().to_string(), path])?;
    let (mut theirs, mut current): (BTreeMap<&str, Vec<String>>, _) = (BTreeMap::new(), "");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("FUNCTION ") {
            current = name;
            theirs.insert(name, Vec::new());
        } else if let (Some(values), Some((what, rest))) = (theirs.get_mut(current), line.split_once(' ')) {
            let (ty, name) = rest.rsplit_once(" | ").unwrap_or((rest, ""));
            values.push(format!("{} {} {name}", what.to_lowercase(), spelled(ty)));
        }
    }
    for (name, values) in &theirs {
        let ours = ours.get(*name).context("not asked")?;
        // Constructors have several bodies under one name.
        ensure!(ours.contains(values), "{name}: {ours:#?}, gdb {values:#?}");
    }
    println!("  {path}: {} signatures compared with gdb, of {} here", theirs.len(), ours.len());
    ensure!(theirs.len() > 100, "gdb tells of {}", theirs.len());
    Ok(())
}

fn told(object: &Value) -> Vec<String> {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let returned = object.pointer("/prototype/returns").map(|value| spelled(&text(value, "type"))).unwrap_or_default();
    let values = arguments(object);
    [format!("returns {returned} ")]
        .into_iter()
        .chain(values.map(|value| format!("parameter {} {}", spelled(&text(value, "type")), text(value, "name"))))
        .collect()
}

/// What gdb and DWARF call by other words.
fn spelled(ty: &str) -> String {
    plain(
        &ty.replace("struct {...}", "(anonymous struct)")
            .replace("enum {...}", "(anonymous enum)")
            .replace("(void)", "()"),
    )
}
