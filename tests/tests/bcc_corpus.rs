//! Every C text that BCC's tools hand to BCC: what BCC compiles, dbcc compiles; what BCC loads, dbcc loads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::{dbcc, need};
use serde::Deserialize;

/// What `tests/bcc/corpus.py` found out.
#[derive(Deserialize)]
struct Found {
    results: Vec<Compared>,
}

/// One text.
#[derive(Deserialize)]
struct Compared {
    command: String,
    bcc: Answer,
    dbcc: Answer,
    guest: Option<Answer>,
}

/// What became of a text. A program that is there twice is not told apart.
#[derive(Deserialize)]
struct Answer {
    compiled: bool,
    loaded: Option<bool>,
    programs: BTreeMap<String, Option<bool>>,
    said: String,
}

impl Compared {
    /// What dbcc does not do that BCC does.
    fn wrong(&self) -> Option<String> {
        let answers = || [Some(&self.dbcc), self.guest.as_ref()].into_iter().flatten();
        let said = || answers().map(|answer| answer.said.as_str()).collect::<Vec<_>>().join("; in the guest: ");
        if self.bcc.compiled && !answers().any(|answer| answer.compiled) {
            return Some(format!("{}: BCC compiles it, dbcc does not: {}", self.command, said()));
        }
        let loads = |answer: &Answer| {
            let all = self.bcc.programs.keys().all(|name| answer.programs.get(name) == Some(&Some(true)));
            answer.loaded == Some(true) && all
        };
        if self.bcc.loaded == Some(true) && !answers().any(loads) {
            return Some(format!("{}: BCC loads it, dbcc does not: {}", self.command, said()));
        }
        None
    }
}

/// The folder that `ci/setup` fills, seen from the guest in it.
fn work(guest: &Path) -> Result<PathBuf> {
    let work = guest.parent().and_then(Path::parent).context("a guest lies in guests/ of the work folder")?;
    Ok(work.canonicalize()?)
}

#[test]
fn what_bcc_compiles_and_loads_dbcc_compiles_and_loads() -> Result<()> {
    /// Fewer texts than this mean that capturing does not work any more.
    const AT_LEAST: usize = 348;
    need!(need::root());
    need!(need::bcc_tools());
    let guest = need!(need::vm_guest());
    let work = work(&guest)?;
    // Hundreds of texts: the optimised program takes a tenth of the time that another one does.
    let binary = std::env::var_os("DBCC_GUEST_BIN").map_or_else(dbcc::binary, |path| Ok(PathBuf::from(path)))?;
    let repository = need::repository();
    // Debian's Python, which has BCC's module.
    let mut command = Command::new("/usr/bin/python3");
    command.arg(repository.join("tests/bcc/corpus.py")).arg(&repository).arg(&work).arg(&guest);
    command.arg(&binary).arg(&binary).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().context("cannot run /usr/bin/python3")?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let found: Found = serde_json::from_str(&fs::read_to_string(work.join("bcc/results.json"))?)?;
    ensure!(found.results.len() >= AT_LEAST, "only {} texts were captured", found.results.len());
    ensure!(
        found.results.iter().any(|one| one.bcc.loaded == Some(true)),
        "BCC loads nothing: the comparison says nothing"
    );
    let wrong: Vec<String> = found.results.iter().filter_map(Compared::wrong).collect();
    ensure!(wrong.is_empty(), "{} of {} texts:\n{}", wrong.len(), found.results.len(), wrong.join("\n"));
    Ok(())
}
