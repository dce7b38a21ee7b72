//! PostgreSQL without a server: its stand-alone backend, which runs the statements that it reads.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::need::{self, Skip};
use crate::process::{self, Running};

/// Whom it runs as where the tests run as root, as whom it refuses to run.
const NOBODY: u32 = 65534;

/// A folder with data, and the binary.
#[derive(Debug)]
pub struct Postgres {
    binary: PathBuf,
    folder: TempDir,
}

impl Postgres {
    /// Looks for the binary, and whether it runs here.
    ///
    /// # Errors
    /// It is not there, or its libraries are not.
    pub fn installed() -> Result<PathBuf, Skip> {
        let binary = need::postgres()?;
        let runs = Command::new(&binary).arg("--version").output().is_ok_and(|output| output.status.success());
        if runs { Ok(binary) } else { Err(Skip::optional("PostgreSQL's libraries are not installed")) }
    }

    /// Makes an empty database by `initdb`, which stands beside the binary.
    ///
    /// # Errors
    /// It fails; the message holds what it printed.
    pub fn new(binary: PathBuf) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("dbcc-postgres-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let postgres = Self { binary, folder };
        let data = postgres.data();
        let initdb = postgres.binary.with_file_name("initdb");
        let mut command = postgres.command(&initdb);
        command.arg("-D").arg(data).args(["--no-sync", "--no-instructions", "--auth=trust", "--username=root"]);
        let finished = process::run(command)?;
        ensure!(finished.code() == Some(0), "initdb: {}{}", finished.stdout(), finished.stderr());
        Ok(postgres)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// As another user where this one is root.
    fn command(&self, program: &Path) -> Command {
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--clear-groups"]);
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]).arg(program);
        command
    }

    /// Runs statements, a line each, to their end.
    ///
    /// # Errors
    /// It does not run.
    pub fn run(&self, statements: &[&str]) -> Result<()> {
        let mut command = self.command(&self.binary);
        command.arg("--single").arg("-D").arg(self.data()).arg("postgres").current_dir(self.folder.path());
        let mut running = Running::start_listening(command)?;
        for statement in statements {
            running.tell(statement).context("the backend does not read")?;
        }
        running.end_input();
        let finished = running.finish()?;
        ensure!(finished.code() == Some(0), "postgres: {}{}", finished.stdout(), finished.stderr());
        Ok(())
    }
}
