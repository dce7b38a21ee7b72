//! `dbcc load`, `dbcc unpin` and `dbcc trace`: programs that stay in the kernel without dbcc, as with clang and bpftool.

#![allow(clippy::indexing_slicing, reason = "a field of JSON that is not there is null, and no panic")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::bpffs::Bpffs;
use dbcc_tests::process::{Finished, Running, Signal, run, wait_until};
use dbcc_tests::{dbcc, need, sites};
use serde_json::Value;

fn ok<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
    let finished = dbcc::run(arguments)?;
    ensure!(finished.code() == Some(0), "{:?}: {}{}", finished.status, finished.stdout(), finished.stderr());
    Ok(finished)
}

fn refused<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>, code: i32, expected: &str) -> Result<()> {
    let finished = dbcc::run(arguments)?;
    ensure!(finished.code() == Some(code), "{:?}: {}", finished.status, finished.stderr());
    ensure!(finished.stderr().contains(expected), "{expected:?} is not in {}", finished.stderr());
    Ok(())
}

fn bpftool(arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new("bpftool");
    command.arg("--json").args(arguments);
    let finished = run(command)?;
    ensure!(finished.code() == Some(0), "bpftool {arguments:?}: {}{}", finished.stdout(), finished.stderr());
    Ok(serde_json::from_str(&finished.stdout())?)
}

/// Writes a file of a test.
fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// The whole first program: loaded, looked at, run, its output read, unloaded. `says` is what it prints.
fn first_program(file: &str, function: &str, says: &str) -> Result<()> {
    let bpffs = Bpffs::mount()?;
    let pin = bpffs.place("hello");
    ok(["load", file, "--type", "raw_tracepoint", "--pin", &pin])?;
    let shown = bpftool(&["prog", "show", "pinned", &pin])?;
    assert_eq!(
        (&shown["type"], &shown["name"], &shown["gpl_compatible"]),
        (&"raw_tracepoint".into(), &function.into(), &true.into())
    );

    let listed = ok(["ps", "--now", "--json"])?.stdout();
    let listed = listed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let own = listed.into_iter().find(|record| record["kind"] == "program" && record["id"] == shown["id"]);
    assert_eq!(own.context("ps does not list it")?["pinned"], Value::from(vec![pin.clone()]));

    // What else is printed on this machine meanwhile is none of it; and others may read a line away.
    let mut trace = dbcc::command()?;
    trace.args(["trace", "--json", "--comm", "dbcc", "--text", says]);
    let mut trace = Running::start(trace)?;
    wait_until("a line of the program", || {
        let mut once = dbcc::command()?;
        once.args(["run", &pin, "--json"]);
        let once = Running::start(once)?;
        let pid = once.pid();
        let finished = once.finish()?;
        let returned: Value = serde_json::from_str(&finished.stdout())?;
        ensure!(returned["returned"] == 0 && returned["type"] == "raw_tracepoint", "{returned}");
        let line = trace.seen(|line| {
            let record: Value = serde_json::from_str(&line.text).ok()?;
            (record["tid"] == pid).then_some(record)
        });
        let Some(record) = line else { return Ok(None) };
        ensure!(
            record["kind"] == "trace" && record["comm"] == "dbcc" && record["event"] == "bpf_trace_printk",
            "{record}"
        );
        ensure!(record["message"].as_str().is_some_and(|message| message.contains(says)), "{record}");
        Ok(Some(()))
    })?;
    // A line of another program comes before one more of dbcc's, and is not shown.
    bpftool(&["prog", "run", "pinned", &pin, "repeat", "0"])?;
    ok(["run", &pin])?;
    trace.signal(Signal::INT)?;
    let traced = trace.finish()?;
    assert_eq!(traced.code(), Some(0), "{}", traced.stderr());
    for line in traced.stdout().lines() {
        let record: Value = serde_json::from_str(line)?;
        // Others may print so much that some is lost.
        assert!(
            record["kind"] == "lost"
                || record["comm"] == "dbcc" && record["message"].as_str().is_some_and(|text| text.contains(says)),
            "{line}"
        );
    }

    // Lines of others are left out, and a closed pipe ends it.
    let mut others = dbcc::command()?;
    others.args(["trace", "--comm", "somebody else", "--regex", "^x"]).stdout(Stdio::piped());
    let mut others = others.spawn()?;
    ok(["run", &pin])?;
    drop(others.stdout.take());
    assert_eq!(others.wait()?.code(), Some(0));

    let said = ok(["unpin", &pin])?.stdout();
    assert!(said.starts_with(&format!("unpinned program {} (raw_tracepoint) {function}", shown["id"])), "{said}");
    wait_until("the end of the program", || Ok(bpftool(&["prog", "show", "id", &shown["id"].to_string()]).err()))?;
    Ok(())
}

/// It has no section, no licence and no type of its own.
#[test]
fn the_first_program_is_loaded_run_traced_and_unloaded() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let text = "int greeting(void *ctx)\n{\n    bpf_printk(\"a greeting of %d\\n\", 42);\n    return 0;\n}\n";
    first_program(&write(folder.path(), "greeting.c", text)?, "greeting", "a greeting of 42")?;
    let published = need!(need::acceptance("HelloWorld.bpf.c"));
    first_program(&published.display().to_string(), "helloworld", "Hello world!")
}

/// Counts ends of processes whose command name is that of the test's own program.
const COUNTS: &str = "BPF_HASH(ends, u32);\nint count(void *ctx)\n{\n    u32 pid = bpf_get_current_pid_tgid() >> 32;\n    \
                      ends.increment(pid);\n    return 0;\n}\n";

/// Whether a pinned map has an entry for a process.
fn has(map: &str, pid: u32) -> Result<bool> {
    let digits = pid.to_ne_bytes().map(|byte| byte.to_string());
    let mut command = Command::new("bpftool");
    command.args(["map", "lookup", "pinned", map, "key"]).args(digits);
    Ok(run(command)?.code() == Some(0))
}

#[test]
fn what_is_attached_stays_attached_until_its_link_is_unpinned() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sched:sched_process_exit"));
    let folder = tempfile::tempdir()?;
    let file = write(folder.path(), "count.c", COUNTS)?;
    for place in ["raw_tracepoint:sched_process_exit", "tracepoint:sched:sched_process_exit"] {
        let bpffs = Bpffs::mount()?;
        let (pin, link, maps) = (bpffs.place("count"), bpffs.place("count_link"), bpffs.place("maps"));
        let said = ok(["load", &file, "--attach", &format!("{place}=count"), "--pin", &pin, "--pin-maps", &maps])?;
        assert_eq!(said.stdout().lines().count(), fs::read_dir(&maps)?.count() + 2, "{}", said.stdout());
        let map = bpffs.place("maps/ends");
        let ended = || -> Result<u32> {
            let child = Running::start(Command::new("true"))?;
            let pid = child.pid();
            child.finish()?;
            Ok(pid)
        };
        let pid = ended()?;
        wait_until("an end that is counted", || Ok(has(&map, pid)?.then_some(())))?;
        ok(["unpin", &link])?;
        // The end of a link waits for those who run its program.
        wait_until("the end of the link", || {
            let pid = ended()?;
            Ok((!has(&map, pid)?).then_some(()))
        })?;
        ok(["unpin", &pin, &maps])?;
        assert!(!Path::new(&maps).exists());
    }
    Ok(())
}

/// A folder of programs, as of `bpftool prog loadall`; nothing stays of one that fails.
#[test]
fn several_programs_go_into_a_folder_all_or_none() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let text = "int one(struct xdp_md *ctx) { return 2; }\nint two(void *ctx) { return 0; }\n";
    let file = write(folder.path(), "two.c", text)?;
    let bpffs = Bpffs::mount()?;
    let all = bpffs.place("all");
    ok(["load", &file, "--type", "socket_filter", "--pin", &all])?;
    let kind = |name: &str| {
        Ok::<_, anyhow::Error>(bpftool(&["prog", "show", "pinned", &format!("{all}/{name}")])?["type"].clone())
    };
    assert_eq!((kind("one")?, kind("two")?), ("xdp".into(), "socket_filter".into()));
    ok(["unpin", &format!("{all}/one")])?;
    refused(["load", &file, "--type", "socket_filter", "--pin", &all], 1, "file exists; `dbcc unpin ")?;
    let left: Vec<_> = fs::read_dir(&all)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    assert_eq!(left, ["two"]);
    ok(["unpin", &all])?;
    assert!(!Path::new(&all).exists());
    Ok(())
}

/// An object that clang alone made: its section says nothing.
#[test]
fn an_object_of_clang_alone_is_loaded_by_its_type() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let (text, object) = (
        write(folder.path(), "plain.c", "__attribute__((section(\"mine\"))) int plain(void *ctx) { return 7; }\n")?,
        folder.path().join("plain.o"),
    );
    let mut clang = Command::new("/usr/lib/llvm-19/bin/clang");
    clang.args(["-target", "bpf", "-O2", "-g", "-c", &text, "-o"]).arg(&object);
    ensure!(run(clang)?.code() == Some(0), "clang fails");
    let object = object.display().to_string();
    let bpffs = Bpffs::mount()?;
    let (ours, theirs) = (bpffs.place("ours"), bpffs.place("theirs"));
    refused(["load", &object, "--pin", &ours], 1, "say so by --type")?;
    ok(["load", &object, "--type", "raw_tracepoint", "--pin", &ours])?;
    bpftool(&["prog", "load", &object, &theirs, "type", "raw_tracepoint"])?;
    let tag = |path: &str| Ok::<_, anyhow::Error>(bpftool(&["prog", "show", "pinned", path])?["tag"].clone());
    assert_eq!(tag(&ours)?, tag(&theirs)?);
    Ok(())
}

#[test]
fn what_cannot_be_is_said_before_anything_is_done() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let file = write(folder.path(), "plain.c", "int plain(void *ctx) { return 0; }\n")?;
    let bpffs = Bpffs::mount()?;
    let (pin, plain) = (bpffs.place("plain"), folder.path().join("plain").display().to_string());
    refused(["load", &file, "--type", "xdp", "--pin", &plain], 2, "is in no file system of BPF")?;
    refused(["load", &file, "--type", "xdp", "--pin", &bpffs.place("a.b")], 2, "no names with a dot")?;
    refused(["load", &file, "--type", "rawest", "--pin", &pin], 2, "no kind of programs `rawest`")?;
    refused(["load", &file, "--pin", &pin], 1, "no function is a program; say what they are by --type")?;
    refused(["load", &file, "--type", "xdp", "--attach-all", "--pin", &pin], 1, "attached")?;
    // What libbpf keeps of a USDT probe goes with the process.
    let sites = sites::compile(folder.path(), "sites", &[])?;
    let usdt = write(
        folder.path(),
        "usdt.c",
        "int on(struct pt_regs *ctx) { int v = 0; bpf_usdt_readarg(1, ctx, &v); return v; }\n",
    )?;
    let point = format!("usdt:{}:sites:values=on", sites.display());
    refused(["load", &usdt, "--attach", &point, "--pin", &pin], 1, "is no link, and goes with this process")?;
    assert!(!Path::new(&pin).exists());

    // Only what is pinned is unpinned: no other file, and nothing through a link.
    fs::write(&plain, "")?;
    refused(["unpin", &plain], 2, "nothing is pinned there")?;
    ok(["load", &file, "--type", "xdp", "--pin", &pin])?;
    let link = folder.path().join("link");
    symlink(&pin, &link)?;
    refused(["unpin", &link.display().to_string()], 2, "nothing is pinned there")?;
    refused(["unpin", &bpffs.place("nothing")], 2, "cannot look at")?;
    assert!(Path::new(&plain).exists() && Path::new(&pin).exists());
    Ok(())
}
