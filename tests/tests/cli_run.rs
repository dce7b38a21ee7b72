//! How a run begins, what it prints, and how it ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use dbcc_tests::dbcc::{self, Attached, Records};
use dbcc_tests::process::{Running, Signal, Stream, run, wait_until};
use dbcc_tests::scenario::counted;
use dbcc_tests::senders::Senders;
use dbcc_tests::{need, process};

/// What these tests need: a probe that runs on every kernel that has the socket layer's tracepoints.
fn can_trace() -> Result<(), need::Skip> {
    need::root()?;
    need::tracepoint("sock:sock_send_length")?;
    need::tracepoint("sock:sock_recv_length")
}

fn netio(pids: &[u32], more: &[&str]) -> Result<Attached> {
    let pids = pids.iter().flat_map(|pid| ["--pid".to_owned(), pid.to_string()]);
    Attached::start(["netio".to_owned()].into_iter().chain(pids).chain(more.iter().map(|word| (*word).to_owned())))
}

/// Programs and links that a process holds, by their files' information in /proc.
fn held(pid: u32) -> Result<Vec<(&'static str, String)>> {
    let mut held = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A file may be closed meanwhile.
        let info = fs::read_to_string(entry?.path()).unwrap_or_default();
        for line in info.lines() {
            match line.split_once(":\t") {
                Some(("prog_id", id)) => held.push(("prog", id.trim().to_owned())),
                Some(("link_id", id)) => held.push(("link", id.trim().to_owned())),
                _ => {}
            }
        }
    }
    Ok(held)
}

/// Waits until the kernel has let go of every program and link: `bpftool` does not find them any more.
fn wait_until_detached(held: &[(&'static str, String)]) -> Result<()> {
    assert!(held.iter().any(|(kind, _)| *kind == "prog"), "dbcc held no program: {held:?}");
    for (kind, id) in held {
        wait_until("the end of a program or link", || {
            let mut bpftool = Command::new("bpftool");
            bpftool.args([kind, "show", "id", id.as_str()]);
            Ok((run(bpftool)?.code() != Some(0)).then_some(()))
        })?;
    }
    Ok(())
}

fn check_last_words(records: &Records, pid: u32, bytes: u64) -> Result<()> {
    assert_eq!(counted(records, "netio", pid, "sendMsg")?, bytes);
    assert_eq!(counted(records, "netio", pid, "recvMsg")?, bytes);
    let last = records.all.last().and_then(|record| record.get("kind")).context("no records")?;
    assert_eq!(last, "end");
    Ok(())
}

fn a_signal_ends_it(signal: Signal) -> Result<()> {
    need!(can_trace());
    let mut senders = Senders::start(0)?;
    let dbcc = netio(&[senders.pid()], &["--interval", "1h"])?;
    let held = held(dbcc.pid())?;
    senders.send(100, 1000)?;
    process::signal_process(dbcc.pid(), signal)?;
    check_last_words(&dbcc.finish()?, senders.pid(), 100_000)?;
    wait_until_detached(&held)
}

#[test]
fn ctrl_c_ends_it_with_the_final_counts_and_nothing_attached() -> Result<()> {
    a_signal_ends_it(Signal::INT)
}

#[test]
fn sigterm_ends_it_with_the_final_counts_and_nothing_attached() -> Result<()> {
    a_signal_ends_it(Signal::TERM)
}

#[test]
fn kill_9_leaves_nothing_attached() -> Result<()> {
    need!(can_trace());
    let senders = Senders::start(0)?;
    let dbcc = netio(&[senders.pid()], &[])?;
    let held = held(dbcc.pid())?;
    drop(dbcc);
    wait_until_detached(&held)
}

#[test]
fn the_end_of_the_target_ends_it() -> Result<()> {
    need!(can_trace());
    let mut senders = Senders::start(0)?;
    let pid = senders.pid();
    let dbcc = netio(&[pid], &["--interval", "1h"])?;
    senders.send(7, 1000)?;
    drop(senders);
    let records = dbcc.finish()?;
    check_last_words(&records, pid, 7000)?;
    let end = records.of_kind("end").next().context("no end")?.to_string();
    assert!(end.contains(&pid.to_string()), "{end}");
    Ok(())
}

#[test]
fn a_closed_pipe_ends_it_quietly() -> Result<()> {
    need!(can_trace());
    let senders = Senders::start(0)?;
    let mut command = dbcc::command()?;
    command.args(["netio", "--json", "--interval", "10ms", "--pid", &senders.pid().to_string()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let held = {
        let mut lines = BufReader::new(child.stdout.take().context("no pipe")?).lines();
        let first = lines.next().context("nothing printed")??;
        assert!(first.contains("attached"), "{first}");
        held(child.id())?
        // Here the reader goes.
    };
    let ended = wait_until("the end of dbcc", || Ok(child.try_wait()?));
    // Where it does not end by itself it must not outlive the test.
    let _ = child.kill();
    let output = child.wait_with_output()?;
    assert_eq!(ended?.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(!stderr.contains("panic") && !stderr.contains("broken pipe"), "{stderr}");
    wait_until_detached(&held)
}

#[test]
fn the_last_report_does_not_say_again_what_the_interval_just_said() -> Result<()> {
    need!(can_trace());
    let senders = Senders::start(0)?;
    let records = netio(&[senders.pid()], &["--interval", "300ms", "--duration", "300ms"])?.finish()?;
    let reports: Vec<_> = records.of_kind("map").map(|report| &report["last"]).collect();
    assert_eq!(reports, [true]);
    Ok(())
}

#[test]
fn duration_ends_it() -> Result<()> {
    need!(can_trace());
    let mut senders = Senders::start(0)?;
    // Long enough for the sends; the end does not come from a signal, and `finish` waits for it.
    let dbcc = netio(&[senders.pid()], &["--duration", "2s"])?;
    senders.send(3, 1000)?;
    let records = dbcc.finish()?;
    assert_eq!(records.of_kind("end").count(), 1);
    Ok(())
}

#[test]
fn count_ends_it_after_as_many_reports() -> Result<()> {
    need!(can_trace());
    let senders = Senders::start(0)?;
    let records = netio(&[senders.pid()], &["--interval", "10ms", "--count", "3"])?.finish()?;
    let last: Vec<_> = records.of_kind("map").map(|record| record["last"] == true).collect();
    assert_eq!(last, [false, false, true]);
    Ok(())
}

#[test]
fn several_processes_are_told_apart_and_others_left_out() -> Result<()> {
    need!(can_trace());
    let mut traced = [Senders::start(0)?, Senders::start(0)?];
    let mut other = Senders::start(0)?;
    let dbcc = netio(&[traced[0].pid(), traced[1].pid()], &["--interval", "1h"])?;
    traced[0].send(10, 1000)?;
    other.send(1, 3000)?;
    traced[1].send(20, 1000)?;
    let records = dbcc.interrupt()?;
    let mut rows: Vec<_> =
        records.last_map("netio")?.iter().map(|row| (row["key"].clone(), row["value"].clone())).collect();
    rows.sort_by_key(|(key, value)| (value.as_u64(), key["type"].to_string()));
    let rows: Vec<_> = rows.iter().map(|(key, value)| (key["pid"].as_u64(), value.as_u64())).collect();
    let (first, second) = (Some(u64::from(traced[0].pid())), Some(u64::from(traced[1].pid())));
    assert_eq!(rows, [(first, Some(10_000)), (first, Some(10_000)), (second, Some(20_000)), (second, Some(20_000))]);
    Ok(())
}

#[test]
fn a_built_in_probe_runs_from_any_folder_and_prints_for_people() -> Result<()> {
    need!(can_trace());
    let folder = tempfile::tempdir()?;
    let mut senders = Senders::start(0)?;
    let mut command = dbcc::command()?;
    command.current_dir(folder.path()).args(["netio", "--pid", &senders.pid().to_string(), "--interval", "1h"]);
    let mut dbcc = Running::start(command)?;
    dbcc.wait_for("dbcc to be attached", |line| {
        (line.stream == Stream::Stderr && line.text.starts_with("dbcc: attached")).then_some(())
    })?;
    senders.send(5, 4321)?;
    dbcc.signal(Signal::INT)?;
    let finished = dbcc.finish()?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let stdout = finished.stdout();
    for kind in ["sendMsg", "recvMsg"] {
        let line =
            stdout.lines().find(|line| line.contains(kind)).with_context(|| format!("no {kind} in\n{stdout}"))?;
        assert!(line.split_whitespace().any(|word| word == "21605"), "{line}");
        assert!(line.split_whitespace().any(|word| word == senders.pid().to_string()), "{line}");
    }
    Ok(())
}

#[test]
fn a_path_is_a_path_even_where_a_built_in_probe_has_the_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("netio"), "int broken(void { return 0; }\n")?;
    let mut command = dbcc::command()?;
    command.current_dir(folder.path()).args(["check", "./netio"]);
    let finished = run(command)?;
    assert_eq!(finished.code(), Some(1), "{}{}", finished.stdout(), finished.stderr());
    let mut command = dbcc::command()?;
    command.current_dir(folder.path()).args(["check", "netio"]);
    let finished = run(command)?;
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout(), finished.stderr());
    Ok(())
}

#[test]
fn a_probe_without_filter_says_that_pid_has_no_effect() -> Result<()> {
    need!(can_trace());
    let senders = Senders::start(0)?;
    let arguments = [
        dbcc::case("no_filter.c"),
        "--pid".to_owned(),
        senders.pid().to_string(),
        "--interval".to_owned(),
        "1h".to_owned(),
    ];
    let records = Attached::start(arguments)?.interrupt()?;
    let notes: Vec<_> = records.of_kind("note").filter_map(|note| note.get("message")?.as_str()).collect();
    assert!(notes.iter().any(|note| note.contains("FILTER_PID")), "{notes:?} {}", records.stderr);
    // And it has none: this test's own process is in the map.
    let own = u64::from(std::process::id());
    let rows = records.last_map("calls")?;
    assert!(rows.iter().any(|row| row.pointer("/key") == Some(&own.into())), "{rows:?}");

    let records = netio(&[senders.pid()], &["--interval", "1h"])?.interrupt()?;
    assert!(!records.text().contains("FILTER_PID"), "{}", records.text());
    Ok(())
}

#[test]
fn other_names_are_defined_on_the_command_line() -> Result<()> {
    need!(can_trace());
    let mut senders = Senders::start(0)?;
    let pid = senders.pid();
    let arguments = ["-D", "WANTED_SIZE=333", "--interval", "1h", "--pid", &pid.to_string(), &dbcc::case("defines.c")];
    let dbcc = Attached::start(arguments)?;
    senders.send(10, 333)?;
    senders.send(20, 444)?;
    let records = dbcc.interrupt()?;
    let rows = records.last_map("sends")?;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["value"], 10);
    Ok(())
}

/// No event behind it makes room, fills a buffer or wakes the reader.
#[test]
fn an_event_that_comes_alone_is_shown() -> Result<()> {
    need!(can_trace());
    for options in [&[][..], &["--without", "ringbuf"]] {
        let mut senders = Senders::start(0)?;
        let pid = senders.pid().to_string();
        let mut dbcc = Attached::start([options, &["--pid", &pid, &dbcc::case("each_send.c")]].concat())?;
        for size in [17, 18] {
            senders.send(1, size)?;
            dbcc.wait_for("the event", |record| (record["fields"]["bytes"] == size).then_some(()))?;
        }
    }
    Ok(())
}

#[test]
fn a_probe_in_the_style_of_libbpf_runs() -> Result<()> {
    need!(can_trace());
    let mut senders = Senders::start(0)?;
    let dbcc = Attached::start(["--interval", "1h", &dbcc::case("libbpf_style.c")])?;
    senders.send(12, 100)?;
    let rows = dbcc.interrupt()?.last_map("calls")?;
    let pid = senders.pid();
    let own = rows.iter().find(|row| row["key"] == pid).with_context(|| format!("no {pid} in {rows:?}"))?;
    assert_eq!(own["value"], 12);
    Ok(())
}

/// One object serves every process. The compiler is a script that takes notes.
#[test]
fn another_process_needs_no_other_compilation() -> Result<()> {
    need!(can_trace());
    let folder = tempfile::tempdir()?;
    let (compiler, notes) = (folder.path().join("clang"), folder.path().join("notes"));
    fs::write(&compiler, format!("#!/bin/sh\necho \"$1\" >> {}\nexec clang-19 \"$@\"\n", notes.display()))?;
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755))?;
    let probe = folder.path().join("probe.c");
    fs::copy(dbcc::probe("netio.c"), &probe)?;
    let runs_after_tracing = || -> Result<usize> {
        let mut senders = Senders::start(0)?;
        let pid = senders.pid();
        let mut command = dbcc::command()?;
        command.env("XDG_CACHE_HOME", folder.path().join("cache")).env("DBCC_CLANG", &compiler);
        command.args(["--interval", "1h", "--pid", &pid.to_string()]).arg(&probe);
        let dbcc = Attached::start_command(command)?;
        senders.send(4, 250)?;
        assert_eq!(counted(&dbcc.interrupt()?, "netio", pid, "sendMsg")?, 1000);
        // Its version is a part of what the cache goes by.
        Ok(fs::read_to_string(&notes)?.lines().filter(|argument| *argument != "--version").count())
    };
    let first = runs_after_tracing()?;
    assert!(first > 0);
    assert_eq!(runs_after_tracing()?, first);
    // The object is kept for the text: another text is compiled.
    fs::write(&probe, fs::read_to_string(&probe)? + "\n")?;
    assert!(runs_after_tracing()? > first);
    Ok(())
}

/// Where neither kprobes, fentry nor the tracepoints are there, one message says what is missing.
#[test]
fn a_kernel_that_offers_nothing_is_named_in_one_message() -> Result<()> {
    need!(need::root());
    let finished = dbcc::run([
        "netio",
        "--without",
        "kprobe",
        "--without",
        "fentry",
        "--without",
        "tracepoint",
        "--duration",
        "1s",
    ])?;
    assert_eq!(finished.code(), Some(1));
    let stderr = finished.stderr();
    for missing in ["kprobe", "fentry", "sock_send_length", "sock_recv_length"] {
        assert!(stderr.contains(missing), "{missing} is not named:\n{stderr}");
    }
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error")).count(), 1, "{stderr}");
    Ok(())
}

/// The folder of a test's own copies, which other users can reach.
fn open_folder() -> Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let binary = folder.path().join("dbcc");
    fs::copy(dbcc::binary()?, &binary)?;
    Ok((folder, binary))
}

#[test]
fn an_ordinary_user_is_told_which_capability_is_missing() -> Result<()> {
    need!(need::root());
    let (_folder, binary) = open_folder()?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(&binary);
    command.args(["netio", "--duration", "1s"]).env("HOME", "/nonexistent").env_remove("XDG_CACHE_HOME");
    let finished = run(command)?;
    assert!(matches!(finished.code(), Some(1 | 2)), "{:?}", finished.status);
    let stderr = finished.stderr();
    assert!(stderr.contains("CAP_BPF") && stderr.contains("CAP_PERFMON"), "{stderr}");
    Ok(())
}

/// The kernel's types are hidden under an empty folder, in a mount namespace of the test's own.
#[test]
fn a_kernel_without_btf_is_told_in_one_message() -> Result<()> {
    need!(can_trace());
    let hide = "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" netio --no-cache --duration 1s";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", hide]).arg(dbcc::binary()?);
    let finished = run(command)?;
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr());
    let stderr = finished.stderr();
    assert!(stderr.contains("/sys/kernel/btf/vmlinux does not exist"), "{stderr}");
    assert!(stderr.contains("CONFIG_DEBUG_INFO_BTF"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    Ok(())
}
