//! What `dbcc list` lists, against what others tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::dbcc;
use crate::process::{self, run};

/// The functions of the kernel whose arguments are compared.
const SOME: &str = "fentry:/^(tcp|vfs|sched|ext4|bio)_/";

/// Runs `dbcc list`.
///
/// # Errors
/// It cannot be run.
pub fn list(arguments: &[&str]) -> Result<process::Finished> {
    dbcc::run(["list"].iter().chain(arguments))
}

/// What is listed, without notes.
///
/// # Errors
/// It cannot be run, or writes what is no JSON.
pub fn objects(arguments: &[&str]) -> Result<Vec<Value>> {
    let text = list(&[&["--json"], arguments].concat())?.stdout();
    let objects = text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
    let objects: Vec<Value> = objects.collect::<Result<_>>()?;
    Ok(objects.into_iter().filter(|object| object.get("kind").is_none_or(|kind| kind != "note")).collect())
}

/// The names of what is listed.
pub fn names(objects: &[Value]) -> BTreeSet<String> {
    objects.iter().filter_map(name).map(str::to_owned).collect()
}

fn name(object: &Value) -> Option<&str> {
    object.get("name")?.as_str()
}

/// The names of the arguments of something that is listed.
pub fn argument_names(object: &Value) -> Vec<String> {
    let arguments = object.pointer("/prototype/arguments").and_then(Value::as_array);
    let names = arguments.into_iter().flatten().filter_map(|argument| argument["name"].as_str());
    names.map(str::to_owned).collect()
}

/// What another program writes.
///
/// # Errors
/// It cannot be run.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(run(command)?.stdout())
}

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

/// The functions in the kernel's BTF and the names of their parameters, as bpftool tells them.
fn functions_of_bpftool() -> Result<BTreeMap<String, Vec<String>>> {
    let text = output("bpftool", &["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "raw"])?;
    let (mut prototypes, mut functions, mut current) = (BTreeMap::new(), BTreeMap::new(), String::new());
    for line in text.lines() {
        let quoted = || line.split('\'').nth(1).unwrap_or_default().to_owned();
        if let Some(head) = line.strip_prefix('[') {
            current = head.split(']').next().unwrap_or_default().to_owned();
            if line.contains("] FUNC_PROTO ") {
                prototypes.insert(current.clone(), Vec::new());
            } else if line.contains("] FUNC ") {
                let prototype = line.split("type_id=").nth(1).and_then(|rest| rest.split(' ').next());
                functions.entry(quoted()).or_insert_with(|| prototype.unwrap_or_default().to_owned());
            }
        } else if let Some(parameters) = prototypes.get_mut(&current) {
            parameters.push(quoted());
        }
    }
    let with = |(name, prototype): (String, String)| (name, prototypes.get(&prototype).cloned().unwrap_or_default());
    Ok(functions.into_iter().map(with).collect())
}

/// What `dbcc list` says of functions of the kernel is what kallsyms, ftrace and bpftool say.
///
/// # Errors
/// They differ.
pub fn kernel_functions_agree() -> Result<()> {
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

    let theirs = functions_of_bpftool()?;
    let is_only_one = |name: &&String| symbols.get(*name) == Some(&1) && is_traceable(name);
    let expected: BTreeSet<String> = theirs.keys().filter(is_only_one).cloned().collect();
    let listed = names(&of_the_kernel_itself(objects(&["fentry:*"])?));
    let different: Vec<&String> = listed.symmetric_difference(&expected).collect();
    ensure!(different.is_empty() && !listed.is_empty(), "fentry lacks or has {different:?}");
    let some = of_the_kernel_itself(objects(&["-v", SOME])?);
    for object in &some {
        let function = name(object).context("no name")?;
        let named = theirs.get(function).into_iter().flatten().filter(|name| *name != "(anon)");
        ensure!(argument_names(object).iter().eq(named), "{object}");
        let probe = object.get("probe").and_then(Value::as_str);
        ensure!(probe.is_some_and(|probe| probe.contains(function)), "{object}");
    }
    ensure!(some.len() > 200, "{} were compared", some.len());
    println!(
        "{} functions of the kernel, {} with types, {} compared by arguments",
        open.len(),
        listed.len(),
        some.len()
    );
    Ok(())
}

fn is_blacklisted(object: &Value) -> bool {
    let notes = object.get("notes").and_then(Value::as_array);
    notes.is_some_and(|notes| notes.iter().any(|note| note == "blacklisted"))
}

fn of_the_kernel_itself(objects: Vec<Value>) -> Vec<Value> {
    objects.into_iter().filter(|object| object.get("module").is_none_or(Value::is_null)).collect()
}
