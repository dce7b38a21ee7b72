//! What implicit dereferences read, against what a program finds in its own memory and what the kernel tells of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc::{Attached, Records};
use dbcc_tests::need;
use dbcc_tests::process::{self, Running};

fn case(name: &str) -> PathBuf {
    need::repository().join("tests/cases/memory").join(name)
}

/// Compiles the program whose memory is read.
fn fixture(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("dbcc-memory");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wno-unused-value", "-o"]).arg(&path).arg(case("fixture.c"));
    let built = process::run(cc)?;
    ensure!(built.code() == Some(0), "{}", built.stderr());
    Ok(path)
}

/// What a probe says, attached while the program runs, and what that printed.
fn trace(arguments: impl Fn(&Path) -> Vec<String>) -> Result<(Records, String)> {
    let folder = tempfile::tempdir()?;
    let path = fixture(folder.path())?;
    let mut program = Running::start_listening(Command::new(&path))?;
    program.wait_for("the program", |line| (line.text == "ready").then_some(()))?;
    let common = ["--pid".to_owned(), program.pid().to_string(), "--interval".to_owned(), "1h".to_owned()];
    let dbcc = Attached::start(arguments(&path).into_iter().chain(common))?;
    program.tell("go")?;
    program.wait_for("the results", |line| (line.text == "done").then_some(()))?;
    let records = dbcc.interrupt()?;
    program.tell("end")?;
    Ok((records, program.finish()?.stdout()))
}

/// The arguments for a probe whose `on_visit` is attached to the program's `visit()`.
fn on_visit(probe: &str, program: &Path) -> Vec<String> {
    let attach = format!("uprobe:{}:visit=on_visit", program.display());
    vec![case(probe).display().to_string(), "--attach".to_owned(), attach]
}

/// What the program printed and what the probe found, by number.
fn both(arguments: impl Fn(&Path) -> Vec<String>) -> Result<(BTreeMap<i64, i64>, BTreeMap<i64, i64>)> {
    let (records, printed) = trace(arguments)?;
    let number = |text: &str| text.parse::<i64>().with_context(|| printed.clone());
    let pairs = printed.lines().filter_map(|line| line.split_once(' '));
    let expected = pairs.map(|(key, value)| Ok((number(key)?, number(value)?))).collect::<Result<_>>()?;
    let entry = |entry: &serde_json::Value| Some((entry["key"].as_i64()?, entry["value"].as_i64()?));
    let found = records.last_map("numbers")?;
    let found = found.iter().map(|one| entry(one).with_context(|| one.to_string())).collect::<Result<_>>()?;
    Ok((expected, found))
}

/// Every number that the program printed in a range, as the probe found it.
fn compare(range: std::ops::Range<i64>, at_least: usize, arguments: impl Fn(&Path) -> Vec<String>) -> Result<()> {
    let (printed, found) = both(arguments)?;
    let expected: BTreeMap<i64, i64> = printed.into_iter().filter(|(key, _)| range.contains(key)).collect();
    ensure!(expected.len() >= at_least, "the program printed {expected:?}");
    assert_eq!(found.into_iter().filter(|(key, _)| expected.contains_key(key)).collect::<BTreeMap<_, _>>(), expected);
    Ok(())
}

#[test]
fn a_process_s_memory_is_read_as_the_process_reads_it() -> Result<()> {
    need!(need::root());
    compare(0..100, 24, |path| on_visit("user.c", path))
}

#[test]
fn the_kernel_s_memory_is_read_and_what_it_points_to_in_the_process() -> Result<()> {
    need!(need::root());
    compare(100..200, 8, |_| vec![case("kernel.c").display().to_string()])
}

#[test]
fn events_of_all_types_and_lengths_print_their_fields() -> Result<()> {
    need!(need::root());
    let (records, _) = trace(|path| on_visit("events.c", path))?;
    let mut found: Vec<String> = records
        .of_kind("event")
        .map(|event| format!("{} {} {}", event["map"], event["event"], event["fields"]).replace('"', ""))
        .collect();
    // Between buffers there is no order.
    found.sort();
    assert_eq!(
        found,
        [
            "arrays int[3] {value:[1,20,300]}",
            "out  {nameless:222,tag:first}",
            "out local_t {x:111,s:-2,sum:7}",
            "pairs inner[2] {value:[{a:0,tag:},{a:41,tag:}]}",
            "ring local_t {x:111,s:-2,sum:7}",
            "strings text_t {length:9,data:a string}",
            "unions  {number:258,bytes:[2,1,0,0,0,0,0,0]}",
        ]
    );
    Ok(())
}
