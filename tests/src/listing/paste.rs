//! The lines to paste, pasted.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{notes, objects, output};
use crate::dbcc::{self, Attached};

/// Every n-th of what a pattern lists makes a probe file that dbcc takes, and with `load` the kernel too.
///
/// # Errors
/// It does not.
pub fn a_sample_is_taken(pattern: &str, every: usize, load: bool) -> Result<()> {
    let sample = Sample::of(pattern, every)?;
    let file = sample.file();
    let finished = dbcc::run(["check", &file].into_iter().chain(load.then_some("--load")))?;
    ensure!(finished.code() == Some(0), "{pattern}: {}{}\n{}", finished.stdout(), finished.stderr(), sample.text);
    println!("  {pattern}: {} pasted{}", sample.count, if load { " and loaded" } else { "" });
    Ok(())
}

/// Every n-th of what a pattern lists makes a probe file that is attached, all of it.
///
/// # Errors
/// It is not.
pub fn a_sample_is_attached(pattern: &str, every: usize) -> Result<()> {
    let sample = Sample::of(pattern, every)?;
    let records = Attached::start([&sample.file()])?.interrupt()?;
    let attached = records.attach_kinds().len();
    ensure!(attached == sample.count, "{pattern}: {attached} attached of {}\n{}", sample.count, sample.text);
    println!("  {pattern}: {attached} pasted and attached");
    Ok(())
}

/// A probe file of lines that were pasted.
struct Sample {
    folder: TempDir,
    text: String,
    /// How many programs it has.
    count: usize,
}

impl Sample {
    fn of(pattern: &str, every: usize) -> Result<Self> {
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
        let sample = Self { folder: tempfile::tempdir()?, text, count: taken.len() };
        fs::write(sample.file(), &sample.text)?;
        Ok(sample)
    }

    fn file(&self) -> String {
        self.folder.path().join("pasted.c").display().to_string()
    }
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
