//! Driving the program `tests/cases/processes/burst.c`, which starts many short-lived processes, and holding what probes
//! say of them against what it was told by the kernel.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::dbcc::{self, Attached};
use crate::need;
use crate::process::{self, Running};
use crate::scenario::nothing_lost;

/// How a process ended, by its parent.
#[derive(Debug)]
struct Ended {
    number: u64,
    executed: bool,
    code: u64,
    signal: u64,
}

/// A process: its id, and how many of the burst had the same id before it, since ids are given again.
type Process = (u64, usize);

/// Names what is known of processes, in the order in which they had their ids.
fn by_process<T>(known: impl IntoIterator<Item = Result<(u64, T)>>) -> Result<BTreeMap<Process, T>> {
    let mut times = BTreeMap::new();
    let mut processes = BTreeMap::new();
    for known in known {
        let (pid, value) = known?;
        let before = times.entry(pid).or_insert(0);
        processes.insert((pid, *before), value);
        *before += 1;
    }
    Ok(processes)
}

/// One line of its output.
fn ended(line: &str) -> Result<(u64, Ended)> {
    let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let &[pid, number, executed, code, signal] = numbers.as_slice() else { anyhow::bail!("not five numbers: {line}") };
    Ok((pid, Ended { number, executed: executed == 1, code, signal }))
}

/// Has `count` processes started in a burst while `probes/PROBE.c` runs, limited to their parent and what descends from it.
/// Gives the fields of the events, that of the parent left out, and the truth.
fn observe(probe: &str, count: usize) -> Result<(BTreeMap<Process, Value>, BTreeMap<Process, Ended>)> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("burst");
    process::compile(&need::repository().join("tests/cases/processes/burst.c"), &program, ["-pthread"])?;
    let mut command = Command::new(program);
    command.arg(count.to_string());
    let mut burst = Running::start_ready(command)?;
    let parent = burst.pid();
    // Ends by itself with the process that it traces.
    let dbcc = Attached::start(["--pid", &parent.to_string(), &dbcc::probe(probe).display().to_string()])?;
    burst.tell("go")?;
    let finished = burst.finish()?;
    ensure!(finished.code() == Some(0), "burst ended with {}", finished.status);
    let truth = finished.stdout();
    let truth = by_process(truth.lines().skip(1).map(ended))?;
    ensure!(truth.len() == count, "{} processes have an end", truth.len());

    let records = dbcc.finish()?;
    nothing_lost(&records)?;
    let fields = records.of_kind("event").filter_map(|event| event.get("fields"));
    let children = fields.filter(|fields| fields["pid"] != parent);
    let seen = children.map(|fields: &Value| {
        ensure!(fields["ppid"] == parent && fields["parent"] == "burst", "another's child: {fields}");
        Ok((fields["pid"].as_u64().context("an event without a process")?, fields.clone()))
    });
    Ok((by_process(seen)?, truth))
}

/// Checks that `probes/execsnoop.c` has exactly one event for each process of a burst that became another program, with its
/// arguments.
///
/// # Errors
/// It has not.
pub fn starts_are_exact(count: usize) -> Result<()> {
    let (mut seen, truth) = observe("execsnoop.c", count)?;
    let executed = truth.into_iter().filter(|(_, ended)| ended.executed).map(|((pid, _), ended)| Ok((pid, ended)));
    for (process, ended) in by_process(executed)? {
        let fields = &seen.remove(&process).with_context(|| format!("{process:?} has no event: {ended:?}"))?;
        let args = format!("burst child {} {}", ended.number % 4, ended.number);
        let found = (&fields["comm"], &fields["args"], &fields["uid"]);
        ensure!(found == (&json!("exe"), &json!(args), &json!(0)), "{fields}, expected {args}");
    }
    ensure!(seen.is_empty(), "events of processes that started no program: {seen:?}");
    Ok(())
}

/// Checks that `probes/exitsnoop.c` has exactly one event for each process of a burst, with what ended it.
///
/// # Errors
/// It has not.
pub fn ends_are_exact(count: usize) -> Result<()> {
    let (mut seen, truth) = observe("exitsnoop.c", count)?;
    for (process, ended) in truth {
        let fields = &seen.remove(&process).with_context(|| format!("{process:?} has no event: {ended:?}"))?;
        let comm = if ended.executed { "exe" } else { "burst" };
        let found = (&fields["comm"], &fields["code"], &fields["signal"], &fields["uid"]);
        ensure!(found == (&json!(comm), &json!(ended.code), &json!(ended.signal), &json!(0)), "{fields}: {ended:?}");
        ensure!(fields["lived_us"].as_u64().is_some_and(|lived| lived < 3_600_000_000), "{fields}");
    }
    ensure!(seen.is_empty(), "events of processes that are not there: {seen:?}");
    Ok(())
}
