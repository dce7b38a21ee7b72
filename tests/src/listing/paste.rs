//! The lines to paste, pasted.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{notes, objects, output};
use crate::dbcc;

/// Every n-th of what a pattern lists makes a probe file that dbcc takes, and with `load` the kernel too.
///
/// # Errors
/// It does not.
pub fn a_sample_is_taken(pattern: &str, every: usize, load: bool) -> Result<()> {
    let found = objects(&["-v", pattern])?;
    let mut taken = BTreeSet::new();
    let mut text = String::new();
    let open = found.iter().filter(|object| !notes(object).any(|note| note.starts_with("not traced")));
    for probe in open.step_by(every).filter_map(|object| object.get("probe").and_then(Value::as_str)) {
        // Functions of one name and other parameters would be one function.
        let head = probe.lines().next_back().unwrap_or_default();
        let function = if head.starts_with("int ") { head.split('(').next().unwrap_or(head) } else { head };
        if taken.insert(function.to_owned()) {
            text.push_str(&format!("{probe}\n{{\n\treturn 0;\n}}\n"));
        }
    }
    ensure!(!taken.is_empty(), "{pattern}: none of {} has a line to paste", found.len());
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pasted.c");
    fs::write(&file, &text)?;
    let file = file.display().to_string();
    let arguments = ["check", &file].into_iter().chain(load.then_some("--load"));
    let finished = dbcc::run(arguments)?;
    ensure!(finished.code() == Some(0), "{pattern}: {}{}\n{text}", finished.stdout(), finished.stderr());
    println!("  {pattern}: {} pasted{}", taken.len(), if load { " and loaded" } else { "" });
    Ok(())
}

/// The files that `dbcc list` opens for a pattern.
///
/// # Errors
/// It cannot be traced.
pub fn opened(pattern: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log").display().to_string();
    let dbcc = dbcc::binary()?.display().to_string();
    output("strace", &["-f", "-e", "trace=open,openat", "-o", &log, &dbcc, "list", pattern])?;
    Ok(fs::read_to_string(log)?)
}
