//! The processes that do known things while tools watch.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::case::Work;
use super::run::{PYTHON, script};
use crate::client::Client;
use crate::need::Skip;
use crate::process::Running;
use crate::server::{Flavor, Installed, Server};

/// A worker that waits. Dropping it ends it.
#[derive(Debug)]
pub enum Worker {
    /// Obeys lines, and answers each with `done …`.
    Obeys {
        /// The process.
        process: Running,
        /// What it is told.
        deeds: &'static [&'static str],
        /// Where it makes files.
        _folder: TempDir,
    },
    /// A shell on a terminal.
    Shell {
        /// The terminal.
        terminal: Running,
        /// The shell's process id.
        pid: u32,
    },
    /// A database server.
    Server(Server),
}

/// What [`Work::Program`] does, in this order.
const DEEDS: &[&str] = &["files", "spawn", "kill", "tcp", "sleep", "resolve", "threads", "malloc", "spin"];

impl Worker {
    /// Looks for what a kind of worker needs.
    ///
    /// # Errors
    /// It is not there.
    pub fn available(work: Work) -> Result<Option<Installed>, Skip> {
        if work == Work::Mysql { Flavor::Mysql56.installed().map(Some) } else { Ok(None) }
    }

    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(work: Work, installed: Option<&Installed>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("dbcc-work-").tempdir()?;
        match work {
            Work::Program => {
                // Beside this program, or in the folder above where this is a test.
                let this = std::env::current_exe().context("cannot find this program")?;
                let mut places = this.ancestors().skip(1).take(2).map(|place| place.join("workload"));
                let mut command =
                    Command::new(places.find(|path| path.is_file()).context("workload has not been built")?);
                command.arg(folder.path());
                Self::obeying(command, DEEDS, folder)
            }
            Work::Python(_) => {
                let mut command = Command::new(PYTHON);
                command.arg(script("work.py"));
                Self::obeying(command, &["calls"], folder)
            }
            Work::Bash => {
                let mut command = Command::new("script");
                command.args(["-qec", "exec bash --norc --noprofile -i", "/dev/null"]).env("TERM", "dumb");
                let mut terminal = Running::start_listening(command)?;
                // What is typed is shown too, but without the number.
                terminal.tell("echo ready $$")?;
                let pid = terminal.wait_for("the shell", |line| {
                    line.text.rsplit_once("ready ").and_then(|(_, pid)| pid.trim().parse().ok())
                })?;
                Ok(Self::Shell { terminal, pid })
            }
            Work::Mysql => Ok(Self::Server(installed.context("no server")?.start()?)),
        }
    }

    fn obeying(command: Command, deeds: &'static [&'static str], folder: TempDir) -> Result<Self> {
        let mut process = Running::start_listening(command)?;
        process.wait_for("ready", |line| (line.text == "ready").then_some(()))?;
        Ok(Self::Obeys { process, deeds, _folder: folder })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Obeys { process, .. } => process.pid(),
            Self::Shell { pid, .. } => *pid,
            Self::Server(server) => server.pid(),
        }
    }

    /// Its program.
    ///
    /// # Errors
    /// It has ended.
    pub fn binary(&self) -> Result<PathBuf> {
        Ok(std::fs::read_link(format!("/proc/{}/exe", self.pid()))?)
    }

    /// Does everything that it can, and waits until it is done.
    ///
    /// # Errors
    /// Something went wrong.
    pub fn work(&mut self) -> Result<()> {
        match self {
            Self::Obeys { process, deeds, .. } => deeds.iter().try_for_each(|deed| {
                process.tell(deed)?;
                let answer = format!("done {deed}");
                process.wait_for(&answer, |line| (line.text == answer).then_some(()))
            }),
            Self::Shell { terminal, .. } => {
                for line in ["true first", "true second", "true third", "echo do''ne"] {
                    terminal.tell(line)?;
                }
                terminal.wait_for("the last command", |line| line.text.trim().ends_with("done").then_some(()))
            }
            Self::Server(server) => {
                let mut client = Client::connect(server.port)?;
                for number in 0..20 {
                    client.query(&format!("SELECT {number} AS 'number', SLEEP(0.005)"))?;
                }
                Ok(())
            }
        }
    }
}
