//! BCC and dbcc with the same text.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::capture::{Capture, Target};
use super::case::Case;
use super::compare::{Recorded, Sides};
use super::run::{PYTHON, script};
use crate::dbcc::Attached;
use crate::process::{Running, Stream};

/// Gives BCC what it looks for, in a mount namespace of its own: tracefs below debugfs, and kernel headers. Headers of
/// another kernel will do for texts that read no kernel structs.
const AS_BCC_EXPECTS: &str = r#"
set -e
release=$(uname -r)
if [ ! -e "/lib/modules/$release/build" ]; then
  for headers in /usr/src/linux-headers-*-amd64; do :; done
  mount -t tmpfs headers /lib/modules
  mkdir "/lib/modules/$release"
  ln -s "$headers" "/lib/modules/$release/build"
  ln -s "${headers%-amd64}-common" "/lib/modules/$release/source"
fi
[ -d /sys/kernel/debug/tracing ] || mount -t debugfs debugfs /sys/kernel/debug
[ -d /sys/kernel/debug/tracing/events ] || mount -t tracefs tracefs /sys/kernel/debug/tracing
exec "$@"
"#;

/// A case with its programs running.
#[derive(Debug)]
pub struct Started {
    bcc: Bcc,
    dbcc: Dbcc,
    inner: Option<Running>,
}

#[derive(Debug)]
enum Bcc {
    Runs(Running),
    Ended(Recorded),
}

#[derive(Debug)]
enum Dbcc {
    /// Waits for the end of BCC, to be started with these arguments.
    Waits(Vec<String>),
    Runs(Attached),
}

impl Started {
    /// Captures the text and attaches both. `place` is a path for files of this case, to which an extension is added.
    ///
    /// # Errors
    /// One of the two cannot be attached.
    pub fn start(case: &Case, target: &Target, place: &Path, kernel: &Path, wrong: bool) -> Result<Self> {
        let (file, text) = (place.with_extension("json"), place.with_extension("c"));
        let capture = Capture::take(case, target, &file, kernel)?;
        let (from, to) = case.wrong;
        ensure!(capture.text.contains(from), "the text has no {from:?} to change:\n{}", capture.text);
        fs::write(&text, if wrong { capture.text.replace(from, to) } else { capture.text.clone() })?;
        let mut words = capture.arguments()?;
        words.push(text.display().to_string());

        let mut bcc = start_bcc(&file)?;
        if case.has_inner() {
            attached(&mut bcc)?;
        }
        let dbcc = if case.apart { Dbcc::Waits(words) } else { Dbcc::Runs(Attached::start(words)?) };
        attached(&mut bcc)?;
        let inner = if case.has_inner() { Some(start_bcc(&file)?) } else { None };
        let inner = inner.map(|mut inner| attached(&mut inner).map(|()| inner)).transpose()?;
        Ok(Self { bcc: Bcc::Runs(bcc), dbcc, inner })
    }

    /// The work has been done once: where the two cannot run at the same time, BCC ends.
    ///
    /// # Errors
    /// It does not end well.
    pub fn end_bcc(self) -> Result<Self> {
        Ok(match self {
            Self { bcc: Bcc::Runs(bcc), dbcc: dbcc @ Dbcc::Waits(_), inner } => {
                Self { bcc: Bcc::Ended(printed(bcc)?), dbcc, inner }
            }
            started => started,
        })
    }

    /// Starts dbcc where it waits, now that no BCC is at its places any more.
    ///
    /// # Errors
    /// It cannot be attached.
    pub fn start_dbcc(self) -> Result<Self> {
        Ok(match self {
            Self { bcc, dbcc: Dbcc::Waits(words), inner } => {
                Self { bcc, dbcc: Dbcc::Runs(Attached::start(words)?), inner }
            }
            started => started,
        })
    }

    /// The work is done: the innermost ends first.
    ///
    /// # Errors
    /// One did not end well, or lost something.
    pub fn end(self) -> Result<Sides> {
        let inner = self.inner.map(printed).transpose()?;
        let dbcc = match self.dbcc {
            Dbcc::Runs(dbcc) => Recorded::by_dbcc(&dbcc.interrupt()?)?,
            Dbcc::Waits(_) => Recorded::default(),
        };
        let bcc = match self.bcc {
            Bcc::Runs(bcc) => printed(bcc)?,
            Bcc::Ended(recorded) => recorded,
        };
        Ok(Sides { bcc, dbcc, inner })
    }
}

fn start_bcc(capture: &Path) -> Result<Running> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", AS_BCC_EXPECTS, "sh", PYTHON]);
    command.arg(script("attach.py")).arg(capture);
    Running::start_listening(command)
}

fn attached(bcc: &mut Running) -> Result<()> {
    bcc.wait_for("BCC to be attached", |line| (line.text == "attached").then_some(()))
}

fn printed(mut bcc: Running) -> Result<Recorded> {
    bcc.tell("end")?;
    let finished = bcc.finish()?;
    let answer = finished.lines.iter().rev().find(|line| line.stream == Stream::Stdout && line.text.starts_with('{'));
    let answer = answer.with_context(|| format!("BCC printed nothing: {}", finished.stderr()))?;
    Recorded::by_bcc(&serde_json::from_str(&answer.text)?)
}
