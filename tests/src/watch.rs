//! Probes that are edited while they count.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::dbcc::{Attached, Records};
use crate::need;
use crate::process::{self, Running};

/// The program `load.c`, which calls functions at a steady pace.
pub struct Load {
    running: Running,
    program: PathBuf,
}

/// How often it did.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    /// Calls of `work`.
    pub calls: u64,
    /// Calls of `paired`, of each function named `many_…`, of getppid(2) and of lseek(2) on /dev/null, and passes of the two USDT sites.
    pub others: u64,
    /// Calls of `rare`.
    pub rares: u64,
    /// How long it took.
    pub milliseconds: u64,
}

/// A probe that is edited.
pub struct Edited {
    folder: TempDir,
    text: String,
}

fn case(name: &str) -> PathBuf {
    need::repository().join("tests/cases/watch").join(name)
}

impl Load {
    /// Compiles and starts it; it calls nothing yet.
    ///
    /// # Errors
    /// There is no C compiler, or it does not start.
    pub fn start(folder: &Path, per_second: u64, threads: u64) -> Result<Self> {
        let program = folder.join("load");
        let headers = format!("-I{}", need::repository().join("symres/tests/data").display());
        process::compile(Path::new(&case("load.c")), &program, ["-pthread", &headers])?;
        let mut command = Command::new(&program);
        command.args([per_second.to_string(), threads.to_string()]);
        Ok(Self { running: Running::start_ready(command)?, program })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Begins to call.
    ///
    /// # Errors
    /// It ended.
    pub fn begin(&mut self) -> Result<()> {
        self.running.tell("begin")
    }

    /// Ends calling. The process stays.
    ///
    /// # Errors
    /// It ended, or did not say how often it called.
    pub fn end(&mut self) -> Result<Calls> {
        self.running.tell("end")?;
        self.running.wait_for("the number of calls", |line| {
            let mut words = line.text.split_whitespace();
            let mut number = |name: &str| words.find(|word| *word == name).and_then(|_| words.next()?.parse().ok());
            let (calls, others, rares) = (number("calls")?, number("others")?, number("rares")?);
            Some(Calls { calls, others, rares, milliseconds: number("milliseconds")? })
        })
    }
}

impl Edited {
    /// A probe of these tests, with `program` in place of `PROGRAM`. Its version is 0.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn new(name: &str, program: &Path) -> Result<Self> {
        let text = fs::read_to_string(case(name))?.replace("PROGRAM", &program.display().to_string());
        let edited = Self { folder: tempfile::tempdir()?, text };
        edited.save(0)?;
        Ok(edited)
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("probe.c")
    }

    /// Saves a version, as an editor does: by renaming it over the one before.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, version: u64) -> Result<()> {
        self.write(&self.text.replace("VERSION", &version.to_string()))
    }

    /// Saves a text.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        let other = self.folder.path().join("probe.c.new");
        fs::write(&other, text)?;
        fs::rename(other, self.path()).context("cannot save the probe")
    }
}

/// Waits until so many versions took the place of others.
///
/// # Errors
/// One was refused, or it did not happen.
pub fn wait_for_swaps(dbcc: &mut Attached, wanted: u64) -> Result<()> {
    let mut swapped = 0;
    let refused = dbcc.wait_for("the next version to run", |record| match record["kind"].as_str()? {
        "swapped" => {
            swapped += 1;
            (swapped == wanted).then_some(None)
        }
        "refused" => Some(Some(record["message"].to_string())),
        _ => None,
    })?;
    ensure!(refused.is_none(), "{}", refused.unwrap_or_default());
    Ok(())
}

/// The sum of a map over all versions: of what each of them showed of it last, before it was reset or at the end.
///
/// # Errors
/// A value is no number.
pub fn sum(records: &Records, map: &str) -> Result<u64> {
    let mut sum = 0;
    let mut last = false;
    for record in records.all.iter().filter(|record| record["map"] == map) {
        match record["kind"].as_str() {
            Some("map") => last = record["last"] == true,
            Some("entry") if last => {
                let value = record["fields"].get("value");
                let value = value.and_then(|value| value.get("calls")).or(value);
                sum += value.and_then(Value::as_u64).with_context(|| format!("no number: {record}"))?;
            }
            _ => {}
        }
    }
    Ok(sum)
}

/// How often each reason for a reset was told, by map.
pub fn resets(records: &Records) -> BTreeMap<(String, String), usize> {
    let mut resets = BTreeMap::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for reset in records.of_kind("swapped").filter_map(|record| record["reset"].as_array()).flatten() {
        *resets.entry((text(&reset["map"]), text(&reset["why"]))).or_default() += 1;
    }
    resets
}

/// Swaps versions of a probe of kernel functions under a load, and compares what it counted with the calls.
///
/// # Errors
/// A count is not exact.
pub fn kernel_functions_are_exact(attach_as: &str, swaps: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut load = Load::start(folder.path(), 5000, 3)?;
    let probe = Edited::new("kernel.c", load.program())?;
    let pid = load.pid().to_string();
    let path = probe.path().display().to_string();
    let mut dbcc =
        Attached::start(["--watch", "--interval", "1h", "--attach-as", attach_as, "--pid", &pid, path.as_str()])?;
    load.begin()?;
    for swap in 1..=swaps {
        probe.save(swap % 4)?;
        wait_for_swaps(&mut dbcc, swap)?;
    }
    let Calls { others: calls, milliseconds, .. } = load.end()?;
    let records = dbcc.interrupt()?;
    let found = ["entries", "returns", "orphans"].map(|map| sum(&records, map));
    let found = found.into_iter().collect::<Result<Vec<u64>>>()?;
    let chosen = records.attach_kinds();
    ensure!(chosen.iter().any(|(_, kind)| kind == attach_as), "attached as {chosen:?}");
    all_behind_the_switch(&records)?;
    let missed = records.lost("returns") + records.lost("hits") + records.lost("runs");
    // Where the kernel does not run a program, this is counted (fentry while a preempted thread is inside: seen on 7.2);
    // an entry that was not seen leaves its return an orphan.
    let seen = found.iter().sum::<u64>() + missed;
    ensure!(
        found == [calls, calls, 0] || (missed > 0 && seen == 2 * calls),
        "{calls} calls in {milliseconds} ms and {swaps} swaps: entries, returns, orphans are {found:?}, {missed} missed\n{}",
        records.text()
    );
    Ok(())
}

/// Checks that no program of any swap ran beside that of the version before.
///
/// # Errors
/// One did.
pub fn all_behind_the_switch(records: &Records) -> Result<()> {
    for swap in records.of_kind("swapped") {
        ensure!(swap["beside"].as_array().is_none_or(Vec::is_empty), "a program is not behind the switch: {swap}");
    }
    Ok(())
}

/// Exchanges a probe of `tests/cases/kinds` while `act` is done again and again: how often it was done, and what was recorded.
///
/// # Errors
/// A version does not run, or what is to be done cannot be.
pub fn swapped_while(
    name: &str,
    arguments: &[&str],
    swaps: u64,
    act: impl Fn() -> Result<()> + Send + 'static,
) -> Result<(u64, Records)> {
    let text = fs::read_to_string(need::repository().join("tests/cases/kinds").join(name))?;
    let folder = tempfile::tempdir()?;
    let probe = Edited { folder, text: format!("{text}\n// VERSION\n") };
    probe.save(0)?;
    let path = probe.path().display().to_string();
    let fixed = ["--watch", "--interval", "1h", path.as_str()];
    let mut dbcc = Attached::start(fixed.into_iter().chain(arguments.iter().copied()))?;
    let (done, is_done) = mpsc::channel::<()>();
    let acting = thread::spawn(move || -> Result<u64> {
        let mut count = 0;
        while is_done.try_recv() == Err(TryRecvError::Empty) {
            act()?;
            count += 1;
        }
        Ok(count)
    });
    let mut swapped = Ok(());
    for swap in 1..=swaps {
        swapped = probe.save(swap).and_then(|()| wait_for_swaps(&mut dbcc, swap));
        if swapped.is_err() {
            break;
        }
    }
    drop(done);
    let count = acting.join().map_err(|_| anyhow!("the thread panicked"))??;
    swapped?;
    Ok((count, dbcc.interrupt()?))
}
