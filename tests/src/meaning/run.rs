//! Runs tools under BCC and under dbcc at the same time.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::capture::Target;
use super::case::{Case, Work};
use super::compare::{Compared, compare};
use super::pair::Started;
use super::work::Worker;
use crate::need::{self, Skip};
use crate::process;

/// Debian's Python, whatever other is on `PATH`: it has BCC's module.
pub const PYTHON: &str = "/usr/bin/python3";

/// Compilers at the same time: each takes some 200 MB.
const AT_ONCE: usize = 2;

/// What BCC and its tools need.
///
/// # Errors
/// They are not there.
pub fn available(cases: &[Case]) -> Result<(), Skip> {
    need::root()?;
    for case in cases {
        // Debian renames all but those that others call.
        let places = [format!("/usr/sbin/{}-bpfcc", case.tool), format!("/usr/sbin/{}", case.tool)];
        if !places.iter().any(|place| Path::new(place).exists()) {
            let [place, _] = places;
            return Err(Skip::required(format!("{place} is not there (run ci/setup)")));
        }
        Worker::available(case.work)?;
    }
    if fs::read_dir("/usr/src").ok().and_then(|mut folder| folder.next()).is_none() {
        return Err(Skip::required("no kernel headers in /usr/src (run ci/setup)"));
    }
    Ok(())
}

/// Writes down what tools ask about the kernel whose BTF is in `vmlinux`.
///
/// # Errors
/// It cannot be read.
pub fn kernel_facts(vmlinux: &Path, out: &Path) -> Result<()> {
    let mut command = Command::new(PYTHON);
    command.arg(script("capture_one.py")).args([vmlinux, out]);
    let finished = process::run(command)?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    Ok(())
}

/// A script that has to do with BCC.
pub fn script(name: &str) -> PathBuf {
    need::repository().join("tests/bcc").join(name)
}

/// The cases whose command lines contain one of the parts that `DBCC_MEANING` gives, with commas; all without it.
pub fn chosen(cases: &[Case]) -> Vec<Case> {
    let part = env::var("DBCC_MEANING").unwrap_or_default();
    let wanted = |case: &&Case| part.split(',').any(|part| case.name().contains(part));
    cases.iter().filter(wanted).copied().collect()
}

/// Runs all cases and says of each what was compared. `kernel` is what [`kernel_facts`] wrote. With `DBCC_MEANING_WRONG` in the
/// environment, dbcc gets texts that count something else, and every comparison must notice.
///
/// # Errors
/// A case differs, or could not be run.
pub fn run(cases: &[Case], kernel: &Path) -> Result<()> {
    let wrong = env::var_os("DBCC_MEANING_WRONG").is_some();
    let folder = tempfile::Builder::new().prefix("dbcc-meaning-").tempdir()?;
    let mut workers: BTreeMap<Work, Worker> = BTreeMap::new();
    for case in cases {
        if let Entry::Vacant(place) = workers.entry(case.work) {
            let installed = Worker::available(case.work).map_err(|skip| anyhow::anyhow!("{skip:?}"))?;
            place.insert(Worker::start(case.work, installed.as_ref())?);
        }
    }
    let targets =
        workers.iter().map(|(work, worker)| Ok((*work, Target { pid: worker.pid(), binary: worker.binary()? })));
    let targets: BTreeMap<Work, Target> = targets.collect::<Result<_>>()?;
    let started = start_all(cases, &targets, folder.path(), kernel, wrong);
    for worker in workers.values_mut() {
        worker.work()?;
    }
    let started: Vec<_> = started.into_iter().map(|started| started?.end_bcc()).collect();
    let started: Vec<_> = started.into_iter().map(|started| started?.start_dbcc()).collect();
    let again: BTreeSet<Work> = cases.iter().filter(|case| case.apart).map(|case| case.work).collect();
    for (_, worker) in workers.iter_mut().filter(|(work, _)| again.contains(work)) {
        worker.work()?;
    }
    let mut failed = Vec::new();
    for (case, started) in cases.iter().zip(started) {
        let pid = targets.get(&case.work).context("no worker")?.pid;
        let recorded = match started.and_then(Started::end) {
            Ok(recorded) => recorded,
            Err(why) => {
                failed.push(format!("{}: {why:#}", case.name()));
                continue;
            }
        };
        match (compare(case, pid, &recorded), wrong) {
            (Ok(compared), false) => println!("ok {}: {}", case.name(), figures(&compared)),
            (Ok(compared), true) => failed.push(format!("{}: not noticed: {}", case.name(), figures(&compared))),
            (Err(why), true) => println!("noticed {}: {why:#}", case.name()),
            (Err(why), false) => failed.push(format!("{}: {why:#}", case.name())),
        }
    }
    ensure!(failed.is_empty(), "{} of {} differ:\n{}", failed.len(), cases.len(), failed.join("\n"));
    Ok(())
}

fn figures(compared: &[Compared]) -> String {
    let figures = compared.iter().map(|table| {
        let (bcc, dbcc) = table.sums;
        let sums = if (bcc, dbcc) == (0, 0) { String::new() } else { format!(", sums: BCC {bcc}, dbcc {dbcc}") };
        format!("{} {} rows{sums}", table.table, table.rows)
    });
    figures.collect::<Vec<_>>().join("; ")
}

fn start_all(
    cases: &[Case],
    targets: &BTreeMap<Work, Target>,
    folder: &Path,
    kernel: &Path,
    wrong: bool,
) -> Vec<Result<Started>> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut mine = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { return mine };
            let place = folder.join(index.to_string());
            let target = targets.get(&case.work).context("no worker");
            let (began, name) = (Instant::now(), case.name());
            let outcome = target.and_then(|target| Started::start(case, target, &place, kernel, wrong));
            let said = if outcome.is_ok() { "attached" } else { "not attached" };
            println!("{said} {name} ({:.1} s)", began.elapsed().as_secs_f32());
            mine.push((index, outcome));
        }
    };
    let mut started: BTreeMap<usize, Result<Started>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let of = |index| started.remove(&index).unwrap_or_else(|| Err(anyhow::anyhow!("a thread panicked")));
    (0..cases.len()).map(of).collect()
}
