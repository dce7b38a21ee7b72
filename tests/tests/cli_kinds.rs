//! Programs of the kinds that every kernel can run: what they count is compared with what was done.

use std::sync::mpsc;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc::{self, Attached, Records};
use dbcc_tests::kinds::{self, case, numbers};
use dbcc_tests::need;

#[test]
fn programs_of_all_contexts_are_verified_as_what_they_are() -> Result<()> {
    need!(need::root());
    let finished = dbcc::run(["check", "--load", "--json", &case("every_context.c")])?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    let report: serde_json::Value = serde_json::from_str(&finished.stdout())?;
    let programs = report["programs"].as_array().context("no programs")?;
    let kinds: Vec<&str> = programs.iter().filter_map(|program| program["as"].as_str()).collect();
    let expected = "xdp socket tc perf_event raw_tracepoint tracepoint iter sock_ops sk_msg cgroup_sockopt cgroup_sock_addr \
                    cgroup_sock cgroup_sysctl cgroup_device sk_lookup sk_reuseport";
    assert_eq!(kinds.join(" "), expected);
    Ok(())
}

#[test]
fn packets_are_seen_by_xdp_tc_and_sockets() -> Result<()> {
    kinds::packets_are_seen()
}

#[test]
fn packets_are_seen_by_programs_of_a_cgroup() -> Result<()> {
    kinds::packets_of_a_cgroup_are_seen()
}

#[test]
fn calls_are_seen_by_every_kind_of_tracepoint_with_their_arguments() -> Result<()> {
    kinds::calls_are_seen()
}

#[test]
fn an_iterator_prints_what_it_writes_and_ends() -> Result<()> {
    need!(need::root());
    let finished = dbcc::run(["--json", &case("tasks.c")])?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    let records = Records::of(&finished)?;
    let lines: Vec<&serde_json::Value> =
        records.of_kind("text").filter_map(|record| record["lines"].as_array()).flatten().collect();
    let own = format!("task\t{} ", std::process::id());
    ensure!(lines.iter().any(|line| line.as_str().is_some_and(|line| line.starts_with(&own))), "{lines:?}");
    Ok(())
}

#[test]
fn an_iterator_is_read_again_at_each_interval() -> Result<()> {
    need!(need::root());
    let finished = dbcc::run(["--json", "--interval", "10ms", "--count", "3", &case("tasks.c")])?;
    let records = Records::of(&finished)?;
    assert_eq!(records.of_kind("text").count(), 4, "one at the start and one an interval");
    Ok(())
}

#[test]
fn a_perf_event_counts_in_the_threads_of_a_process() -> Result<()> {
    const PAGES: usize = 5000;
    const PAGE: usize = 4096;
    need!(need::root());
    let (go, wait) = mpsc::channel::<()>();
    // A thread that is there when the event is opened.
    let toucher = std::thread::spawn(move || {
        let _ = wait.recv();
        // A vector of zeroes is mapped untouched, and each page is written to once.
        let mut pages = vec![0_u8; PAGES * PAGE];
        pages.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        std::hint::black_box(&pages);
    });
    let pid = std::process::id();
    let file = case("faults.c");
    let pid_text = pid.to_string();
    let dbcc = Attached::start(["--pid", &pid_text, "--attach", "perf_event:software:page-faults:1=on_fault", &file])?;
    go.send(())?;
    toucher.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?;
    let faults = numbers(&dbcc.interrupt()?, "faults")?;
    assert_eq!(faults.keys().copied().collect::<Vec<_>>(), [u64::from(pid)], "another process was counted");
    // Huge pages, where the kernel gives them, take the place of 512 faults each.
    let count = faults.values().sum::<u64>();
    ensure!(count >= u64::try_from(PAGES / 512)? && count < u64::try_from(2 * PAGES)?, "{count} faults");
    Ok(())
}

#[test]
fn what_cannot_be_attached_says_what_to_use_instead() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("probe.c");
    std::fs::write(&probe, "int f(struct __sk_buff *skb) { return 0; }\n")?;
    let probe = probe.display().to_string();
    for (attach, said) in [
        ("sched_act:lo=f", "tc:INTERFACE:ingress|egress"),
        ("lwt_in:10.0.0.0/8=f", "tc:INTERFACE:ingress|egress"),
        ("tc:lo=f", "ingress, egress"),
        ("socket:nosuchinterface=f", "nosuchinterface"),
        ("cgroup_skb:/proc:ingress=f", "/proc"),
    ] {
        let finished = dbcc::run(["--attach", attach, &probe])?;
        ensure!(finished.code() == Some(1), "{attach}: {:?}", finished.code());
        ensure!(finished.stderr().contains(said), "{attach}: {}", finished.stderr());
    }
    Ok(())
}

/// Functions for a pattern: each is called so often.
#[inline(never)]
fn patterned_one(x: u64) -> u64 {
    std::hint::black_box(x) + 1
}

#[inline(never)]
fn patterned_two(x: u64) -> u64 {
    std::hint::black_box(x) + 2
}

#[inline(never)]
fn unpatterned(x: u64) -> u64 {
    std::hint::black_box(x) + 3
}

fn a_pattern_counts(kind: &str, pattern: &str) -> Result<()> {
    const CALLS: u64 = 173;
    need!(need::root());
    let this = std::env::current_exe()?.display().to_string();
    let dbcc = Attached::start(["--attach", &format!("{kind}:{this}:{pattern}=on_call"), &case("pattern.c")])?;
    for number in 0..CALLS {
        patterned_one(patterned_two(unpatterned(number)));
    }
    let records = dbcc.interrupt()?;
    assert_eq!(numbers(&records, "calls")?.get(&std::process::id().into()), Some(&(2 * CALLS)), "{}", records.text());
    let why = records.of_kind("attached").next().map(ToString::to_string).unwrap_or_default();
    ensure!(why.contains("(2 functions)"), "{why}");
    Ok(())
}

#[test]
fn a_pattern_attaches_to_all_functions_of_a_program_that_fit() -> Result<()> {
    a_pattern_counts("uprobe", "patterned_*")
}

#[test]
fn a_regular_expression_attaches_to_the_returns_of_all_functions_that_fit() -> Result<()> {
    a_pattern_counts("uretprobe", "/(^|::)patterned_(one|two)/")
}

#[test]
fn a_pattern_attaches_to_all_tracepoints_that_fit() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("syscalls:sys_enter_getppid"));
    const CALLS: u64 = 97;
    // `getpgid` and `getpgrp` are of the kind too, and nobody here calls them.
    let dbcc = Attached::start(["--attach", "tracepoint:syscalls:sys_enter_getp?[id]*=on_call", &case("pattern.c")]);
    ensure!(dbcc.is_err(), "`[` is in no pattern");
    let dbcc =
        Attached::start(["--attach", "tracepoint:syscalls:/^sys_enter_getp(pid|gid)$/=on_call", &case("pattern.c")])?;
    for _ in 0..CALLS {
        let _ = std::os::unix::process::parent_id();
    }
    let records = dbcc.interrupt()?;
    assert_eq!(numbers(&records, "calls")?.get(&std::process::id().into()), Some(&CALLS), "{}", records.text());
    assert_eq!(records.attach_kinds().len(), 2);
    Ok(())
}

#[test]
fn a_pattern_for_too_many_places_wants_a_word() -> Result<()> {
    need!(need::root());
    let attach = ["--attach", "tracepoint:syscalls:*=on_call"];
    let finished = dbcc::run(attach.into_iter().chain(["--max-targets", "10", &case("pattern.c")]))?;
    ensure!(finished.code() == Some(1) && finished.stderr().contains("--max-targets"), "{}", finished.stderr());
    let attach = ["--attach", "tracepoint:syscalls:no_such_*=on_call"];
    let finished = dbcc::run(attach.into_iter().chain([case("pattern.c").as_str()]))?;
    ensure!(finished.code() == Some(1) && finished.stderr().contains("fits no tracepoints"), "{}", finished.stderr());
    Ok(())
}
