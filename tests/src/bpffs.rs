//! A file system of BPF for pinned objects.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::process::run;

/// A file system of BPF that is gone when this is.
#[derive(Debug)]
pub struct Bpffs {
    folder: tempfile::TempDir,
}

impl Bpffs {
    /// Mounts one.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "bpf", "bpf"]).arg(folder.path());
        let mounted = run(mount)?;
        ensure!(mounted.code() == Some(0), "no file system of BPF: {}", mounted.stderr());
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it, as an argument.
    pub fn place(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg(self.folder.path());
        drop(run(umount));
    }
}
