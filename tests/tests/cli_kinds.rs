//! Programs of the kinds that every kernel can run: what they count is compared with what was done.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc::{self, Attached, Records};
use dbcc_tests::need;
use dbcc_tests::process::run;

fn case(name: &str) -> String {
    need::repository().join("tests/cases/kinds").join(name).display().to_string()
}

/// The last values of a map from numbers to numbers.
fn numbers(records: &Records, map: &str) -> Result<BTreeMap<u64, u64>> {
    let entries = records.last_map(map)?;
    let number = |value: &serde_json::Value| value.as_u64().with_context(|| format!("no number: {value}"));
    entries.iter().map(|entry| Ok((number(&entry["key"])?, number(&entry["value"])?))).collect()
}

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
    const PACKETS: u64 = 137;
    need!(need::root());
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let address = receiver.local_addr()?;
    let port = format!("PORT={}", address.port());
    let places = ["xdp:lo:generic=driver", "tc:lo:ingress=incoming", "tc:lo:egress=outgoing", "socket:lo=raw"]
        .map(|place| ["--attach", place]);
    let file = case("packets.c");
    let dbcc = Attached::start(["-D", &port, &file].into_iter().chain(places.into_iter().flatten()))?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    for _ in 0..PACKETS {
        sender.send_to(b"counted", address)?;
        // It has passed them all when it is received.
        receiver.recv(&mut [0; 16])?;
    }
    let records = dbcc.interrupt()?;
    let expected = BTreeMap::from([(1, PACKETS), (2, PACKETS), (3, PACKETS), (4, 2 * PACKETS)]);
    assert_eq!(numbers(&records, "packets")?, expected);
    let mut bpftool = Command::new("bpftool");
    bpftool.args(["net", "show", "dev", "lo"]);
    let left = run(bpftool)?.stdout();
    ensure!(!left.contains("dbcc") && !left.contains("incoming") && !left.contains("generic id"), "{left}");
    Ok(())
}

#[test]
fn calls_are_seen_by_every_kind_of_tracepoint_with_their_arguments() -> Result<()> {
    const CALLS: u64 = 211;
    need!(need::root());
    need!(need::tracepoint("raw_syscalls:sys_enter"));
    // The number of getppid(2), which nothing else in this process calls.
    let number = if cfg!(target_arch = "aarch64") { 173 } else { 110 };
    let (pid, number) = (format!("PID={}", std::process::id()), format!("NUMBER={number}"));
    let file = case("calls.c");
    let dbcc = Attached::start([
        "-D",
        &pid,
        "-D",
        &number,
        "--attach",
        "raw_tracepoint:sys_enter=by_hand",
        "--attach",
        "tp_btf:sys_enter=typed",
        &file,
    ])?;
    for _ in 0..CALLS {
        let _ = std::os::unix::process::parent_id();
    }
    let records = dbcc.interrupt()?;
    let expected: BTreeMap<u64, u64> = (1..=4).map(|key| (key, CALLS)).collect();
    assert_eq!(numbers(&records, "calls")?, expected);
    Ok(())
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
