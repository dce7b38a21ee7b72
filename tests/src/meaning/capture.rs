//! What a tool hands to BCC, and what that means for dbcc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::case::Case;
use super::run::{PYTHON, script};
use crate::process;

/// Libraries as BCC names them, where Debian has them.
const LIBRARIES: &[(&str, &str)] = &[("c", "/lib/x86_64-linux-gnu/libc.so.6")];

/// One text of a tool: what `tests/bcc/capture_one.py` writes.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Capture {
    /// The program.
    pub text: String,
    cflags: Vec<String>,
    usdt: Vec<Usdt>,
    attach: Vec<Attach>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Usdt {
    pid: i64,
    provider: String,
    probe: String,
    function: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// An attach call of the tool. What has no meaning for its kind is empty.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Attach {
    kind: String,
    function: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    pattern: String,
    #[serde(default)]
    path: String,
    #[serde(default = "of_all")]
    pid: i64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// How BCC says that no process is meant.
fn of_all() -> i64 {
    -1
}

/// The process that a tool looks at.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its process id.
    pub pid: u32,
    /// Its program.
    pub binary: PathBuf,
}

impl Capture {
    /// Has the tool of `case` hand over its text, which is kept in `file`. `kernel` is what `run::kernel_facts` wrote.
    ///
    /// # Errors
    /// It does not.
    pub fn take(case: &Case, target: &Target, file: &Path, kernel: &Path) -> Result<Self> {
        let mut command = Command::new(PYTHON);
        command.arg(script("capture_one.py")).args([kernel, file]).arg(case.tool);
        for argument in case.arguments {
            match *argument {
                "PID" => command.arg(target.pid.to_string()),
                "BINARY" => command.arg(&target.binary),
                other => command.arg(other),
            };
        }
        if case.without_fentry {
            command.env("DBCC_CAPTURE_WITHOUT", "kfunc");
        }
        let finished = process::run(command)?;
        ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
        let mut capture: Self = serde_json::from_str(&fs::read_to_string(file)?)?;
        for attach in &mut capture.attach {
            attach.complete(case)?;
        }
        fs::write(file, serde_json::to_string(&capture)?)?;
        Ok(capture)
    }

    /// What dbcc is told, beside the text, to attach what BCC attaches.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn arguments(&self) -> Result<Vec<String>> {
        let mut words = vec!["--interval".to_owned(), "1h".to_owned()];
        let attached = self.attach.iter().map(Attach::argument).collect::<Result<Vec<_>>>()?;
        let usdt = self.usdt.iter().map(Usdt::argument);
        words.extend(attached.into_iter().chain(usdt).flat_map(|place| ["--attach".to_owned(), place]));

        let pids = self.attach.iter().map(|attach| attach.pid).chain(self.usdt.iter().map(|probe| probe.pid));
        let mut pids: Vec<i64> = pids.filter(|pid| *pid >= 0).collect();
        pids.sort_unstable();
        pids.dedup();
        words.extend(pids.into_iter().flat_map(|pid| ["--pid".to_owned(), pid.to_string()]));
        words.extend(self.cflags.iter().filter(|flag| flag.starts_with("-D")).cloned());
        Ok(words)
    }
}

impl Usdt {
    fn argument(&self) -> String {
        let provider = if self.provider.is_empty() { String::new() } else { format!("{}:", self.provider) };
        format!("usdt:{provider}{}={}", self.probe, self.function)
    }
}

impl Attach {
    /// Puts real targets where the capture has none.
    fn complete(&mut self, case: &Case) -> Result<()> {
        let real =
            |captured: &str| case.targets.iter().find(|(from, _)| *from == captured).map(|(_, to)| (*to).to_owned());
        if let Some(target) = real(&self.target) {
            self.target = target;
        }
        if let Some(path) = real(&self.path) {
            self.path = path;
        }
        if let Some(target) = real(&self.pattern) {
            self.target = target;
            self.pattern.clear();
        }
        ensure!(self.pattern.is_empty(), "the case must say what {:?} matches", self.pattern);
        Ok(())
    }

    fn argument(&self) -> Result<String> {
        let Self { kind, function, target, path, .. } = self;
        match kind.as_str() {
            "uprobe" | "uretprobe" => {
                let known = LIBRARIES.iter().find(|(name, _)| name == path).map(|(_, path)| *path);
                Ok(format!("{kind}:{}:{target}={function}", known.unwrap_or(path)))
            }
            "kprobe" | "kretprobe" | "tracepoint" | "raw_tracepoint" => Ok(format!("{kind}:{target}={function}")),
            "perf_event" => self.perf_event().context("a perf event without its type, number and period"),
            other => bail!("attaching as {other} has no translation"),
        }
    }

    fn perf_event(&self) -> Option<String> {
        let number = |name: &str| self.rest.get(name)?.as_u64();
        // PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK.
        let event = if (number("type")?, number("config")?) == (1, 0) { "software:cpu-clock" } else { return None };
        Some(format!("perf_event:{event}:{}hz={}", number("frequency")?, self.function))
    }
}
