//! `dbcc doctor`: what it says is what other tools find, for root and for those who may less.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::doctor::{Said, agrees_with_others, command};
use dbcc_tests::process::run;
use dbcc_tests::{dbcc, need, objects};

#[test]
fn what_it_says_is_what_others_find() -> Result<()> {
    need!(need::root());
    agrees_with_others()
}

/// `dbcc doctor --json` behind a program that changes what it may do.
fn behind(program: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program);
    command.args(arguments).arg(dbcc::binary()?).args(["doctor", "--json"]);
    command.env_remove("CLICOLOR_FORCE").env("NO_COLOR", "1");
    Ok(command)
}

const NOBODY: [&str; 5] = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];

#[test]
fn a_user_without_rights_is_told_which_and_nothing_is_claimed_that_was_not_tried() -> Result<()> {
    need!(need::root());
    let said = Said::of(behind("setpriv", &NOBODY)?)?;
    assert_eq!((said.code, said.verdict), (Some(1), (false, true)));
    assert_eq!((said.state("load"), said.state("capabilities")), ("missing", "missing"));
    for name in ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"] {
        assert!(said.seen("capabilities").contains(name), "{said:?}");
    }
    assert!(said.mend("capabilities").contains("setcap cap_bpf,cap_perfmon"), "{said:?}");
    let untried = ["fentry", "uprobe", "uprobe_multi", "raw_tracepoint", "iterator", "ring_buffer", "statistics"];
    let of_kinds = ["fmod_ret", "lsm", "tp_btf", "xdp", "tc", "packet_socket", "cgroup", "socket_map", "verified_only"];
    for check in untried.iter().chain(&of_kinds) {
        assert_eq!(said.state(check), "unknown", "{check}: {said:?}");
    }
    Ok(())
}

#[test]
fn the_two_capabilities_are_enough_for_some_and_those_that_it_names_for_all() -> Result<()> {
    need!(need::root());
    let few = ["--inh-caps", "-all,+bpf,+perfmon", "--ambient-caps", "-all,+bpf,+perfmon"];
    let said = Said::of(behind("setpriv", &[&NOBODY[..], &few].concat())?)?;
    let states = ["load", "raw_tracepoint", "ring_buffer", "capabilities", "uprobe", "statistics", "tracefs"];
    let found = states.map(|check| said.state(check));
    assert_eq!(
        (said.code, found),
        (Some(0), ["ok", "ok", "ok", "limited", "missing", "missing", "missing"]),
        "{said:?}"
    );
    let found = ["tp_btf", "xdp", "cgroup", "socket_map"].map(|check| said.state(check));
    assert_eq!(found, ["ok", "unknown", "unknown", "missing"], "{said:?}");
    assert_eq!(said.mend("socket_map"), "see capabilities", "{said:?}");
    let lacking = "without CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_SYSLOG";
    assert_eq!(said.seen("capabilities"), lacking);

    // Those that it says would help.
    let mend = said.mend("capabilities");
    let named = mend.split_once("setcap ").and_then(|(_, behind)| behind.split_once('=')).context("no setcap")?.0;
    let named: String = named.split(',').map(|name| format!(",+{}", name.trim_start_matches("cap_"))).collect();
    let set = format!("-all{named}");
    let said = Said::of(behind("setpriv", &[&NOBODY[..], &["--inh-caps", &set, "--ambient-caps", &set]].concat())?)?;
    let more = ["tracepoint", "kptr_restrict", "ptrace", "xdp", "tc", "socket_map", "verified_only"];
    for check in states.iter().chain(&more) {
        assert_eq!(said.state(check), "ok", "{check}: {said:?}");
    }
    Ok(())
}

/// All capabilities, none of which counts.
#[test]
fn root_of_a_user_namespace_is_told_why_nothing_runs() -> Result<()> {
    need!(need::root());
    let said = Said::of(behind("unshare", &["--user", "--map-root-user"])?)?;
    assert_eq!((said.code, said.state("load"), said.state("user_namespace")), (Some(1), "missing", "missing"));
    assert!(said.seen("load").contains("user namespace"), "{said:?}");
    Ok(())
}

#[test]
fn a_namespace_of_processes_is_noticed() -> Result<()> {
    need!(need::root());
    let said = Said::of(behind("unshare", &["--pid", "--fork"])?)?;
    assert_eq!((said.code, said.state("pid_namespace")), (Some(0), "limited"), "{said:?}");
    assert!(said.costs("pid_namespace").contains("FILTER_PID"), "{said:?}");
    Ok(())
}

#[test]
fn without_a_compiler_only_objects_run() -> Result<()> {
    need!(need::root());
    let mut command = objects::without_compiler()?;
    command.args(["doctor", "--json"]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let said = Said::of(command)?;
    assert_eq!((said.code, said.verdict), (Some(3), (true, false)));
    assert_eq!((said.state("clang"), said.state("libclang"), said.state("compile")), ("missing", "unknown", "missing"));
    assert!(said.mend("clang").contains("apt install clang-19"), "{said:?}");
    Ok(())
}

/// A compiler that says a version and does nothing else.
fn compiler(version: &str) -> Result<(tempfile::TempDir, String)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("compiler");
    fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = --version ] && echo 'clang version {version}' && exit\nexit 1\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    let path = path.display().to_string();
    Ok((folder, path))
}

#[test]
fn a_compiler_that_is_old_or_does_not_compile_is_found_out() -> Result<()> {
    let (_kept, old) = compiler("14.0.6")?;
    let mut told = command()?;
    told.env("DBCC_CLANG", &old);
    let said = Said::of(told)?;
    assert_eq!(said.state("clang"), "missing", "{said:?}");
    assert!(said.seen("clang").contains("is clang 14; dbcc needs 17"), "{said:?}");

    let (_kept, idle) = compiler("19.1.7")?;
    let mut told = command()?;
    told.env("DBCC_CLANG", &idle).env("DBCC_LIBCLANG", "/usr/lib/llvm-19/lib/libclang-19.so.1");
    let said = Said::of(told)?;
    assert_eq!(
        (said.state("clang"), said.state("libclang"), said.state("compile")),
        ("ok", "ok", "missing"),
        "{said:?}"
    );
    assert_ne!(said.code, Some(0));

    let mut told = command()?;
    told.env("DBCC_LIBCLANG", "/nonexistent/libclang.so");
    let said = Said::of(told)?;
    assert_eq!((said.state("libclang"), said.state("compile")), ("missing", "missing"), "{said:?}");
    Ok(())
}

/// In a mount namespace of its own: what it says that mounts, mounts, and so does it itself.
#[test]
fn file_systems_that_are_not_mounted_are_mounted_by_the_command_that_it_shows_and_on_request() -> Result<()> {
    need!(need::root());
    let script = "umount -a -t tracefs,debugfs,bpf; \"$1\" doctor --json > \"$2/before\"; \"$1\" doctor --mount --json > \"$2/after\"; \
                  umount /sys/kernel/tracing /sys/fs/bpf && eval \"$(\"$1\" doctor | sed -n 's/.*mend: `\\(mount -t [a-z]* [a-z]* [a-z/]*\\)`.*/\\1/p')\"; \
                  \"$1\" doctor --json > \"$2/again\"; true";
    let folder = tempfile::tempdir()?;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", script, "sh"]).arg(dbcc::binary()?).arg(folder.path());
    let finished = run(shell)?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    for (file, state) in [("before", "limited"), ("after", "ok"), ("again", "ok")] {
        let mut cat = Command::new("cat");
        cat.arg(folder.path().join(file));
        let said = Said::of(cat)?;
        assert_eq!((said.state("tracefs"), said.state("bpffs")), (state, state), "{file}: {}", finished.stderr());
    }
    Ok(())
}

#[test]
fn people_get_a_table_with_a_sentence_at_its_end() -> Result<()> {
    need!(need::root());
    let finished = dbcc::run(["doctor"])?;
    let text = finished.stdout();
    assert_eq!((finished.code(), finished.stderr().as_str()), (Some(0), ""));
    assert!(text.starts_with("kernel\n  ok       version                    Linux "), "{text}");
    assert!(text.contains("\ndbcc can compile and run probes here\n"), "{text}");
    Ok(())
}
