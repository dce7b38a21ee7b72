//! Maps of every family at run time: what programs put in is what is printed.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dbcc_tests::bpffs::Bpffs;
use dbcc_tests::dbcc::{self, Attached, Records};
use dbcc_tests::need;
use dbcc_tests::senders::Senders;
use serde_json::Value;

fn can_trace() -> Result<(), need::Skip> {
    need::root()?;
    need::tracepoint("sock:sock_send_length")
}

/// A probe of these tests.
fn case(name: &str) -> String {
    need::repository().join("tests/cases/maps").join(name).display().to_string()
}

/// Runs a probe over sends of these sizes.
fn over(probe: &str, sizes: &[u64]) -> Result<Records> {
    let mut senders = Senders::start(0)?;
    let dbcc = Attached::start(["--pid", &senders.pid().to_string(), "--interval", "1h", probe])?;
    for size in sizes {
        senders.send(1, *size)?;
    }
    dbcc.interrupt()
}

/// A number, or the sum of the numbers of all CPUs.
fn sum(value: &Value) -> u64 {
    value.get("sum").unwrap_or(value).as_u64().unwrap_or(0)
}

/// Keys and values of a map of numbers.
fn numbers(records: &Records, map: &str) -> Result<BTreeMap<u64, u64>> {
    let rows = records.last_map(map)?;
    let rows = rows.iter().map(|row| Ok((row["key"].as_u64().context("no number")?, sum(&row["value"]))));
    rows.collect()
}

#[test]
fn every_family_of_maps_keeps_what_programs_put_in() -> Result<()> {
    need!(can_trace());
    let records = over(&case("families.c"), &[10, 20, 30, 20])?;
    // Queues and stacks are shown by the value that is taken next; 10 was taken.
    let next = |map: &str| -> Result<Vec<u64>> {
        Ok(records.last_map(map)?.iter().filter_map(|row| row["value"].as_u64()).collect())
    };
    assert_eq!(next("waiting")?, [20]);
    assert_eq!(next("piled")?, [20]);
    let found = numbers(&records, "found")?;
    let expect = [(1, 10), (2, 30), (3, 16), (4, 0), (5, 1), (6, 100), (7, 4)];
    assert_eq!(found, BTreeMap::from(expect), "{}", records.text());
    assert_eq!(numbers(&records, "recent")?, BTreeMap::from([(10, 1), (20, 2), (30, 1)]));
    assert_eq!(numbers(&records, "per_cpu")?, BTreeMap::from([(0, 8)]));
    assert_eq!(numbers(&records, "per_cpu_recent")?, BTreeMap::from([(1, 12)]));
    assert_eq!(numbers(&records, "second_inner")?, BTreeMap::from([(10, 10), (20, 20), (30, 30)]));
    assert!(numbers(&records, "inner")?.is_empty());
    assert_eq!(numbers(&records, "limits")?, BTreeMap::from([(0, 0), (1, 100)]));
    let ticks = numbers(&records, "ticks")?;
    assert!(ticks.get(&0).is_some_and(|ticks| *ticks > 0 && *ticks < 1 << 62), "{ticks:?}");
    let routes = records.last_map("routes")?;
    assert_eq!(routes.len(), 1, "{routes:?}");
    assert_eq!((&routes[0]["key"]["prefixlen"], &routes[0]["value"]), (&Value::from(16), &Value::from(16)));
    Ok(())
}

#[test]
fn only_the_top_entries_are_printed_where_a_directive_says_so() -> Result<()> {
    need!(can_trace());
    let records = over(&case("top.c"), &[10, 40, 30, 20, 10, 10, 10, 10, 10, 10])?;
    let keys = |map: &str| -> Result<Vec<u64>> {
        Ok(records.last_map(map)?.iter().filter_map(|row| row["key"].as_u64()).collect())
    };
    assert_eq!(keys("sizes")?, [40, 30], "{}", records.text());
    assert_eq!(keys("sums")?, [10, 40, 30], "{}", records.text());
    let more = |map: &str| records.of_kind("map").filter(|record| record["map"] == map).map(|map| &map["more"]).last();
    assert_eq!((more("sizes"), more("sums")), (Some(&Value::from(2)), Some(&Value::from(1))));

    for (wrong, message) in
        [("nothing 3", "no map `nothing` is printed"), ("sums 3", "`value` of map `sums` is no number")]
    {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("wrong.c");
        let text = std::fs::read_to_string(case("top.c"))?;
        std::fs::write(&file, text.replace("sums 3 by value.total", wrong))?;
        let finished = dbcc::run([file])?;
        let said = finished.stderr();
        assert!(finished.code() == Some(1) && said.contains(message), "{said}");
    }
    Ok(())
}

#[test]
fn tail_calls_go_where_the_directive_says() -> Result<()> {
    need!(can_trace());
    let records = over(&case("tail.c"), &[1, 1])?;
    assert_eq!(numbers(&records, "seen")?, BTreeMap::from([(1, 2), (2, 2), (3, 2), (30, 2)]));
    let attached: Vec<String> = records.attach_kinds().into_iter().map(|(function, _)| function).collect();
    assert_eq!(attached, ["tracepoint__sock__sock_send_length"]);
    Ok(())
}

#[test]
fn fields_of_packets_are_those_that_were_sent() -> Result<()> {
    need!(need::root());
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    let to = receiver.local_addr()?;
    sender.set_ttl(77)?;
    let dbcc = Attached::start([case("packets.c")])?;
    for size in [1, 300, 1000] {
        sender.send_to(&vec![0; size], to)?;
        // A datagram that was received has passed the interface.
        receiver.recv(&mut [0; 2000])?;
    }
    let records = dbcc.interrupt()?;
    let port = u64::from(to.port());
    // On the loopback interface each packet goes out and comes in.
    assert_eq!(numbers(&records, "bytes")?.get(&port), Some(&(2 * 1301)), "{}", records.text());
    assert_eq!(numbers(&records, "ttl")?.get(&port), Some(&77));
    Ok(())
}

#[test]
fn a_control_group_is_found_by_its_path() -> Result<()> {
    need!(can_trace());
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let mounted = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let root = mounted.filter(|words| words.get(2) == Some(&"cgroup2")).find_map(|words| words.get(1).copied());
    let root = need!(root.ok_or_else(|| need::Skip::optional("no control groups of version 2 are mounted")));
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("groups.c");
    let text = format!(
        "//@ fill groups[1] = {root}\nBPF_CGROUP_ARRAY(groups, 2);\nBPF_HASH(inside, int, u64);\n\
         TRACEPOINT_PROBE(sock, sock_send_length)\n{{\n    if (FILTER_PID)\n        return 0;\n    \
         inside.increment(groups.check_current_task(1));\n    return 0;\n}}\n"
    );
    std::fs::write(&probe, text)?;
    // Every process is below the root of its hierarchy.
    let records = over(&probe.display().to_string(), &[1, 1])?;
    assert_eq!(numbers(&records, "inside")?, BTreeMap::from([(1, 2)]));
    Ok(())
}

/// Writes a probe whose map is pinned.
fn pinned(folder: &Path, declaration: &str) -> Result<PathBuf> {
    let probe = folder.join("pinned.c");
    let text = format!(
        "{declaration}\nTRACEPOINT_PROBE(sock, sock_send_length)\n{{\n    if (FILTER_PID)\n        return 0;\n    \
         shared.increment(args->ret);\n    return 0;\n}}\n"
    );
    std::fs::write(&probe, text)?;
    Ok(probe)
}

#[test]
fn a_pinned_map_is_shared_by_runs_and_told_apart_from_others() -> Result<()> {
    need!(can_trace());
    let folder = tempfile::tempdir()?;
    let bpffs = Bpffs::mount()?;
    let path = bpffs.path().join("below/shared");
    let at = path.display();
    let declared = |types: &str| format!("BPF_TABLE_PINNED(\"hash\", {types}, shared, 64, \"{at}\");");
    let probe = pinned(folder.path(), &declared("u32, u64"))?.display().to_string();

    // Checking pins nothing.
    let checked = dbcc::run(["check", "--load", &probe])?;
    assert_eq!(checked.code(), Some(0), "{}{}", checked.stdout(), checked.stderr());
    assert!(!path.exists());

    let first = over(&probe, &[10])?;
    assert_eq!(numbers(&first, "shared")?, BTreeMap::from([(10, 1)]));
    let second = over(&probe, &[10, 20])?;
    assert_eq!(numbers(&second, "shared")?, BTreeMap::from([(10, 2), (20, 1)]));

    // One that is declared elsewhere is the same map.
    let elsewhere = format!("BPF_TABLE(\"extern:{at}\", u32, u64, shared, 64);");
    let third = over(&pinned(folder.path(), &elsewhere)?.display().to_string(), &[30])?;
    assert_eq!(numbers(&third, "shared")?, BTreeMap::from([(10, 2), (20, 1), (30, 1)]));

    let other = dbcc::run([pinned(folder.path(), &declared("u64, u64"))?])?;
    assert_eq!(other.code(), Some(1));
    let sizes =
        "it is a hash with keys of 4 and values of 8 bytes, and this a hash with keys of 8 and values of 8 bytes";
    assert!(other.stderr().contains(sizes), "{}", other.stderr());
    Ok(())
}

#[test]
fn what_cannot_be_shared_is_said_at_the_map() -> Result<()> {
    need!(can_trace());
    let folder = tempfile::tempdir()?;
    let check = |declaration: &str, expect: &str| -> Result<()> {
        let probe = pinned(folder.path(), declaration)?;
        let finished = dbcc::run([&probe])?;
        assert_eq!(finished.code(), Some(1), "{}", finished.stdout());
        let said = finished.stderr();
        assert!(said.contains(expect) && said.contains("pinned.c:1:"), "{said}");
        Ok(())
    };
    let file = folder.path().join("shared");
    let place = format!("BPF_TABLE_PINNED(\"hash\", u32, u64, shared, 64, \"{}\");", file.display());
    check(&place, "is not in the file system of BPF")?;
    std::fs::write(&file, "a file")?;
    check(&place, "is not in the file system of BPF")?;
    check("BPF_TABLE(\"extern\", u32, u64, shared, 64);", "map `shared` is declared elsewhere, and there is none at")?;
    check("BPF_HASH(shared); //@ fill no_such[0] = 1", "the probe has no map `no_such`")?;
    check("BPF_HASH(shared); //@ fill shared[0] = one", "`one` is no number")?;
    check("BPF_PERF_ARRAY(c, 1); BPF_HASH(shared); //@ fill c = tea", "`tea` is no counter")?;
    check("BPF_HASH(shared); //@ tail_call shared[0] = f", "map `shared` (hash) holds no programs")
}
