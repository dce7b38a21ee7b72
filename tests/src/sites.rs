//! Driving the program `tests/cases/usdt/sites.c`, whose USDT probes have arguments in all sorts of places.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::dbcc::{Attached, Records};
use crate::need;
use crate::process::{self, Running};

/// Compiles it.
///
/// # Errors
/// gcc refuses.
pub fn compile(folder: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let path = folder.join(name);
    let headers = format!("-I{}", need::repository().join("symres/tests/data").display());
    let flags = ["-w", headers.as_str()].into_iter().chain(flags.iter().copied());
    process::compile(&need::repository().join("tests/cases/usdt/sites.c"), &path, flags)?;
    Ok(path)
}

/// The running program; dropping it ends it.
#[derive(Debug)]
pub struct Sites {
    process: Running,
    asked: usize,
}

impl Sites {
    /// Starts what a command says is the program.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(command: Command) -> Result<Self> {
        Ok(Self { process: Running::start_ready(command)?, asked: 0 })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Has it come by each site `count` times; how often it found the semaphore up.
    ///
    /// # Errors
    /// It ended.
    pub fn come_by(&mut self, count: u64) -> Result<u64> {
        self.process.tell(&count.to_string())?;
        self.asked += 1;
        let (mut answers, asked) = (0, self.asked);
        // Lines that were read before are looked at again.
        self.process.wait_for("done", |line| {
            let up = line.text.strip_prefix("done ")?;
            answers += 1;
            (answers == asked).then(|| up.parse().ok()).flatten()
        })
    }
}

/// The probe that reports what it passes.
pub fn probe() -> String {
    need::repository().join("tests/cases/usdt/sites_probe.c").display().to_string()
}

/// The probe's functions, attached to the program at `binary`, or where `--pid` says.
fn attaches(binary: Option<&Path>) -> Vec<String> {
    let binary = binary.map(|path| format!("{}:", path.display())).unwrap_or_default();
    let attach = |point: &str, function: &str| ["--attach".to_owned(), format!("usdt:{binary}{point}={function}")];
    [
        attach("sites:values", "on_values"),
        attach("text", "on_text"),
        attach("sites:guarded", "on_guarded"),
        attach("sites:text", "on_any"),
        attach("sites:guarded", "on_any"),
    ]
    .concat()
}

/// Starts dbcc with the probe, on the program at `binary`, or what is in the process `pid`.
///
/// # Errors
/// It does not attach.
pub fn start(binary: Option<&Path>, pid: Option<u32>) -> Result<Attached> {
    start_with(&[], binary, pid)
}

/// As [`start`], with more options.
///
/// # Errors
/// It does not attach.
pub fn start_with(options: &[&str], binary: Option<&Path>, pid: Option<u32>) -> Result<Attached> {
    let pid = pid.map(|pid| ["--pid".to_owned(), pid.to_string()]);
    let arguments = [probe(), "--interval".to_owned(), "1h".to_owned()];
    let arguments = arguments.into_iter().chain(options.iter().map(|option| (*option).to_owned()));
    Attached::start(arguments.chain(pid.into_iter().flatten()).chain(attaches(binary)))
}

/// The fields of all events of a map.
fn events<'r>(records: &'r Records, map: &'r str) -> Vec<&'r Value> {
    records.of_kind("event").filter(|event| event["map"] == map).map(|event| &event["fields"]).collect()
}

/// The value of the only entry of a map.
///
/// # Errors
/// The map was never shown.
pub fn only(records: &Records, map: &str) -> Result<Value> {
    let entries = records.last_map(map)?;
    ensure!(entries.len() == 1, "{entries:?}");
    Ok(entries.first().context("one is there")?["value"].clone())
}

/// What `sites.c` passes at each of its sites.
fn values(site: u64) -> Value {
    json!({
        "site": site, "s1": -3, "u1": 253, "s2": -300, "u2": 65236, "s4": -70000, "u4": 4294897296u64,
        "s8": -5000000000i64, "u8": 5000000000u64, "wide_s1": -3, "wide_u1": 253, "wide_s4": -70000,
        "wide_u4": 4294897296u64, "narrow_u8": 5000000000u64 & 0xffff, "missing": 1,
    })
}

/// Checks that all of `hits` rounds arrived, with the values that the program passes.
///
/// # Errors
/// Something is missing, or differs.
pub fn check(records: &Records, hits: u64) -> Result<()> {
    ensure!(records.lost("events") == 0, "{}", records.text());
    let found = events(records, "values");
    ensure!(u64::try_from(found.len())? == 4 * hits, "{}", records.text());
    for (number, found) in (0_u64..).zip(found) {
        let expected = values(number % 4 + 1);
        ensure!(*found == expected, "{found} instead of {expected}");
    }
    let texts = events(records, "texts");
    ensure!(u64::try_from(texts.len())? == hits, "{}", records.text());
    for text in texts {
        let first = i64::from(b'S');
        let expected = json!({"text": "SELECT 1", "first": first, "s4": -70000, "u8": 5000000000u64});
        ensure!(*text == expected, "{text} instead of {expected}");
    }
    let (sum, calls) = (only(records, "sums")?, only(records, "calls")?);
    ensure!(sum == json!(hits * (hits - 1) / 2), "{sum}");
    ensure!(calls == json!(2 * hits), "{calls}");
    let internal = records.all.iter().filter(|record| record.to_string().contains("__bpf_usdt"));
    ensure!(internal.count() == 0, "libbpf's own maps are nobody's to see: {}", records.text());
    Ok(())
}
