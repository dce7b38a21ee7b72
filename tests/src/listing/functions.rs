//! Functions of the kernel: kallsyms, ftrace, bpftool and, where the kernel lets it, bpftrace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::btf::Types;
use super::{argument_names, bpftrace, explain, list, module, name, names, notes, objects, paste, types};
use crate::dbcc;

/// The functions of the kernel whose arguments are compared.
const SOME: &str = "fentry:/^(tcp|vfs|sched|ext4|bio)_/";
/// What bpftrace 0.17 lists of fentry has at most so many arguments.
const OF_BPFTRACE: usize = 6;

/// The names of functions of the kernel, with how often each is there.
fn kernel_symbols() -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string("/proc/kallsyms")?.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Programs of BPF and trampolines come and go, and are not the kernel's.
        let is_made = words.get(3).is_some_and(|module| *module == "[bpf]" || module.starts_with("[__builtin__"));
        if let ([_, "t" | "T" | "w" | "W", name, ..], false) = (words.as_slice(), is_made) {
            *counts.entry((*name).to_owned()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// What `dbcc list` says of functions of the kernel is what kallsyms, ftrace and bpftool say, and bpftrace, to which a kernel that is
/// locked down does not tell them.
///
/// # Errors
/// They differ.
pub fn agree() -> Result<()> {
    let symbols = kernel_symbols()?;
    let traceable = fs::read_to_string("/sys/kernel/tracing/available_filter_functions").ok();
    let traceable: Option<BTreeSet<&str>> =
        traceable.as_deref().map(|text| text.lines().filter_map(|line| line.split(' ').next()).collect());
    let is_traceable = |name: &str| traceable.as_ref().is_none_or(|names| names.contains(name));

    let (marked, open): (Vec<Value>, Vec<Value>) = objects(&["kprobe:*"])?.into_iter().partition(is_blacklisted);
    let expected: BTreeSet<String> = symbols.keys().filter(|name| is_traceable(name)).cloned().collect();
    let (open, marked) = (names(&open), names(&marked));
    let missing: Vec<&String> =
        expected.iter().filter(|name| !open.contains(*name) && !marked.contains(*name)).collect();
    let others: Vec<&String> = open.difference(&expected).collect();
    ensure!(missing.is_empty() && others.is_empty(), "kprobe lacks {missing:?} and has {others:?}");

    let theirs = Types::of_kernel()?;
    let traced = objects(&["fentry:*"])?;
    let is_known = |name: &&String| symbols.contains_key(*name) && is_traceable(name);
    let expected: BTreeSet<String> = theirs.functions.keys().filter(is_known).cloned().collect();
    let listed: BTreeSet<String> =
        traced.iter().filter(|object| module(object).is_none()).filter_map(name).map(str::to_owned).collect();
    // A function of a module may have the name of one that the kernel describes and does not have any more.
    let different: Vec<&String> = listed.symmetric_difference(&expected).collect();
    ensure!(different.is_empty() && !listed.is_empty(), "fentry lacks or has {different:?}");
    let described = arguments_agree(&theirs, &traced)?;
    all_are_shown_on_request(&symbols)?;
    println!(
        "  {} functions of the kernel, {} with types, {described} compared by arguments",
        open.len(),
        listed.len()
    );
    if traceable.is_some() {
        as_bpftrace_lists(&symbols, &open.union(&marked).cloned().collect(), &marked, &traced, &theirs)?;
    }
    Ok(())
}

/// The names of arguments, of some functions of the kernel and all of its modules.
fn arguments_agree(theirs: &Types, traced: &[Value]) -> Result<usize> {
    let mut modules: BTreeMap<&str, Types> = BTreeMap::new();
    for name in traced.iter().filter_map(module) {
        if !modules.contains_key(name) {
            modules.insert(name, theirs.of_module(name)?);
        }
    }
    let mut some = objects(&["-v", SOME])?;
    let of_the_kernel = some.len();
    if !modules.is_empty() {
        some.extend(objects(&["-v", &in_modules(traced)])?);
    }
    let of_modules = traced.iter().filter(|object| module(object).is_some()).count();
    ensure!(some.len() - of_the_kernel == of_modules, "{of_modules} functions of modules, {}", some.len());
    for object in &some {
        let function = name(object).context("no name")?;
        let types = module(object).map_or(Some(theirs), |module| modules.get(module)).context("no types")?;
        let named = types.functions.get(function).into_iter().flatten().filter(|name| *name != "(anon)");
        ensure!(argument_names(object).iter().eq(named), "{object}");
        let probe = object.get("probe").and_then(Value::as_str);
        ensure!(probe.is_some_and(|probe| probe.contains(function)), "{object}");
    }
    ensure!(some.len() > 200, "{} were compared", some.len());
    Ok(some.len())
}

/// The pattern for what is in modules.
fn in_modules(traced: &[Value]) -> String {
    let modules: BTreeSet<&str> = traced.iter().filter_map(module).collect();
    format!("fentry:/^({}):/", modules.into_iter().collect::<Vec<_>>().join("|"))
}

/// With `--all`, what ftrace cannot trace is there too.
fn all_are_shown_on_request(symbols: &BTreeMap<String, usize>) -> Result<()> {
    let expected: BTreeSet<&str> = symbols.keys().map(String::as_str).filter(|name| name.starts_with("__x")).collect();
    let all = objects(&["--all", "kprobe:__x*"])?;
    let ours: BTreeSet<&str> = all.iter().filter_map(name).collect();
    let different: Vec<_> = ours.symmetric_difference(&expected).collect();
    ensure!(different.is_empty() && !ours.is_empty(), "--all lacks or has {different:?}");
    Ok(())
}

/// The same functions, and the same types of those that are compared.
fn as_bpftrace_lists(
    symbols: &BTreeMap<String, usize>,
    probed: &BTreeSet<String>,
    blacklisted: &BTreeSet<String>,
    traced: &[Value],
    types: &Types,
) -> Result<()> {
    let mut theirs = bpftrace::everything()?;
    let kprobes = theirs.remove("kprobe").unwrap_or_default();
    let has_no_symbol = |name: &str| name.starts_with("__ftrace_invalid_address__") && !symbols.contains_key(name);
    explain("kprobe, bpftrace alone", kprobes.difference(probed), &[("have no symbol to attach to", &has_no_symbol)])?;
    explain(
        "kprobe, dbcc alone",
        probed.difference(&kprobes),
        &[
            ("are blacklisted, and marked", &|name| blacklisted.contains(name)),
            ("are parts and copies, whose names have a dot", &|name| name.contains('.')),
        ],
    )?;

    let kfuncs = theirs.remove("kfunc").unwrap_or_default();
    let ours: BTreeMap<String, &Value> = traced
        .iter()
        .filter_map(|object| Some((format!("{}:{}", module(object).unwrap_or("vmlinux"), name(object)?), object)))
        .collect();
    let names: BTreeSet<String> = ours.keys().cloned().collect();
    // kallsyms has the module of the first.
    let is_listed_once = |place: &str| {
        let name = place.split(':').next_back().unwrap_or_default();
        symbols.get(name).is_some_and(|count| *count > 1)
            && names.iter().any(|place| place.ends_with(&format!(":{name}")))
    };
    explain(
        "fentry, bpftrace alone",
        kfuncs.difference(&names),
        &[("are in several modules, and listed once", &is_listed_once)],
    )?;
    let has_many = |place: &str| {
        let object = ours.get(place).copied();
        let function = object.and_then(name).and_then(|name| types.functions.get(name));
        let marked = object.is_some_and(|object| notes(object).any(|note| note.starts_with("not traced: ")));
        function.map_or(marked, |parameters| parameters.len() > OF_BPFTRACE)
    };
    explain("fentry, dbcc alone", names.difference(&kfuncs), &[("have more than six arguments", &has_many)])?;
    refusals_are_true(traced)?;
    for pattern in ["kprobe:vfs_r*", "fentry:vfs_r*", "fexit:tcp_se*"] {
        paste::a_sample_is_taken(pattern, 6, true)?;
    }
    types_are_those_of_bpftrace(traced)
}

/// Types as bpftrace tells them.
fn types_are_those_of_bpftrace(traced: &[Value]) -> Result<()> {
    let modules: BTreeSet<&str> = traced.iter().filter_map(module).collect();
    let mut told = bpftrace::told("kfunc:vmlinux:tcp_*")?;
    // Each run takes seconds where the processor is emulated.
    for module in modules.into_iter().step_by(4) {
        told.extend(bpftrace::told(&format!("kfunc:{module}:*"))?);
    }
    let mut compared = 0;
    for object in objects(&["-v", "kfunc:vmlinux:tcp_*", &in_modules(traced)])? {
        let place = format!("kfunc:{}:{}", module(&object).unwrap_or("vmlinux"), name(&object).unwrap_or_default());
        let Some(values) = told.get(&place) else { continue };
        let theirs: Vec<String> = values.iter().map(|value| types::plain(value)).collect();
        let ours = types::values(&object);
        ensure!(ours == theirs, "{place}: {ours:?}, bpftrace {theirs:?}");
        compared += 1;
    }
    ensure!(compared > 200, "{compared} were compared");
    println!("  {compared} compared by types with bpftrace");
    Ok(())
}

/// What is marked as not traced is refused by the kernel, one of each reason; and what is not is taken.
fn refusals_are_true(traced: &[Value]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("idle.c");
    fs::write(&probe, "int idle(void *ctx) { return 0; }\n")?;
    let probe = probe.display().to_string();
    let mut reasons: BTreeMap<String, &str> = BTreeMap::new();
    for (object, name) in traced.iter().filter_map(|object| Some((object, name(object)?))) {
        for note in notes(object).filter(|note| note.starts_with("not traced: ")) {
            let reason = note.replace(|letter: char| letter.is_ascii_digit(), "");
            reasons.entry(reason).or_insert(name);
        }
    }
    ensure!(reasons.len() >= 3, "{reasons:?}");
    for (reason, function) in reasons {
        let finished = dbcc::run([&probe, "--attach", &format!("fentry:{function}=idle"), "--duration", "1ms"])?;
        ensure!(
            finished.code() != Some(0) && !finished.stderr().contains("usage"),
            "`{function}` is marked ({reason}) and attached: {}{}",
            finished.stdout(),
            finished.stderr()
        );
        println!("  refused, as it says ({reason}): {function}");
    }
    let open = traced.iter().filter(|object| notes(object).next().is_none()).filter_map(name);
    let text: String = open
        .step_by(9000)
        .enumerate()
        .map(|(number, name)| {
            format!("//@ attach fentry:{name} = idle{number}\nint idle{number}(u64 *ctx) {{ return 0; }}\n")
        })
        .collect();
    fs::write(&probe, text)?;
    let finished = dbcc::run([&probe, "--duration", "1ms"])?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    Ok(())
}

fn is_blacklisted(object: &Value) -> bool {
    notes(object).any(|note| note == "blacklisted")
}

/// What `uprobe_events` of tracefs has is listed, and is gone when it is taken away there.
///
/// # Errors
/// It is not.
pub fn uprobes_of_tracefs_are_listed() -> Result<()> {
    const EVENTS: &str = "/sys/kernel/tracing/uprobe_events";
    let program = std::env::current_exe()?.display().to_string();
    let pattern = format!("active:*{program}*");
    let before = objects(&[&pattern])?;
    // Opening it to be overwritten would take away the events of others.
    let write = |line: String| fs::OpenOptions::new().append(true).open(EVENTS)?.write_all(line.as_bytes());
    write(format!("p:dbcc_list/entry {program}:0x1000\n"))?;
    write(format!("r:dbcc_list/back {program}:0x1010\n"))?;
    let found = objects(&[&pattern]);
    write("-:dbcc_list/entry\n".to_owned())?;
    write("-:dbcc_list/back\n".to_owned())?;
    let found = names(&found?);
    let expected = [format!("uprobe:{program}+0x1000"), format!("uretprobe:{program}+0x1010")];
    ensure!(found.iter().eq(&expected), "{found:?}");
    let after = list(&[&pattern])?;
    ensure!(before.len() == 1 && after.code() == Some(1), "{before:?} {}", after.stdout());
    Ok(())
}
