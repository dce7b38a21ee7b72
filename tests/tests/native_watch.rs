//! `dbcc --watch`: a probe that counts is edited, and no count is lost or made twice.

use std::fs;

use anyhow::{Result, ensure};
use dbcc_tests::dbcc::{Attached, Records};
use dbcc_tests::need;
use dbcc_tests::swapped;
use dbcc_tests::watch::{Calls, Edited, Load, all_behind_the_switch, resets, sum, wait_for_swaps};

fn can_trace() -> Result<(), need::Skip> {
    need::root()
}

/// How many events there were of all versions.
fn events(records: &Records) -> Result<u64> {
    Ok(u64::try_from(records.of_kind("event").filter(|event| event["map"] == "events").count())?)
}

/// A uprobe at 50,000 calls a second; beside it pairs of entry and return, a pattern, a USDT probe of two sites, a raw
/// tracepoint and events.
#[test]
fn a_hundred_swaps_lose_no_call_and_count_none_twice() -> Result<()> {
    const SWAPS: u64 = 100;
    need!(can_trace());
    let folder = tempfile::tempdir()?;
    let mut load = Load::start(folder.path(), 50_000, 4)?;
    let probe = Edited::new("user.c", load.program())?;
    let (pid, path) = (load.pid().to_string(), probe.path().display().to_string());
    let mut dbcc = Attached::start(["--watch", "--interval", "1h", "--pid", &pid, &path])?;
    load.begin()?;
    for swap in 1..=SWAPS {
        // Four texts in turn: each is compiled once, so that the test is about swapping.
        probe.save(swap % 4)?;
        wait_for_swaps(&mut dbcc, swap)?;
    }
    let Calls { calls, others, rares, milliseconds } = load.end()?;
    let records = dbcc.interrupt()?;
    let maps = ["entries", "begins", "returns", "orphans", "pattern", "tracepoints", "sites"];
    let found = maps.map(|map| sum(&records, map)).into_iter().collect::<Result<Vec<u64>>>()?;
    let said = format!("{calls} and {others} calls in {milliseconds} ms and {SWAPS} swaps, {maps:?} are {found:?}");
    println!("{said}");
    assert_eq!(found, [calls, others, others, 0, 2 * others, others, 3 * others], "{said}\n{}", records.stderr);
    assert_eq!((events(&records)?, records.lost("events")), (rares, 0), "{said}");
    all_behind_the_switch(&records)?;
    // Events of a version are read with its own types.
    for event in records.of_kind("event") {
        let fields = &event["fields"];
        let odd = fields["number"].as_u64().is_some_and(|number| number % 2 == 1);
        ensure!(fields.get("more").is_some() == odd, "{event}");
    }
    let (grew, shrank) = ("value grew from 8 to 16 bytes (field `more` added)", "value shrank from 16 to 8 bytes");
    let resets = resets(&records);
    let count = |map: &str, why: &str| {
        resets.iter().filter(|((found, told), _)| found == map && told.starts_with(why)).map(|(_, count)| count).sum()
    };
    let counts: [usize; 4] = [
        count("entries", grew),
        count("entries", shrank),
        count("pattern", "it has room for 512 entries now, and had for 1024"),
        count("starts", ""),
    ];
    assert_eq!(counts, [50, 50, 25, 0], "{resets:?}");
    Ok(())
}

/// A version that cannot run leaves the running one in place, whatever is wrong with it, and the next save is tried again.
#[test]
fn a_version_that_cannot_run_leaves_the_running_one_in_place() -> Result<()> {
    need!(can_trace());
    let folder = tempfile::tempdir()?;
    let mut load = Load::start(folder.path(), 10_000, 2)?;
    let program = load.program().display().to_string();
    let text = |attach: &str, body: &str| {
        format!(
            "//@ attach uprobe:{program}:{attach} = f\nBPF_HASH(counts, u32, u64);\nint f(struct pt_regs *ctx)\n{{\n    u32 key = 0;\n    u64 zero = 0, *count = counts.lookup_or_try_init(&key, &zero);\n    {body}\n    return 0;\n}}\n"
        )
    };
    let good = "if (count) __sync_fetch_and_add(count, 1);";
    let probe = Edited::new("kernel.c", load.program())?;
    probe.write(&text("work", good))?;
    let path = probe.path().display().to_string();
    let mut dbcc = Attached::start(["--watch", "--interval", "1h", &path])?;
    load.begin()?;
    let wrong = [
        (text("work", "if (count) nothing++;"), "undeclared"),
        (text("work", "*count = 1;"), "may be NULL"),
        (text("no_such_function", good), "no_such_function"),
        (text("work", good).replace("//@ attach", "//@ attahc"), "attahc"),
    ];
    for (number, (text, expect)) in wrong.iter().enumerate() {
        probe.write(text)?;
        let mut refused = 0;
        let message = dbcc.wait_for("the version to be refused", |record| {
            refused += usize::from(record["kind"] == "refused");
            (refused > number).then(|| record["message"].as_str().unwrap_or_default().to_owned())
        })?;
        ensure!(message.contains(expect), "{expect}: {message}");
    }
    // A function more, and other places: `several` of the pattern's.
    probe.write(&text("work", good).replace("= f\n", &format!("= f\n//@ attach uprobe:{program}:many_first = f\n")))?;
    wait_for_swaps_after_refusals(&mut dbcc, 1)?;
    probe.write(&text("work", good))?;
    wait_for_swaps_after_refusals(&mut dbcc, 2)?;
    let Calls { calls, .. } = load.end()?;
    let records = dbcc.interrupt()?;
    let counted = sum(&records, "counts")?;
    ensure!(counted >= calls && counted <= 2 * calls, "{counted} of {calls}");
    let attached = records.of_kind("attached").count();
    assert_eq!(attached, 3, "attach points that changed are told:\n{}", records.text());
    Ok(())
}

fn wait_for_swaps_after_refusals(dbcc: &mut Attached, wanted: usize) -> Result<()> {
    let mut swapped = 0;
    dbcc.wait_for("the next version to run", |record| {
        swapped += usize::from(record["kind"] == "swapped");
        (swapped == wanted).then_some(())
    })
}

/// The traced process ends while versions are compiled, attached and swapped, at a moment that differs by how many swaps there
/// were: dbcc ends with it, whichever version runs then, and what was counted is told.
#[test]
fn the_end_of_the_target_during_a_swap_ends_the_probe_with_all_counts() -> Result<()> {
    need!(can_trace());
    for swaps in 0..4 {
        let folder = tempfile::tempdir()?;
        let mut load = Load::start(folder.path(), 20_000, 2)?;
        let probe = Edited::new("user.c", load.program())?;
        let (pid, path) = (load.pid().to_string(), probe.path().display().to_string());
        let mut dbcc = Attached::start(["--watch", "--interval", "1h", "--pid", &pid, &path])?;
        load.begin()?;
        for swap in 1..=swaps {
            probe.save(2 * swap)?;
            wait_for_swaps(&mut dbcc, swap)?;
        }
        probe.save(2 * swaps + 2)?;
        let Calls { calls, others, .. } = load.end()?;
        drop(load);
        let records = dbcc.finish()?;
        let found = (sum(&records, "entries")?, sum(&records, "returns")?, sum(&records, "sites")?);
        ensure!(found == (calls, others, 3 * others), "{swaps}: {found:?} of {calls} and {others}: {}", records.stderr);
    }
    Ok(())
}

#[test]
fn directives_of_the_new_text_count() -> Result<()> {
    need!(can_trace());
    let folder = tempfile::tempdir()?;
    let mut load = Load::start(folder.path(), 1000, 1)?;
    let probe = Edited::new("user.c", load.program())?;
    let (pid, path) = (load.pid().to_string(), probe.path().display().to_string());
    let text = fs::read_to_string(probe.path())?;
    let mut dbcc = Attached::start(["--watch", "--pid", &pid, &path])?;
    load.begin()?;
    probe.write(&format!("//@ interval 50ms\n//@ print returns: n=value\n//@ hide entries\n{text}"))?;
    wait_for_swaps(&mut dbcc, 1)?;
    // Ten reports of one map within the old interval's first two need the new interval.
    let mut reports = 0;
    let mut behind = false;
    dbcc.wait_for("reports at the new interval", |record| {
        behind |= record["kind"] == "swapped";
        reports += usize::from(behind && record["kind"] == "map" && record["map"] == "returns");
        (reports == 10).then_some(())
    })?;
    load.end()?;
    let records = dbcc.interrupt()?;
    let swapped = records.all.iter().position(|record| record["kind"] == "swapped").unwrap_or_default();
    let shown = records.all.iter().skip(swapped).any(|record| record["map"] == "entries");
    ensure!(!shown, "{}", records.text());
    let elapsed = records.of_kind("map").filter_map(|record| record["elapsed"].as_f64()).fold(f64::MAX, f64::min);
    ensure!(elapsed < 0.9, "{elapsed}");
    Ok(())
}

#[test]
fn programs_of_packets_take_turns() -> Result<()> {
    swapped::packets_are_seen()
}

#[test]
fn a_program_that_cannot_take_turns_is_named() -> Result<()> {
    swapped::what_cannot_take_turns_is_said()
}

#[test]
fn programs_of_a_cgroup_take_turns() -> Result<()> {
    swapped::packets_of_a_cgroup_are_seen()
}

#[test]
fn programs_of_tracepoints_take_turns() -> Result<()> {
    swapped::calls_are_seen()
}

#[test]
fn programs_of_perf_events_take_turns() -> Result<()> {
    swapped::faults_are_seen()
}
