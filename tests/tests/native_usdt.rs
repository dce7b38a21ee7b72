//! USDT probes: every hit of every site, with equal values whatever place they are in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::dbcc::{self, Attached, Records};
use dbcc_tests::need;
use dbcc_tests::sites::{Sites, compile};
use serde_json::{Value, json};

fn probe() -> String {
    need::repository().join("tests/cases/usdt/sites_probe.c").display().to_string()
}

/// The probe's functions, attached to the program at `binary`, or where `--pid` says.
fn attaches(binary: Option<&Path>) -> Vec<String> {
    let binary = binary.map(|path| format!("{}:", path.display())).unwrap_or_default();
    let attach = |point: &str, function: &str| ["--attach".to_owned(), format!("usdt:{binary}{point}={function}")];
    [
        attach("sites:values", "on_values"),
        attach("text", "on_text"),
        attach("sites:guarded", "on_guarded"),
        attach("sites:text", "on_any"),
        attach("sites:guarded", "on_any"),
    ]
    .concat()
}

fn start(binary: Option<&Path>, pid: Option<u32>) -> Result<Attached> {
    let pid = pid.map(|pid| ["--pid".to_owned(), pid.to_string()]);
    let arguments = [probe(), "--interval".to_owned(), "1h".to_owned()];
    Attached::start(arguments.into_iter().chain(pid.into_iter().flatten()).chain(attaches(binary)))
}

/// The fields of all events of a map.
fn events<'r>(records: &'r Records, map: &'r str) -> Vec<&'r Value> {
    records.of_kind("event").filter(|event| event["map"] == map).map(|event| &event["fields"]).collect()
}

/// The value of the only entry of a map.
fn only(records: &Records, map: &str) -> Result<Value> {
    let entries = records.last_map(map)?;
    assert_eq!(entries.len(), 1, "{entries:?}");
    Ok(entries.first().context("one is there")?["value"].clone())
}

/// What `sites.c` passes at each of its sites.
fn values(site: u64) -> Value {
    json!({
        "site": site, "s1": -3, "u1": 253, "s2": -300, "u2": 65236, "s4": -70000, "u4": 4294897296u64,
        "s8": -5000000000i64, "u8": 5000000000u64, "wide_s1": -3, "wide_u1": 253, "wide_s4": -70000,
        "wide_u4": 4294897296u64, "narrow_u8": 5000000000u64 & 0xffff, "missing": 1,
    })
}

fn check(records: &Records, hits: u64) -> Result<()> {
    assert_eq!(records.lost("events"), 0, "{}", records.text());
    let found = events(records, "values");
    assert_eq!(u64::try_from(found.len())?, 4 * hits, "{}", records.text());
    for (number, found) in (0_u64..).zip(found) {
        assert_eq!(*found, values(number % 4 + 1));
    }
    let texts = events(records, "texts");
    assert_eq!(u64::try_from(texts.len())?, hits);
    for text in texts {
        let first = i64::from(b'S');
        assert_eq!(*text, json!({"text": "SELECT 1", "first": first, "s4": -70000, "u8": 5000000000u64}));
    }
    assert_eq!(only(records, "sums")?, json!(hits * (hits - 1) / 2));
    assert_eq!(only(records, "calls")?, json!(2 * hits));
    let internal = records.all.iter().filter(|record| record.to_string().contains("__bpf_usdt"));
    assert_eq!(internal.count(), 0, "libbpf's own maps are nobody's to see");
    Ok(())
}

#[test]
fn every_hit_of_every_site_has_its_values() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    for (name, flags) in
        [("pie", &["-pie", "-fPIE"][..]), ("fixed", &["-no-pie", "-fno-pie"]), ("static", &["-static"])]
    {
        let path = compile(folder.path(), name, flags)?;
        let mut sites = Sites::start(Command::new(&path))?;
        assert_eq!(sites.come_by(3)?, 0, "nobody listens, and the semaphore is down");
        let dbcc = start(Some(&path), None)?;
        assert_eq!(sites.come_by(50)?, 50, "the semaphore is up");
        check(&dbcc.interrupt()?, 50).with_context(|| name.to_owned())?;
        assert_eq!(sites.come_by(3)?, 0, "the semaphore is down again");
    }
    Ok(())
}

#[test]
fn a_process_is_told_from_others_and_needs_no_binary() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "sites", &[])?;
    let (mut traced, mut other) = (Sites::start(Command::new(&path))?, Sites::start(Command::new(&path))?);
    let dbcc = start(None, Some(traced.pid()))?;
    assert_eq!((traced.come_by(20)?, other.come_by(20)?), (20, 0));
    check(&dbcc.interrupt()?, 20)
}

#[test]
fn a_process_with_another_root_is_found_by_its_id() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    compile(folder.path(), "sites", &["-static"])?;
    let mut command = Command::new("chroot");
    command.arg(folder.path()).arg("/sites");
    let mut sites = Sites::start(command)?;
    let dbcc = start(None, Some(sites.pid()))?;
    assert_eq!(sites.come_by(20)?, 20);
    check(&dbcc.interrupt()?, 20)
}

#[test]
fn the_probes_of_a_library_are_found_in_the_process_that_loaded_it() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let library =
        compile(folder.path(), "libsites.so", &["-shared", "-fPIC", "-Dmain=come", "-Wl,-soname,libsites.so"])?;
    let caller = folder.path().join("caller.c");
    std::fs::write(&caller, "int come(void); int main(void) { return come(); }\n")?;
    let program = folder.path().join("caller");
    let mut gcc = Command::new("gcc");
    gcc.arg("-o").arg(&program).arg(&caller).arg(&library).arg(format!("-Wl,-rpath,{}", folder.path().display()));
    assert_eq!(dbcc_tests::process::run(gcc)?.code(), Some(0));
    let mut sites = Sites::start(Command::new(&program))?;
    let dbcc = start(None, Some(sites.pid()))?;
    assert_eq!(sites.come_by(20)?, 20);
    check(&dbcc.interrupt()?, 20)?;
    // The same for all processes, by the library's path.
    let dbcc = start(Some(&library), None)?;
    assert_eq!(sites.come_by(20)?, 20);
    check(&dbcc.interrupt()?, 20)
}

/// What a run that cannot start says.
fn refused(arguments: &[&str]) -> Result<String> {
    let probe = probe();
    let finished = dbcc::run([probe.as_str()].into_iter().chain(arguments.iter().copied()))?;
    assert_eq!(finished.code(), Some(1), "{}{}", finished.stdout(), finished.stderr());
    Ok(finished.stderr())
}

#[test]
fn a_probe_that_is_not_there_is_told_with_what_is() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "sites", &[])?;
    let sites = Sites::start(Command::new(&path))?;
    let path = path.display();
    let check = |arguments: &[&str], expected: &[&str]| -> Result<()> {
        let said = refused(arguments)?;
        for expected in expected {
            assert!(said.contains(expected), "{expected:?} is not in {said}");
        }
        Ok(())
    };
    check(
        &["--attach", &format!("usdt:{path}:sites:value=on_values")],
        &["has no USDT probe `sites:value`", "its providers are sites (3 probes)", "names like it: sites:values"],
    )?;
    check(&["--attach", &format!("usdt:{path}:site:values=on_values")], &["one of the provider sites"])?;
    check(&["--attach", "usdt:/bin/true:values=on_values"], &["it has no USDT probes"])?;
    check(&["--attach", "usdt:sites:values=on_values"], &["names no binary", "--pid N"])?;
    let pid = sites.pid().to_string();
    check(&["--pid", &pid, "--attach", "usdt:nothing=on_values"], &["its executable and libraries"])?;
    check(
        &["--attach", &format!("usdt:{path}:sites:guarded=on_values")],
        &["`on_values` reads argument 9", "`sites:guarded` of", "has 1"],
    )
}
