//! Types of arguments and return values: as pfunct, pahole and the format files of tracefs tell them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{explain, module, name, names, objects};

const KERNEL: &str = "/sys/kernel/btf/vmlinux";
const EVENTS: &str = "/sys/kernel/tracing/events";

/// A type as all write it: without spaces that say nothing, and with the number of its `const`, whose place tools differ in.
pub fn plain(ty: &str) -> String {
    let (mut text, mut constants) = (String::new(), 0);
    let mut last_is_word = false;
    for part in parts(ty) {
        if part == "const" {
            constants += 1;
            continue;
        }
        let is_word = part.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        if is_word && last_is_word {
            text.push(' ');
        }
        text.push_str(part);
        last_is_word = is_word;
    }
    if constants > 0 { format!("{text} with {constants} const") } else { text }
}

/// Words, and signs one by one.
fn parts(text: &str) -> Vec<&str> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.' || letter == ':';
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end =
            if is_word(first) { rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind.trim_start();
    }
    parts
}

/// The arguments of something that is listed.
pub fn arguments(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/prototype/arguments").and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn is_variadic(object: &Value) -> bool {
    object.pointer("/prototype/variadic") == Some(&json!(true))
}

fn returned(object: &Value) -> &str {
    object.pointer("/prototype/returns/type").and_then(Value::as_str).unwrap_or_default()
}

/// Each argument with its name, and what is returned as `retval`, as bpftrace has them.
pub fn values(object: &Value) -> Vec<String> {
    let mut values: Vec<String> =
        arguments(object).map(|value| plain(&format!("{} {}", text(value, "type"), text(value, "name")))).collect();
    // It takes `...` for a parameter of no type.
    values.extend(is_variadic(object).then(|| "void".to_owned()));
    if returned(object) != "void" {
        values.push(plain(&format!("{} retval", returned(object))));
    }
    values
}

/// `int f(struct x *, ...)`.
fn signature(object: &Value, function: &str) -> String {
    let mut types: Vec<&str> = arguments(object).map(|value| text(value, "type")).collect();
    if is_variadic(object) {
        types.push("...");
    }
    let types = if types.is_empty() { "void".to_owned() } else { types.join(", ") };
    plain(&format!("{} {function}({types})", returned(object)))
}

/// The prototypes of all functions of the kernel, by name.
fn of_pfunct() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut pfunct = Command::new("pfunct");
    pfunct.args(["-P", "--no_parm_names", "-F", "btf", KERNEL]);
    // It says on standard error what of the BTF it does not know.
    let output = pfunct.output().context("cannot run pfunct (run ci/setup)")?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line = line.trim_end_matches(';');
        // The first bracket behind a word is that of the parameters.
        let parts = parts(line);
        let begins_name = |word: &str| word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
        let is_head = |pair: &&[&str]| matches!(pair, [word, "("] if begins_name(word) && *word != "ERROR");
        let name = parts.windows(2).find(is_head);
        if let Some([name, _]) = name {
            found.entry((*name).to_owned()).or_default().insert(plain(line));
        }
    }
    Ok(found)
}

/// All functions that are listed for fentry, all hooks, and the calls of all tracepoints have the types that pfunct tells.
///
/// # Errors
/// They differ.
pub fn of_functions_agree() -> Result<()> {
    let (theirs, ours) = thread::scope(|scope| {
        let theirs = scope.spawn(of_pfunct);
        let ours = objects(&["-v", "fentry:*", "lsm:*", "raw_tracepoint:*"]);
        (theirs.join(), ours)
    });
    let theirs = theirs.map_err(|_| anyhow::anyhow!("the reader of pfunct panicked"))??;
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    let mut different = BTreeMap::new();
    for object in ours?.iter().filter(|object| module(object).is_none()) {
        let (kind, name) = (text(object, "kind"), name(object).unwrap_or_default());
        let (function, ours) = match kind {
            "lsm" => (format!("bpf_lsm_{name}"), signature(object, &format!("bpf_lsm_{name}"))),
            // Who listens comes first, and nothing is returned that a program sees.
            "raw_tracepoint" => {
                let types: Vec<&str> =
                    ["void *"].into_iter().chain(arguments(object).map(|value| text(value, "type"))).collect();
                let function = format!("__traceiter_{name}");
                let whole = plain(&format!("int {function}({})", types.join(", ")));
                (function, whole)
            }
            _ => (name.to_owned(), signature(object, name)),
        };
        let Some(theirs) = theirs.get(&function) else {
            different.insert(function, (ours, BTreeSet::new()));
            continue;
        };
        match theirs.contains(&ours) {
            true => *compared.entry(kind.to_owned()).or_default() += 1,
            false => drop(different.insert(function, (ours, theirs.clone()))),
        }
    }
    let ours_of = |name: &str| different.get(name).map(|(ours, _)| ours.as_str()).unwrap_or_default();
    let theirs_have = |name: &str, part: &str| {
        different.get(name).is_some_and(|(_, theirs)| theirs.iter().any(|theirs| theirs.contains(part)))
    };
    let shown: BTreeMap<&String, _> = different.iter().take(10).collect();
    explain(
        "types, pfunct otherwise",
        different.keys(),
        &[
            ("have a type that pfunct does not know", &|name| theirs_have(name, "<ERROR")),
            ("take a pointer to an array, which pfunct takes for a pointer to an element", &|name| {
                ours_of(name).contains("(*)[") || ours_of(name).contains("(**)[")
            }),
            ("take a pointer to a pointer to a function, which pfunct writes as no C", &|name| {
                theirs_have(name, "()(")
            }),
        ],
    )
    .with_context(|| format!("{shown:#?}"))?;
    ensure!(different.len() < 30, "{} differ", different.len());
    println!("  compared by types with pfunct: {compared:?}");
    ensure!(
        ["fentry", "lsm", "raw_tracepoint"].iter().all(|kind| compared.get(*kind).is_some_and(|count| *count > 100))
    );
    Ok(())
}

/// The fields of every tracepoint, with type, offset, size and sign, are those of its format file.
///
/// # Errors
/// They differ.
pub fn of_tracepoints_agree() -> Result<()> {
    let ours = objects(&["-v", "tracepoint:*"])?;
    let mut fields = 0;
    for object in &ours {
        let place = name(object).context("no name")?;
        let format = fs::read_to_string(format!("{EVENTS}/{}/format", place.replacen(':', "/", 1)));
        // Some of ftrace's own have none.
        let Ok(format) = format else { continue };
        let theirs: Vec<String> =
            format.lines().filter_map(field).filter(|field| !field.contains(" common_")).collect();
        let ours: Vec<String> = arguments(object).map(as_field).collect();
        ensure!(ours == theirs, "{place}: {ours:#?} {theirs:#?}");
        fields += ours.len();
    }
    println!("  {fields} fields of {} tracepoints compared", ours.len());
    ensure!(ours.len() > 500);
    Ok(())
}

/// `field:char comm[16]; offset:8; size:16; signed:0;` as `char[16] comm at 8, 16`.
fn field(line: &str) -> Option<String> {
    let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
    let (declared, offset, size) = (parts.next()?, parts.next()?, parts.next()?);
    let (declared, array) = match declared.split_once('[') {
        // `__data_loc char[] name` has its brackets in the type.
        Some((before, behind)) if !behind.trim_start_matches(|letter| letter != ']').starts_with("] ") => {
            (before, format!("[{behind}"))
        }
        _ => (declared, String::new()),
    };
    let (ty, name) = declared
        .rsplit_once([' ', '*'])
        .map(|(ty, name)| (declared.get(..declared.len() - name.len()).unwrap_or(ty), name))?;
    let number = |text: &str| text.split(':').nth(1).map(str::to_owned);
    Some(format!("{} {name} at {}, {}", plain(&format!("{ty}{array}")), number(offset)?, number(size)?))
}

fn as_field(argument: &Value) -> String {
    let number = |name: &str| argument.pointer(&format!("/place/{name}")).and_then(Value::as_u64).unwrap_or_default();
    format!("{} {} at {}, {}", plain(text(argument, "type")), text(argument, "name"), number("offset"), number("size"))
}

/// The fields of the context of every iterator are those that pahole shows.
///
/// # Errors
/// They differ.
pub fn of_iterators_agree() -> Result<()> {
    let ours = objects(&["-v", "iter:*"])?;
    for object in &ours {
        let context = format!("bpf_iter__{}", name(object).unwrap_or_default());
        let output = Command::new("pahole")
            .args(["-C", &context, KERNEL])
            .output()
            .context("cannot run pahole (run ci/setup)")?;
        let shown = String::from_utf8_lossy(&output.stdout);
        let theirs: Vec<String> = shown.lines().filter_map(member).collect();
        let ours: Vec<String> = arguments(object).map(as_field).collect();
        ensure!(ours == theirs && !ours.is_empty(), "{context}: {ours:#?} {theirs:#?}");
    }
    println!("  the contexts of {} iterators compared", ours.len());
    ensure!(ours.len() > 5);
    Ok(())
}

/// `struct file *      file;                 /*    24     8 */` of pahole.
fn member(line: &str) -> Option<String> {
    let (declared, place) = line.split_once("/*")?;
    let declared = declared.split(" __attribute__").next().unwrap_or(declared);
    let (ty, name) = declared.trim().trim_end_matches(';').rsplit_once(' ')?;
    let numbers: Vec<&str> = place.split_whitespace().take(2).collect();
    // What ends an anonymous union has its place too.
    (ty != "}").then(|| format!("{} {name} at {}", plain(ty), numbers.join(", ")))
}

/// The arguments of every system call are those of its entry's format file, and it returns what its exit has.
///
/// # Errors
/// They differ, or one is missing.
pub fn of_system_calls_agree() -> Result<()> {
    let ours = objects(&["-v", "syscall:*"])?;
    let entries = fs::read_dir(format!("{EVENTS}/syscalls"))?.flatten();
    let theirs: BTreeSet<String> =
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("sys_enter_")?.to_owned())).collect();
    ensure!(names(&ours) == theirs, "{:?}", names(&ours).symmetric_difference(&theirs));
    for object in &ours {
        let call = name(object).unwrap_or_default();
        let read = |start: &str| -> Result<Vec<String>> {
            let format = fs::read_to_string(format!("{EVENTS}/syscalls/sys_{start}_{call}/format"))?;
            let fields = format.lines().filter_map(field);
            Ok(fields.filter(|field| !field.contains(" common_") && !field.contains("__syscall_nr")).collect())
        };
        let ours: Vec<String> = arguments(object).map(as_field).collect();
        ensure!(ours == read("enter")?, "{call}: {ours:?} {:?}", read("enter")?);
        let returns: Vec<String> = object.pointer("/prototype/returns").map(as_field).into_iter().collect();
        ensure!(returns == read("exit")?, "{call}: {returns:?} {:?}", read("exit")?);
    }
    println!("  {} system calls compared", ours.len());
    Ok(())
}
