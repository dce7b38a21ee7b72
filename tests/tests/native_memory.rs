//! What implicit dereferences read, against what a program finds in its own memory and what the kernel tells of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc::Attached;
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

/// What the program printed and what the probe found, by number.
fn both(arguments: impl Fn(&Path) -> Vec<String>) -> Result<(BTreeMap<i64, i64>, BTreeMap<i64, i64>)> {
    let folder = tempfile::tempdir()?;
    let path = fixture(folder.path())?;
    let mut program = Running::start_listening(Command::new(&path))?;
    program.wait_for("the program", |line| (line.text == "ready").then_some(()))?;
    let common = ["--pid".to_owned(), program.pid().to_string(), "--interval".to_owned(), "1h".to_owned()];
    let dbcc = Attached::start(arguments(&path).into_iter().chain(common))?;
    program.tell("go")?;
    program.wait_for("the results", |line| (line.text == "done").then_some(()))?;
    let found = dbcc.interrupt()?.last_map("numbers")?;
    program.tell("end")?;
    let printed = program.finish()?.stdout();
    let number = |text: &str| text.parse::<i64>().with_context(|| printed.clone());
    let pairs = printed.lines().filter_map(|line| line.split_once(' '));
    let printed = pairs.map(|(key, value)| Ok((number(key)?, number(value)?))).collect::<Result<_>>()?;
    let entry = |entry: &serde_json::Value| Some((entry["key"].as_i64()?, entry["value"].as_i64()?));
    let found = found.iter().map(|one| entry(one).with_context(|| one.to_string())).collect::<Result<_>>()?;
    Ok((printed, found))
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
    compare(0..100, 24, |path| {
        let attach = format!("uprobe:{}:visit=on_visit", path.display());
        vec![case("user.c").display().to_string(), "--attach".to_owned(), attach]
    })
}

#[test]
fn the_kernel_s_memory_is_read_and_what_it_points_to_in_the_process() -> Result<()> {
    need!(need::root());
    compare(100..200, 8, |_| vec![case("kernel.c").display().to_string()])
}
