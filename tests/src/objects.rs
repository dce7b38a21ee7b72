//! Objects of `dbcc build`, on the kernel that they were built on and on others, where no compiler is to be had.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::dbcc::{self, Attached};
use crate::need;
use crate::process::{Running, run};

/// Where objects for another kernel lie: `host` for those that this machine built before the guest was started, `guest`
/// for those that it builds.
pub const FOLDER: &str = "DBCC_OBJECTS";

/// The object of [`build`].
const EXITS: &str = "exits.bpf.o";

/// The place of a field in the object's and in this kernel's `task_struct`, as bpftool shows it.
const PLACE: &str = "tgid";

/// A command in which no compiler is found: what is below `/usr/lib/llvm-*` is hidden from it.
///
/// # Errors
/// dbcc is not there.
pub fn without_compiler() -> Result<Command> {
    const HIDE: &str = "for folder in /usr/lib/llvm-*; do mount -t tmpfs none $folder || exit 3; done; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", HIDE, "sh"]).arg(dbcc::binary()?);
    command.env_remove("CLICOLOR_FORCE").env("NO_COLOR", "1");
    Ok(command)
}

/// A file of these tests.
pub fn case(name: &str) -> PathBuf {
    need::repository().join("tests/cases/build").join(name)
}

/// Builds the object for another kernel, and says what is where in this one.
///
/// # Errors
/// It is not built.
pub fn build(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let object = folder.join(EXITS).display().to_string();
    let built = dbcc::run(["build", &case("exits.c").display().to_string(), "-o", &object])?;
    ensure!(built.code() == Some(0), "{}{}", built.stdout(), built.stderr());
    fs::write(folder.join(PLACE), place()?)?;
    Ok(())
}

/// Where the kernel has `task_struct.tgid`, in bits, by bpftool.
fn place() -> Result<String> {
    let mut bpftool = Command::new("bpftool");
    bpftool.args(["btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "raw"]);
    let types = run(bpftool)?.stdout();
    let task = types.split("STRUCT 'task_struct' ").nth(1).context("no task_struct")?;
    let line = task.lines().find(|line| line.trim_start().starts_with("'tgid' ")).context("no tgid")?;
    Ok(line.rsplit('=').next().unwrap_or_default().to_owned())
}

/// Runs the object that another kernel built, without a compiler: what it reads is right.
///
/// # Errors
/// It is not, or the kernels do not differ.
pub fn runs(folder: &Path) -> Result<()> {
    let (there, here) = (fs::read_to_string(folder.join(PLACE))?, place()?);
    ensure!(there != here, "both kernels have task_struct.tgid at bit {here}: this proves nothing");
    let object = folder.join(EXITS);
    let refused = run({
        let mut command = without_compiler()?;
        command.arg("check").arg(case("exits.c"));
        command
    })?;
    ensure!(refused.code() == Some(2), "a compiler was found: {}{}", refused.stdout(), refused.stderr());
    let mut command = without_compiler()?;
    command.arg(&object);
    let mut attached = Attached::start_command(command)?;
    // A parent of its own, whose id nobody can guess.
    let mut shell = Command::new("sh");
    let shell = Running::start({
        shell.args(["-c", "/bin/true; exit 0"]);
        shell
    })?;
    let parent = shell.pid();
    ensure!(shell.finish()?.code() == Some(0), "sh failed");
    let fields = attached.wait_for("the end of a child of sh", |record| {
        let fields = record.get("fields")?;
        let found = record.get("kind")? == "event" && fields.get("parent")? == parent && fields.get("comm")? == "true";
        found.then(|| fields.clone())
    })?;
    let namespace = fs::read_link("/proc/self/ns/pid")?.display().to_string();
    let inode = fields.get("inode").context("no inode")?;
    ensure!(namespace == format!("pid:[{inode}]"), "{fields} in {namespace}");
    attached.interrupt()?;
    Ok(())
}
