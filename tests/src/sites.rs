//! Driving the program `tests/cases/usdt/sites.c`, whose USDT probes have arguments in all sorts of places.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::need;
use crate::process::{self, Running};

/// Compiles it.
///
/// # Errors
/// gcc refuses.
pub fn compile(folder: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let path = folder.join(name);
    let mut command = Command::new("gcc");
    command.args(["-O2", "-w", "-I"]).arg(need::repository().join("symres/tests/data")).arg("-o").arg(&path);
    command.arg(need::repository().join("tests/cases/usdt/sites.c")).args(flags);
    let finished = process::run(command)?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
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
        let mut process = Running::start_listening(command)?;
        process.wait_for("ready", |line| (line.text == "ready").then_some(()))?;
        Ok(Self { process, asked: 0 })
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
