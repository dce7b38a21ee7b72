//! `sites FOLDER [ROUNDS]`: what a hit of a uprobe costs at the entry of a function, and at the site that dbcc chooses. See
//! `ci/bench-symbols sites`.
//!
//! The cost of a hit is the processor time that the traced thread takes for a call, less what it takes without a probe:
//! the trap, the program and the return are in it, and the network is not. The time that the client sees is shown too.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use dbcc_tests::client::Client;
use dbcc_tests::dbcc::Attached;
use dbcc_tests::process::{self, Running};
use dbcc_tests::server::Flavor;
use symres::{Binary, Handling, KernelVersion};

/// Calls of the function in one round.
const CALLS: u64 = 50_000;

/// Commands to a server in one round.
const COMMANDS: u64 = 10_000;

const SERVERS: &[(Flavor, &str)] =
    &[(Flavor::Mysql56, "MySQL 5.6.24"), (Flavor::MariaDb, "MariaDB 10.11"), (Flavor::Mysql97, "MySQL 9.7.4")];

/// What is traced.
trait Traced {
    fn pid(&self) -> u32;
    /// Calls the function so often; nanoseconds that the caller waited for each call, and that the process computed.
    fn call(&mut self) -> Result<(f64, f64)>;
    fn calls(&self) -> u64;
}

/// The program `hits.c`.
struct Loop {
    process: Running,
    asked: usize,
}

impl Traced for Loop {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn call(&mut self) -> Result<(f64, f64)> {
        let before = processor_times(self.pid())?;
        self.process.tell(&CALLS.to_string())?;
        self.asked += 1;
        let (mut answers, asked) = (0, self.asked);
        let took = self.process.wait_for("took", |line| {
            let took: f64 = line.text.strip_prefix("took ")?.parse().ok()?;
            answers += 1;
            (answers == asked).then_some(took)
        })?;
        Ok((took, computed_since(self.pid(), &before)? / count(CALLS)))
    }

    fn calls(&self) -> u64 {
        CALLS
    }
}

/// A server with one connection.
struct Commands {
    pid: u32,
    client: Client,
}

impl Traced for Commands {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn call(&mut self) -> Result<(f64, f64)> {
        let (before, start) = (processor_times(self.pid)?, Instant::now());
        for _ in 0..COMMANDS {
            self.client.query("do 1")?;
        }
        let took = start.elapsed().as_secs_f64() * 1e9 / count(COMMANDS);
        Ok((took, computed_since(self.pid, &before)? / count(COMMANDS)))
    }

    fn calls(&self) -> u64 {
        COMMANDS
    }
}

/// What each thread of a process has computed, in nanoseconds: the first number of `schedstat`
/// (Documentation/scheduler/sched-stats.rst).
fn processor_times(pid: u32) -> Result<BTreeMap<OsString, f64>> {
    let mut times = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        // A thread may have ended meanwhile.
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        if let Some(time) = text.split(' ').next().and_then(|first| first.parse().ok()) {
            times.insert(task.file_name(), time);
        }
    }
    Ok(times)
}

/// What the busiest thread has computed since: the one that was asked. A server has others that do something now and then.
fn computed_since(pid: u32, before: &BTreeMap<OsString, f64>) -> Result<f64> {
    let now = processor_times(pid)?;
    Ok(now.iter().map(|(thread, time)| time - before.get(thread).unwrap_or(&0.0)).fold(0.0, f64::max))
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn count(number: u64) -> f64 {
    number as f64
}

/// One way to run.
#[derive(Default)]
struct Way {
    waited: Vec<f64>,
    computed: Vec<f64>,
    seen: Option<serde_json::Value>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = PathBuf::from(arguments.first().context("usage: sites FOLDER [ROUNDS]")?);
    let rounds: usize = arguments.get(1).map_or(Ok(7), |rounds| rounds.parse()).context("ROUNDS")?;
    println!(
        "Processor time of the traced thread for a call, in µs; medians of {rounds} rounds, the three ways in turn.\n"
    );
    println!(
        "| function | entry | probed | no probe | at the entry | at the site | a hit at the entry | a hit at the site | ratio | hits, arguments | client, at the entry / at the site |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let scratch = tempfile::tempdir()?;
    let program = scratch.path().join("hits");
    process::compile(&folder.join("hits.c"), &program, ["-fcf-protection"])?;
    let process = Running::start_ready(Command::new(&program))?;
    let mut traced = Loop { process, asked: 0 };
    for (kind, function) in [("uprobe", "on_call"), ("uretprobe", "on_return")] {
        let attach = format!("{kind}:probed={function}");
        row("a loop: `probed`", &program, "probed", kind, &mut traced, &folder, &attach, rounds)?;
    }
    let mut gains = Vec::new();
    for (flavor, name) in SERVERS {
        let installed = flavor.installed().map_err(|skip| anyhow!("{skip:?}"))?;
        gains.push((name, gain(installed.binary())?));
        let server = installed.start()?;
        let mut traced = Commands { pid: server.pid(), client: Client::connect(server.port)? };
        let what = format!("{name}: `dispatch_command`");
        let attach = "uprobe:dispatch_command=on_call";
        row(&what, installed.binary(), "dispatch_command", "uprobe", &mut traced, &folder, attach, rounds)?;
    }
    println!("\n| server | functions | emulated at the entry | gain by a site | single-stepped | refused |");
    println!("|---|---|---|---|---|---|");
    for (name, [all, emulated, gained, stepped, refused]) in gains {
        println!("| {name} | {all} | {emulated} | {gained} | {stepped} | {refused} |");
    }
    Ok(())
}

/// Measures one function, and prints its row.
#[expect(clippy::too_many_arguments, reason = "they are the columns of a table")]
fn row(
    what: &str,
    binary: &Path,
    function: &str,
    kind: &str,
    traced: &mut dyn Traced,
    folder: &Path,
    attach: &str,
    rounds: usize,
) -> Result<()> {
    let mut ways: [Way; 3] = Default::default();
    // The first round warms up.
    for round in 0..=rounds {
        for (number, way) in ways.iter_mut().enumerate() {
            let dbcc = match number {
                0 => None,
                _ => Some(start(traced.pid(), folder, attach, number == 1)?),
            };
            let (waited, computed) = traced.call()?;
            if let Some(dbcc) = dbcc {
                let entries = dbcc.interrupt()?.last_map("seen")?;
                let seen = entries.first().and_then(|entry| entry.get("value")).context("one value is there")?.clone();
                let hits = seen.get("hits").and_then(serde_json::Value::as_u64);
                ensure!(hits == Some(traced.calls()), "{what}: {hits:?} hits of {} calls", traced.calls());
                way.seen = Some(seen);
            }
            if round > 0 {
                way.waited.push(waited / 1e3);
                way.computed.push(computed / 1e3);
            }
        }
    }
    let [none, entry, site] = &mut ways;
    ensure!(entry.seen == site.seen, "{what}: {:?} at the entry, {:?} at the site", entry.seen, site.seen);
    let (first, is_moved) = at(binary, function)?;
    let (none_waited, none_computed) = (median(&mut none.waited), median(&mut none.computed));
    let (entry_waited, entry_computed) = (median(&mut entry.waited), median(&mut entry.computed));
    let (site_waited, site_computed) = (median(&mut site.waited), median(&mut site.computed));
    let (at_entry, at_site) = (entry_computed - none_computed, site_computed - none_computed);
    let ratio = match is_moved {
        true => format!("1/{:.1}", at_entry / at_site),
        false => "the same instruction".to_owned(),
    };
    println!(
        "| {what} | {first} | {kind} | {none_computed:.2} | {entry_computed:.2} | {site_computed:.2} | {at_entry:.2} | \
         {at_site:.2} | {ratio} | {}, equal | {:+.2} / {:+.2} |",
        traced.calls(),
        entry_waited - none_waited,
        site_waited - none_waited,
    );
    Ok(())
}

fn start(pid: u32, folder: &Path, attach: &str, at_entry: bool) -> Result<Attached> {
    let probe = folder.join("hits_probe.c").display().to_string();
    let arguments = [&probe, "--pid", &pid.to_string(), "--interval", "1h", "--attach", attach].map(str::to_owned);
    Attached::start(arguments.into_iter().chain(at_entry.then(|| "--at-entry".to_owned())))
}

/// The instruction at the entry and the site, and whether there is one.
fn at(binary: &Path, function: &str) -> Result<(String, bool)> {
    let binary = Binary::open(binary)?;
    let answer = binary.functions(&function.parse()?)?;
    let body = answer.matches.first().and_then(|found| found.body()).context("the function is there")?;
    let site = binary.site(body, KernelVersion::OLDEST)?;
    Ok(match site.best {
        Some(best) => (format!("`{}`, +{} `{}`", site.instruction, best.offset, best.instruction), true),
        None => (format!("`{}`", site.instruction), false),
    })
}

/// Of all functions of a binary: how many there are, whose entry is emulated, that gain, that are single-stepped all the
/// same, that cannot be probed.
fn gain(binary: &Path) -> Result<[usize; 5]> {
    let binary = Binary::open(binary)?;
    let answer = binary.functions(&"*".parse()?)?;
    let mut counts = [0; 5];
    let [all, emulated, gained, stepped, refused] = &mut counts;
    for body in answer.matches.iter().filter_map(|found| found.body()) {
        let site = binary.site(body, KernelVersion::OLDEST)?;
        *all += 1;
        *match (site.entry, site.best) {
            (_, Some(_)) => &mut *gained,
            (Handling::Emulated, _) => &mut *emulated,
            (Handling::SingleStepped, _) => &mut *stepped,
            _ => &mut *refused,
        } += 1;
    }
    Ok(counts)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
