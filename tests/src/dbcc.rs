//! Running `dbcc` and reading what it prints.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::need;
use crate::process::{Finished, Line, Running, Signal, Stream, signal_process, wait_until};

/// The binary under test: what `DBCC_BIN` names, or the one that was built in the same profile as this test.
///
/// # Errors
/// It has not been built.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("DBCC_BIN") {
        return Ok(PathBuf::from(path));
    }
    // target/PROFILE/deps/test-HASH, or target/PROFILE/program
    let this = env::current_exe().context("cannot find this program")?;
    let folders = this.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("dbcc")).find(|path| path.is_file());
    found.context("dbcc has not been built: run `cargo build -p dbcc` first, or set DBCC_BIN")
}

/// One of the shipped probe files, as a path.
pub fn probe(name: &str) -> PathBuf {
    need::repository().join("probes").join(name)
}

/// A probe that was written for the tests, as an argument.
pub fn case(name: &str) -> String {
    need::repository().join("tests/cases/run").join(name).display().to_string()
}

/// A command that runs `dbcc`, with nothing of the developer's environment that could change what it prints.
///
/// # Errors
/// As for [`binary`].
pub fn command() -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.env_remove("CLICOLOR_FORCE").env("NO_COLOR", "1");
    // The cache is shared by the tests of a run, so that each probe is compiled once.
    Ok(command)
}

/// Runs `dbcc` with `arguments` to its end.
///
/// # Errors
/// It could not be started, or did not end.
pub fn run<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
    let mut command = command()?;
    command.args(arguments);
    crate::process::run(command)
}

/// A `dbcc --json` that has attached its programs.
#[derive(Debug)]
pub struct Attached {
    running: Running,
}

impl Attached {
    /// Starts `dbcc --json` with `arguments` and waits until it says that it is attached.
    ///
    /// # Errors
    /// It ended instead, or did neither in time; the message holds what it printed.
    pub fn start<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut command = command()?;
        command.args(arguments);
        Self::start_command(command)
    }

    /// Like [`start`](Self::start), from a [`command`] with arguments and an environment of its own.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_command(mut command: Command) -> Result<Self> {
        command.arg("--json");
        let mut running = Running::start(command)?;
        running.wait_for("dbcc to be attached", |line| is_kind(line, "attached").then_some(()))?;
        Ok(Self { running })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Waits for a record that `wanted` gives a value for. Records read before count too.
    ///
    /// # Errors
    /// The output ended before, or [`patience`](crate::process::patience) did.
    pub fn wait_for<T>(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> Option<T>) -> Result<T> {
        self.running.wait_for(what, |line| wanted(&parse(line)?))
    }

    /// Stops it, so that it reads nothing, and waits until none of its threads runs any more.
    ///
    /// # Errors
    /// It does not stop.
    pub fn pause(&self) -> Result<()> {
        signal_process(self.pid(), Signal::STOP)?;
        wait_until("dbcc to be stopped", || {
            for task in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
                let stat = fs::read_to_string(task?.path().join("stat"))?;
                // Behind the name, which may hold anything, stands the state (proc_pid_stat(5)).
                if !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It has ended.
    pub fn resume(&self) -> Result<()> {
        signal_process(self.pid(), Signal::CONT)
    }

    /// Ends it as Ctrl-C does, expects that it fails with exit code 1, and gives what it printed.
    ///
    /// # Errors
    /// As for [`interrupt`](Self::interrupt).
    pub fn interrupt_failing(self) -> Result<Records> {
        self.running.signal(Signal::INT)?;
        self.finish_with(1)
    }

    /// Ends it as Ctrl-C does and gives what it printed.
    ///
    /// # Errors
    /// It did not end, or not with exit code 0, or a line of its output is not a record.
    pub fn interrupt(self) -> Result<Records> {
        self.running.signal(Signal::INT)?;
        self.finish()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// As for [`interrupt`](Self::interrupt).
    pub fn finish(self) -> Result<Records> {
        self.finish_with(0)
    }

    fn finish_with(self, code: i32) -> Result<Records> {
        let finished = self.running.finish()?;
        if finished.code() != Some(code) {
            bail!("dbcc ended with {}\n{}{}", finished.status, finished.stdout(), finished.stderr());
        }
        Records::of(&finished)
    }
}

fn parse(line: &Line) -> Option<Value> {
    (line.stream == Stream::Stdout).then(|| serde_json::from_str(&line.text).ok()).flatten()
}

fn is_kind(line: &Line, kind: &str) -> bool {
    parse(line).is_some_and(|record| record.get("kind").is_some_and(|name| name == kind))
}

/// The records that `dbcc --json` printed.
#[derive(Debug, Clone)]
pub struct Records {
    /// All, in order.
    pub all: Vec<Value>,
    /// What it said on standard error.
    pub stderr: String,
}

impl Records {
    /// Parses the standard output of a run.
    ///
    /// # Errors
    /// A line is not one JSON object that says its kind.
    pub fn of(finished: &Finished) -> Result<Self> {
        let lines = finished.stdout();
        let all = lines.lines().map(|line| {
            let record: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
            ensure!(record.get("kind").is_some_and(Value::is_string), "a record without its kind: {line}");
            Ok(record)
        });
        Ok(Self { all: all.collect::<Result<_>>()?, stderr: finished.stderr() })
    }

    /// Those of one kind, such as `event`.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.all.iter().filter(move |record| record["kind"] == kind)
    }

    /// How each C function was attached: `("kretprobe__tcp_sendmsg", "fexit")`, ….
    pub fn attach_kinds(&self) -> Vec<(String, String)> {
        let programs = self.of_kind("attached").filter_map(|record| record["programs"].as_array()).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        programs.map(|program| (text(&program["function"]), text(&program["kind"]))).collect()
    }

    /// The last content of a map: its entries, each with `key` and `value`.
    ///
    /// # Errors
    /// The map was never shown.
    pub fn last_map(&self, map: &str) -> Result<Vec<Value>> {
        let is_report = |record: &Value| record["kind"] == "map" && record["map"] == map;
        let last = self.all.iter().rposition(is_report);
        let last = last.with_context(|| format!("map {map} was not shown:\n{}\n{}", self.text(), self.stderr))?;
        let (report, behind) = self.all.get(last..).and_then(<[Value]>::split_first).context("the report is there")?;
        let entries = behind.iter().filter(|record| record["kind"] == "entry" && record["map"] == map);
        let entries: Vec<Value> = entries.map(|record| record["fields"].clone()).collect();
        ensure!(report["entries"] == entries.len(), "{report} is followed by {} entries", entries.len());
        Ok(entries)
    }

    /// How many of something were reported as lost, by the totals at the end: `("returns", "tcp_sendmsg")`.
    pub fn lost(&self, what: &str) -> u64 {
        let lost = self.of_kind("lost").filter(|record| record["what"] == what && record["total"] == true);
        lost.filter_map(|record| record["count"].as_u64()).sum()
    }

    /// All records as text, for messages.
    pub fn text(&self) -> String {
        self.all.iter().map(|record| format!("{record}\n")).collect()
    }
}
