//! What `dbcc list` lists, against what others tell.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::dbcc;
use crate::process::{self, run};

pub mod binaries;
pub mod bpftrace;
pub mod btf;
pub mod events;
pub mod functions;
pub mod paste;
pub mod types;

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

/// The name of something that is listed.
pub fn name(object: &Value) -> Option<&str> {
    object.get("name")?.as_str()
}

/// The names of the arguments of something that is listed.
pub fn argument_names(object: &Value) -> Vec<String> {
    let arguments = object.pointer("/prototype/arguments").and_then(Value::as_array);
    let names = arguments.into_iter().flatten().filter_map(|argument| argument["name"].as_str());
    names.map(str::to_owned).collect()
}

/// What is told about something that is listed before it is probed.
pub fn notes(object: &Value) -> impl Iterator<Item = &str> {
    object.get("notes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The module of the kernel that something that is listed is in.
pub fn module(object: &Value) -> Option<&str> {
    object.get("module")?.as_str()
}

/// Why one tool alone may list a name, and whether that is so.
pub type Reason<'r> = (&'r str, &'r dyn Fn(&str) -> bool);

/// Holds names that only one of two lists has against the reasons for which that may be, and prints how many each explains.
///
/// # Errors
/// A name has none.
pub fn explain<'n>(what: &str, names: impl IntoIterator<Item = &'n String>, reasons: &[Reason<'_>]) -> Result<()> {
    let mut counts = vec![0_usize; reasons.len()];
    let mut without = Vec::new();
    for name in names {
        match reasons.iter().zip(&mut counts).find(|((_, holds), _)| holds(name)) {
            Some((_, count)) => *count += 1,
            None => without.push(name),
        }
    }
    for ((why, _), count) in reasons.iter().zip(counts) {
        println!("  {what}: {count} {why}");
    }
    let some: Vec<_> = without.iter().take(20).collect();
    ensure!(without.is_empty(), "{what}: {} for no known reason, such as {some:?}", without.len());
    Ok(())
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
