//! What `bpftrace -l` lists.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::output;

/// The places of one kind, without the kind. Versions of symbols are not part of their names here.
///
/// # Errors
/// bpftrace cannot be run.
pub fn listed(kind: &str, arguments: &[&str]) -> Result<BTreeSet<String>> {
    let text = output("bpftrace", &[&["-l"], arguments].concat())?;
    Ok(of_kind(&text, kind))
}

/// All that it lists without a pattern, by kind.
///
/// # Errors
/// bpftrace cannot be run.
pub fn everything() -> Result<BTreeMap<&'static str, BTreeSet<String>>> {
    let text = output("bpftrace", &["-l"])?;
    Ok(["kprobe", "kfunc", "tracepoint", "iter"].into_iter().map(|kind| (kind, of_kind(&text, kind))).collect())
}

fn of_kind(text: &str, kind: &str) -> BTreeSet<String> {
    let names = text.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(':'));
    names.map(|name| name.split("@").next().unwrap_or(name).to_owned()).collect()
}

/// What it tells of each place with `-v`: a line for each value, the returned one last.
///
/// # Errors
/// It tells of nothing.
pub fn told(pattern: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let text = output("bpftrace", &["-lv", pattern])?;
    let (mut told, mut current): (BTreeMap<String, Vec<String>>, _) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(value) => told.entry(current.clone()).or_default().push(value.to_owned()),
            None => {
                line.clone_into(&mut current);
                told.entry(current.clone()).or_default();
            }
        }
    }
    ensure!(!told.is_empty(), "bpftrace tells nothing of {pattern}");
    Ok(told)
}
