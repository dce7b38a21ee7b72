//! Hooks of the security modules: what `dbcc list` gives to paste runs where the kernel asks programs, and where it asks none,
//! that is said.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::dbcc::{self, Attached, Records};
use crate::listing::{self, name, notes, objects, paste};

/// So often the file is opened.
const OPENED: usize = 7;
/// A file system whose inodes are those that stat(2) tells, which is not so of an overlay.
const MEMORY: &str = "/dev/shm";
/// What a list says where programs are not asked.
const NOTE: &str = "`bpf` is not among its security modules";

/// A sample of all hooks is attached, and one of them sees what this process opens.
///
/// # Errors
/// It does not.
pub fn pasted_hooks_run() -> Result<()> {
    let said = listing::list(&["lsm:file_open"])?.stderr();
    ensure!(!said.contains(NOTE), "programs are asked here: {said}");
    let hooks = objects(&["lsm:*"])?;
    let refused: Vec<&str> =
        hooks.iter().filter(|hook| notes(hook).any(|note| note.starts_with("not traced"))).filter_map(name).collect();
    println!("  {} hooks, of which these take no programs: {refused:?}", hooks.len());
    paste::a_sample_is_attached("lsm:*", 12)?;
    let seen = seen_opens()?;
    ensure!(seen == OPENED, "{seen} events for {OPENED} times that a file was opened");
    Ok(())
}

/// Where `bpf` is not among the security modules, the same probe is attached and sees nothing; the list says why.
///
/// # Errors
/// It sees something, or nothing is said.
pub fn hooks_that_ask_nobody_are_told() -> Result<()> {
    let listed = listing::list(&["lsm:file_open"])?;
    ensure!(listed.stdout() == "lsm:file_open\n", "{}", listed.stdout());
    let said = listed.stderr();
    ensure!(said.contains(NOTE) && said.contains(",bpf`"), "{said}");
    // Before it is attached, who writes it learns that too.
    let folder = tempfile::tempdir_in(MEMORY)?;
    let probe = folder.path().join("hook.c");
    fs::write(&probe, "int lsm__file_open(struct pt_regs *ctx) { return 0; }\n")?;
    let checked = dbcc::run(["check", "--targets", &probe.display().to_string()])?;
    let said = checked.stdout();
    ensure!(
        said.contains("lsm:file_open -> file_open") && said.contains("runs no program at `lsm:file_open`"),
        "{said}"
    );
    let seen = seen_opens()?;
    ensure!(seen == 0, "{seen} events of a hook that asks nobody");
    Ok(())
}

/// How many events of this process and its file a probe has that was pasted.
fn seen_opens() -> Result<usize> {
    let listed = objects(&["-v", "lsm:file_open"])?;
    let pasted = listed.first().and_then(|object| object.get("probe")?.as_str()).context("no line to paste")?;
    let folder = tempfile::tempdir_in(MEMORY)?;
    let (probe, opened) = (folder.path().join("opens.c"), folder.path().join("opened"));
    fs::write(&opened, "x")?;
    fs::write(
        &probe,
        format!(
            "struct opened {{ u32 pid; u64 inode; }};\nBPF_PERF_OUTPUT(opens);\n\n{pasted}\n{{\n\
             \tstruct opened event = {{}};\n\
             \tevent.pid = bpf_get_current_pid_tgid() >> 32;\n\
             \tevent.inode = file->f_inode->i_ino;\n\
             \topens.perf_submit(ctx, &event, sizeof(event));\n\
             \treturn 0;\n}}\n"
        ),
    )?;
    let attached = Attached::start([&probe])?;
    for _ in 0..OPENED {
        drop(File::open(&opened)?);
    }
    let records: Records = attached.interrupt()?;
    let own = json!({"pid": std::process::id(), "inode": fs::metadata(&opened)?.ino()});
    Ok(records
        .of_kind("event")
        .filter_map(|event| event.get("fields"))
        .filter(|fields: &&Value| **fields == own)
        .count())
}
