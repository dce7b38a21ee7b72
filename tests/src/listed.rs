//! What `dbcc ps` says of programs on functions of the kernel.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::dbcc::{self, Attached};

/// An entry and a return of functions of the kernel, in both ways to attach to them.
///
/// # Errors
/// `dbcc ps` does not tell the function or the process.
pub fn functions_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("idle.c");
    let text = "int kprobe__vfs_read(struct pt_regs *ctx) { return 0; }\nint kretprobe__vfs_write(struct pt_regs *ctx) { return 0; }\n";
    fs::write(&probe, text)?;
    let probe = probe.display().to_string();
    for (way, expected) in
        [("fentry", ["fentry vfs_read", "fexit vfs_write"]), ("kprobe", ["kprobe vfs_read", "kretprobe vfs_write"])]
    {
        let attached = Attached::start([probe.as_str(), "--attach-as", way])?;
        let pid = attached.pid().to_string();
        let listed = dbcc::run(["ps", "--now", "--json", "--pid", &pid])?;
        ensure!(listed.code() == Some(0), "{}", listed.stderr());
        for kind in ["program", "link"] {
            let mut places = Vec::new();
            for line in listed.stdout().lines() {
                let record: Value = serde_json::from_str(line)?;
                if record.get("kind").is_some_and(|found| found == kind) {
                    let place = record.get("attached_to").context("no place")?;
                    places.push(place.get(0).unwrap_or(place).as_str().unwrap_or_default().to_owned());
                }
            }
            places.sort();
            ensure!(places == expected, "{kind}s by {way}: {places:?}\n{}", listed.stdout());
        }
        attached.interrupt()?;
    }
    Ok(())
}
