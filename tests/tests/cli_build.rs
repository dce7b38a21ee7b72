//! `dbcc build`: the object runs without a compiler, and is one that libbpf knows.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::dbcc::{self, Attached};
use dbcc_tests::need;
use dbcc_tests::objects::{case, without_compiler};
use dbcc_tests::process::{Finished, Running, run};

fn build(arguments: &[&str], folder: &Path) -> Result<Finished> {
    let mut command = dbcc::command()?;
    command.arg("build").args(arguments).current_dir(folder);
    run(command)
}

fn built(name: &str, folder: &Path) -> Result<String> {
    let finished = build(&[name], folder)?;
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout(), finished.stderr());
    let line = finished.stdout();
    let object = line.split_whitespace().nth(1).context("no line about the object")?;
    Ok(folder.join(object).display().to_string())
}

fn text(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// Runs bpftool with a BPF file system of its own.
fn bpftool(words: &str) -> Result<Finished> {
    let script = format!("mount -t bpf bpf /sys/fs/bpf && mkdir -p /sys/fs/bpf/dbcc && {words}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    run(command)
}

#[test]
fn an_object_runs_where_there_is_no_compiler() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sched:sched_process_exit"));
    let folder = tempfile::tempdir()?;
    let object = built(&case("exits.c").display().to_string(), folder.path())?;
    let mut command = without_compiler()?;
    command.arg("check").arg(case("exits.c"));
    assert_eq!(run(command)?.code(), Some(2), "the compiler is not hidden");
    let mut command = without_compiler()?;
    command.arg(&object);
    let mut attached = Attached::start_command(command)?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "/bin/true; exit 0"]);
    let shell = Running::start(shell)?;
    let parent = shell.pid();
    shell.finish()?;
    attached.wait_for("the end of a child of sh", |record| {
        let fields = record.get("fields")?;
        (fields.get("parent")? == parent && fields.get("comm")? == "true").then_some(())
    })?;
    attached.interrupt()?;
    Ok(())
}

#[test]
fn bpftool_loads_what_is_built() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    // A program for fentry lies in it too, which some kernels refuse: libbpf sees only the kprobe.
    let probe = "BPF_HASH(m, u32, u64);\nBPF_PROG_ARRAY(tails, 2);\n\
                 int kprobe__vfs_read(struct pt_regs *ctx, struct file *f) { if (FILTER_PID) return 0; m.increment(1); \
                 tails.call(ctx, 0); return f->f_flags != 0; }\n";
    for name in [text(folder.path(), "both.c", probe)?, "mysql_conn".to_owned()] {
        let object = built(&name, folder.path())?;
        let loaded = bpftool(&format!("bpftool prog loadall {object} /sys/fs/bpf/dbcc/x && ls /sys/fs/bpf/dbcc/x"))?;
        assert_eq!(loaded.code(), Some(0), "{}{}", loaded.stdout(), loaded.stderr());
        assert!(!loaded.stdout().contains("fentry"), "{}", loaded.stdout());
        let loaded = bpftool(&format!("bpftool prog load {object} /sys/fs/bpf/dbcc/y"))?;
        assert_eq!(loaded.code(), Some(0), "{}{}", loaded.stdout(), loaded.stderr());
        let mut dump = Command::new("bpftool");
        dump.args(["btf", "dump", "file", &object]);
        let types = run(dump)?;
        assert!(types.code() == Some(0) && types.stdout().contains("'dbcc_settings'"), "{}", types.stderr());
        let checked = dbcc::run(["check", "--load", &object])?;
        assert_eq!(checked.code(), Some(0), "{}{}", checked.stdout(), checked.stderr());
    }
    Ok(())
}

/// Compiles a case with clang alone.
fn foreign(folder: &Path, more: &[&str]) -> Result<String> {
    let object = folder.join("foreign.o").display().to_string();
    let mut clang = Command::new("clang-19");
    clang.args(["--target=bpf", "-O2", "-g", "-c", "-o", &object]).args(more).arg(case("foreign.c"));
    assert_eq!(run(clang)?.code(), Some(0));
    Ok(object)
}

#[test]
fn objects_of_others_run_as_their_sections_say() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sched:sched_process_exit"));
    let folder = tempfile::tempdir()?;
    let object = foreign(folder.path(), &[])?;
    let attached = Attached::start([&object])?;
    let child = Running::start(Command::new("true"))?;
    let pid = child.pid();
    child.finish()?;
    let records = attached.interrupt()?;
    let counted = records.last_map("exits")?.into_iter().find(|entry| entry["key"] == pid);
    assert_eq!(counted.map(|entry| entry["value"].clone()), Some(1.into()), "{}", records.text());
    Ok(())
}

#[test]
fn what_the_verifier_refuses_in_an_object_of_others_is_shown_on_its_line() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let object = foreign(folder.path(), &["-DREFUSED"])?;
    let checked = dbcc::run(["check", "--load", &object])?;
    let said = checked.stdout();
    assert_eq!(checked.code(), Some(1), "{said}");
    assert!(said.contains("foreign.c:32:") && said.contains("return *(volatile int *)ctx"), "{said}");
    Ok(())
}

#[test]
fn the_verifier_s_words_are_on_the_users_line_in_an_object_too() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let probe = "BPF_HASH(m, u32, u64);\nint f(struct pt_regs *ctx)\n{\n    u32 key = 1;\n    u64 *value = m.lookup(&key);\n    \
                 return *value; // no test\n}\n";
    let source = text(folder.path(), "refused.c", probe)?;
    let object = built(&source, folder.path())?;
    fs::remove_file(&source)?;
    let checked = dbcc::run(["check", "--load", &object])?;
    let said = checked.stdout();
    assert_eq!(checked.code(), Some(1), "{said}");
    assert!(said.contains("refused.c:6:") && said.contains("// no test"), "{said}");
    Ok(())
}

#[test]
fn what_an_object_cannot_do_is_said() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let version = text(
        folder.path(),
        "version.c",
        "#if LINUX_VERSION_CODE < KERNEL_VERSION(3, 0, 0)\n#error old\n#endif\nint f(struct pt_regs *ctx) { return 0; }\n",
    )?;
    let finished = build(&[&version], folder.path())?;
    assert!(finished.stdout().contains("needs Linux from 3.0.1 on"), "{}", finished.stdout());
    let object = folder.path().join("version.bpf.o").display().to_string();

    let check = |arguments: &[&str], words: &[&str]| -> Result<()> {
        let finished = dbcc::run(arguments)?;
        let said = finished.stdout() + &finished.stderr();
        assert_ne!(finished.code(), Some(0), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word} is not in {said}"));
        Ok(())
    };
    check(&["build", &object], &["is an object already"])?;
    check(&["build", &version, "-o", &version], &["it is there, and is no object"])?;
    check(&["build", "netio", "mysql_conn", "-o", &object], &["several probes go into a folder"])?;
    check(&["check", "-DX=1", &object], &["-D X has no effect"])?;
    check(&["--attach", "xdp:lo=f", &object], &["compiled as a kprobe, and cannot be attached as a xdp"])?;
    let mut bytes = fs::read(&object)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, bytes)?;
    check(&["check", &object], &["cannot be used here", "checksum is wrong"])?;
    let this = std::env::current_exe()?.display().to_string();
    let small = text(folder.path(), "some.o", "\u{7f}ELF, and nothing else")?;
    check(&["check", &small], &["damaged"])?;
    check(&["check", "/bin/true", &this], &["not for BPF"])
}

#[test]
fn a_report_is_json() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let asks = text(
        folder.path(),
        "asks.c",
        "#ifdef DBCC_HAVE_KPROBE\nint kprobe__vfs_read(struct pt_regs *ctx) { return 0; }\n#else\n\
         TRACEPOINT_PROBE(sched, sched_switch) { return 0; }\n#endif\n",
    )?;
    let finished = build(&["--json", &asks, "mysql_conn", "-o", "."], folder.path())?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let lines = finished.stdout();
    let reports: Vec<serde_json::Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let names: Vec<_> = reports.iter().map(|report| report["object"].clone()).collect();
    assert_eq!(names, ["./asks.bpf.o", "./mysql_conn.bpf.o"]);
    assert!(reports[0]["variants"].as_array().is_some_and(|variants| variants.len() == 2), "{}", reports[0]);
    assert!(reports.iter().all(|report| folder.path().join(report["object"].as_str().unwrap_or("-")).is_file()));
    Ok(())
}

#[test]
fn where_no_object_can_be_written_nothing_is_compiled() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let probe = text(folder.path(), "wrong.c", "int this does not compile;\n")?;
    let fifo = folder.path().join("fifo").display().to_string();
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)?;
    for (output, why) in
        [("no/such/x.o", "there is no folder `no/such`"), ("wrong.c", "is no object"), (&fifo, "is no file")]
    {
        let refused = build(&[&probe, "-o", output], folder.path())?;
        assert_eq!(refused.code(), Some(2), "{}", refused.stderr());
        let stderr = refused.stderr();
        assert!(stderr.contains(&format!("cannot write `{output}`: ")) && stderr.contains(why), "{stderr}");
        assert!(!stderr.contains("does not compile"), "{stderr}");
    }
    Ok(())
}
