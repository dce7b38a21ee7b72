//! `dbcc list`: the same places, with the same arguments, as other tools and the kernel itself tell.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use dbcc_tests::dbcc::Attached;
use dbcc_tests::listing::{self, argument_names, binaries, list, names, objects, output};
use dbcc_tests::need;
use dbcc_tests::process;
use dbcc_tests::sites::{self, Sites};
use serde_json::{Value, json};

#[test]
fn tracepoints_are_those_of_bpftrace_with_the_fields_of_their_formats() -> Result<()> {
    need!(need::root());
    let theirs = output("bpftrace", &["-l", "tracepoint:*"])?;
    let theirs: BTreeSet<String> =
        theirs.lines().filter_map(|line| line.strip_prefix("tracepoint:")).map(str::to_owned).collect();
    ensure!(theirs.len() > 100, "bpftrace lists {} tracepoints", theirs.len());
    let ours = objects(&["tracepoint:*"])?;
    assert_eq!(names(&ours), theirs);
    // As text too, and sorted.
    let text = list(&["tracepoint:*"])?.stdout();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.is_sorted());
    assert_eq!(lines.len(), theirs.len());
    assert_eq!(lines.first().map(|line| line.starts_with("tracepoint:")), Some(true));
    listing::types::of_tracepoints_agree()
}

#[test]
fn types_of_functions_hooks_and_calls_of_tracepoints_are_those_of_pfunct() -> Result<()> {
    need!(need::root());
    listing::types::of_functions_agree()
}

#[test]
fn system_calls_and_iterators_are_those_of_tracefs_and_pahole() -> Result<()> {
    need!(need::root());
    listing::types::of_system_calls_agree()?;
    listing::types::of_iterators_agree()
}

#[test]
fn functions_that_bpftrace_lists_of_a_binary_are_listed() -> Result<()> {
    binaries::functions_of_bpftrace_are_listed("/lib/x86_64-linux-gnu/libc.so.6")?;
    binaries::functions_of_bpftrace_are_listed(&need!(need::postgres()).display().to_string())?;
    binaries::functions_of_bpftrace_are_listed(&need!(need::mysql56()).display().to_string())
}

#[test]
fn signatures_of_mysql_are_those_of_gdb() -> Result<()> {
    binaries::signatures_are_those_of_gdb(&need!(need::mysql56()).display().to_string(), "mysql_*")
}

#[test]
fn usdt_probes_of_binaries_and_processes_are_those_of_bpftrace_and_readelf() -> Result<()> {
    binaries::usdt_probes_agree(&need!(need::postgres()).display().to_string())?;
    let folder = tempfile::tempdir()?;
    let path = sites::compile(folder.path(), "sites", &["-g"])?;
    binaries::usdt_probes_agree(&path.display().to_string())?;
    let sites = Sites::start(Command::new(&path))?;
    binaries::of_a_process_agree(sites.pid(), &path)
}

#[test]
fn functions_of_the_kernel_are_those_that_the_kernel_tells() -> Result<()> {
    need!(need::root());
    listing::functions::agree()
}

#[test]
fn functions_and_usdt_probes_of_a_binary_are_those_of_nm_and_readelf() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = sites::compile(folder.path(), "sites", &["-g"])?;
    let path = path.display().to_string();
    let symbols = output("nm", &["--defined-only", &path])?;
    let functions = symbols.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        matches!(words.get(1), Some(&("t" | "T"))).then(|| words.get(2).map(|name| format!("{path}:{name}"))).flatten()
    });
    let functions: BTreeSet<String> =
        functions.filter(|name| !name.ends_with(":_init") && !name.ends_with(":_fini")).collect();
    let ours = names(&objects(&[&format!("uprobe:{path}:*")])?);
    let missing: Vec<&String> = functions.difference(&ours).collect();
    assert!(missing.is_empty() && functions.contains(&format!("{path}:main")), "{missing:?} {ours:?}");

    let notes = output("readelf", &["-n", &path])?;
    let (mut providers, mut probes) = (
        notes.lines().filter_map(|line| line.trim().strip_prefix("Provider: ")),
        notes.lines().filter_map(|line| line.trim().strip_prefix("Name: ")),
    );
    let theirs: BTreeSet<String> =
        std::iter::from_fn(|| Some(format!("{path}:{}:{}", providers.next()?, probes.next()?))).collect();
    let ours = objects(&["-v", &format!("usdt:{path}:*")])?;
    assert_eq!(names(&ours), theirs);
    assert!(ours.iter().any(|object| object["prototype"]["known_from"] == "usdt-note"), "{ours:?}");
    Ok(())
}

/// Functions of the same name are one line, with how many there are; those of other types are told apart where types are shown.
#[test]
fn functions_of_the_same_name_are_one_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("program");
    let source = |name: &str, ty: &str, rest: &str| -> Result<String> {
        let path = folder.path().join(name);
        let helper = format!("static __attribute__((noinline)) {ty} helper({ty} a) {{ return a * 3; }}\n");
        fs::write(&path, format!("{helper}int {}(int a) {{ return helper(a); }}\n{rest}", &name[..1]))?;
        Ok(path.display().to_string())
    };
    let call_all =
        "int b(int);\nint c(int);\nint main(int argc, char **argv) { return a(argc) + b(argc) + c(argc); }\n";
    let sources = [source("a.c", "int", call_all)?, source("b.c", "int", "")?, source("c.c", "long", "")?];
    let program = program.display().to_string();
    output("gcc", &[&["-g", "-O1", "-o", &program][..], &sources.each_ref().map(String::as_str)].concat())?;
    let pattern = format!("uprobe:{program}:helper");
    let marks = |args: &[&str]| -> Result<Vec<Value>> {
        Ok(objects(&[args, &[&pattern]].concat())?.into_iter().map(|mut object| object["notes"].take()).collect())
    };
    assert_eq!(marks(&[])?, [json!(["3 functions"])]);
    let mut typed = marks(&["-v"])?;
    typed.sort_by_key(Value::to_string);
    assert_eq!(typed, [json!(["2 functions"]), json!([])]);
    Ok(())
}

#[test]
fn uprobes_that_are_set_are_listed_with_who_has_them() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = sites::compile(folder.path(), "sites", &[])?.display().to_string();
    let pattern = format!("active:*{path}*");
    assert_eq!(list(&[&pattern])?.code(), Some(1));
    let attach = format!("uprobe:{path}:main=on_main");
    let probe = folder.path().join("idle.c");
    fs::write(&probe, "int on_main(struct pt_regs *ctx) { return 0; }\n")?;
    let attached = Attached::start([probe.as_os_str(), "--attach".as_ref(), attach.as_ref()])?;
    let found = objects(&[&pattern])?;
    assert!(names(&found).iter().any(|name| name.starts_with(&format!("uprobe:{path}"))), "{found:?}");
    attached.interrupt()?;
    assert_eq!(list(&[&pattern])?.code(), Some(1));
    Ok(())
}

#[test]
fn events_and_hooks_are_listed_with_the_line_that_attaches_to_them() -> Result<()> {
    let software = objects(&["-v", "software:"])?;
    let listed = output("perf", &["list", "--no-desc", "sw"])?;
    let theirs = listed.lines().filter_map(|line| line.trim().strip_suffix("[Software event]"));
    let theirs: BTreeSet<&str> = theirs.filter_map(|names| names.trim().split(" OR ").next()).collect();
    let ours = names(&software);
    // Events that run no program: `bpf-output` is what they write to.
    let missing: Vec<&&str> = theirs.iter().filter(|name| !ours.contains(**name) && **name != "bpf-output").collect();
    assert!(missing.is_empty() && !theirs.is_empty(), "{missing:?} of {theirs:?}");
    for object in &software {
        assert!(
            object["probe"].as_str().is_some_and(|probe| probe.starts_with("//@ attach perf_event:software:")),
            "{object}"
        );
    }
    let found = objects(&["-v", "iter:task", "lsm:file_open", "syscall:openat", "rawtracepoint:sched_switch"])?;
    let kinds: Vec<&Value> = found.iter().map(|object| &object["kind"]).collect();
    assert_eq!(kinds, ["iter", "lsm", "syscall", "raw_tracepoint"]);
    for (object, expected) in
        found.iter().zip([vec!["meta", "task"], vec!["file"], vec!["dfd", "filename", "flags", "mode"]])
    {
        assert_eq!(argument_names(object), expected, "{object}");
    }
    Ok(())
}

#[test]
fn calls_hooks_iterators_and_events_are_those_that_the_kernel_has() -> Result<()> {
    need!(need::root());
    listing::events::calls_agree()?;
    listing::events::counted_agree()
}

#[test]
fn lines_to_paste_make_probes() -> Result<()> {
    need!(need::root());
    let postgres = need!(need::postgres()).display().to_string();
    let mysql = need!(need::mysql56()).display().to_string();
    // This kernel may have no kprobes, and refuse fentry and hooks; the guest loads these.
    for (pattern, every, load) in [
        ("kprobe:vfs_*", 9, false),
        ("fentry:vfs_*", 9, false),
        ("fexit:tcp_*", 50, false),
        ("lsm:*", 30, false),
        ("tracepoint:*", 250, true),
        ("syscall:*", 60, true),
        ("raw_tracepoint:*", 200, true),
        ("tp_btf:*", 200, true),
        ("iter:*", 3, true),
        ("software:*", 2, true),
        ("hardware:*", 3, true),
        ("cache:*", 10, true),
        (&format!("uprobe:{mysql}:mysql_*"), 20, true),
        (&format!("uretprobe:{mysql}:trans_*"), 4, true),
        (&format!("usdt:{postgres}:*"), 9, true),
    ] {
        listing::paste::a_sample_is_taken(pattern, every, load)?;
    }
    Ok(())
}

#[test]
fn what_was_not_asked_for_is_not_read() -> Result<()> {
    need!(need::root());
    const TYPES: &str = "/sys/kernel/btf/vmlinux";
    const SYMBOLS: &str = "/proc/kallsyms";
    const EVENTS: &str = "available_events";
    const PMUS: &str = "/sys/bus/event_source/devices/";
    let folder = tempfile::tempdir()?;
    let path = sites::compile(folder.path(), "sites", &["-g"])?.display().to_string();
    for (pattern, read) in [
        ("tracepoint:sched:sched_switch", &[EVENTS] as &[&str]),
        ("syscall:openat", &[EVENTS]),
        ("lsm:file_open", &[TYPES]),
        ("iter:task", &[TYPES]),
        ("raw_tracepoint:sched_switch", &[TYPES]),
        ("software:cpu-clock", &[]),
        ("cache:*", &[]),
        ("pmu:*", &[PMUS]),
        (&format!("uprobe:{path}:main"), &[&path]),
        (&format!("usdt:{path}:*"), &[&path]),
    ] {
        let opened = listing::paste::opened(pattern)?;
        for file in [TYPES, SYMBOLS, EVENTS, PMUS, &path] {
            let expected = read.contains(&file);
            ensure!(opened.contains(file) == expected, "{pattern}: {file} should be read: {expected}\n{opened}");
        }
    }
    // Whether fentry is refused is tried, and that needs no types where all of it is.
    let opened = listing::paste::opened("kprobe:vfs_read")?;
    ensure!(opened.contains(SYMBOLS) && !opened.contains(TYPES) && !opened.contains(EVENTS), "{opened}");
    Ok(())
}

#[test]
fn a_reader_that_goes_away_ends_it_silently() -> Result<()> {
    need!(need::root());
    let dbcc = dbcc_tests::dbcc::binary()?.display().to_string();
    for arguments in ["tracepoint:", "--json tracepoint:", "-v tracepoint:"] {
        let script = format!("'{dbcc}' list {arguments} | head -n 1 > /dev/null; echo ${{PIPESTATUS[0]}}");
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]);
        let finished = process::run(shell)?;
        ensure!(finished.stdout() == "0\n" && finished.stderr().is_empty(), "{arguments}: {finished:?}");
    }
    Ok(())
}

#[test]
fn what_is_not_there_is_said_with_what_was_perhaps_meant() -> Result<()> {
    let check = |arguments: &[&str], code: i32, expected: &str| -> Result<()> {
        let finished = list(arguments)?;
        ensure!(
            finished.code() == Some(code) && finished.stdout().is_empty(),
            "{} {}",
            finished.stdout(),
            finished.stderr()
        );
        ensure!(finished.stderr().contains(expected), "{}", finished.stderr());
        Ok(())
    };
    check(&["fentry:vfs_raed"], 1, "did you mean fentry:vfs_read?")?;
    check(&["kprob:vfs_read"], 1, "did you mean kprobe:vfs_read?")?;
    check(&["tracepoint:sched:sched_swich"], 1, "did you mean tracepoint:sched:sched_switch?")?;
    check(&["usdt:*"], 2, "no binary is named")?;
    check(&["kprobe:/(/"], 2, "regular expression")?;
    check(&["uprobe:/bin/no_such_file:*"], 1, "/bin/no_such_file")?;
    let object = objects(&["fentry:vfs_raed"])?;
    assert_eq!(object[0]["near"], "fentry:vfs_read");
    Ok(())
}
