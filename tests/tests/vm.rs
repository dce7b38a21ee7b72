//! Boots a guest with a real kernel and runs all of `dbcc_tests::guest` in it, but for what needs other arguments of the kernel:
//! that gets a boot of its own.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use dbcc_tests::guest::CHOICE;
use dbcc_tests::{dbcc, need, objects};

/// The unit tests of the package `dbcc`: those of kprobes and fentry run in the guest too.
fn unit_tests() -> Result<String> {
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["test", "--package", "dbcc", "--lib", "--no-run", "--message-format", "json"]);
    let output = build.current_dir(need::repository()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter_map(|message| Some(message.get("executable")?.as_str()?.to_owned()));
    programs.next().context("cargo names no program of unit tests")
}

/// What runs in the guest, which sees the host's files under the same paths.
///
/// The guest's processor is emulated, and a build without optimisation takes minutes there for what takes seconds:
/// `DBCC_GUEST_BIN` names a better one, and `ci/test` builds it.
fn job(settings: &[(&'static str, String)]) -> Result<String> {
    let binary = env::var_os("DBCC_GUEST_BIN").map_or_else(dbcc::binary, |path| Ok(PathBuf::from(path)))?;
    let mut told = BTreeMap::from([
        ("DBCC_IN_GUEST", "1".to_owned()),
        ("DBCC_BIN", binary.display().to_string()),
        ("DBCC_SKIP_LOG", "/share/skipped".to_owned()),
        ("RUST_BACKTRACE", "1".to_owned()),
    ]);
    told.extend(settings.iter().cloned());
    for name in ["CI", "DBCC_WORK", "DBCC_MYSQL56", "DBCC_MARIADB_DATA", "DBCC_VM_GUEST", "DBCC_ACCEPTANCE"] {
        if let Ok(value) = env::var(name) {
            told.insert(name, value);
        }
    }
    let settings = told.iter().map(|(name, value)| format!("{name}={value}"));
    let program = env!("CARGO_BIN_EXE_guest").to_owned();
    let parts = env::var("DBCC_GUEST_TESTS").unwrap_or_default();
    let parts = parts.split_whitespace().map(str::to_owned);
    let words = settings.chain([program]).chain(parts).map(|word| format!(" '{}'", word.replace('\'', r"'\''")));
    Ok(format!("exec env{}\n", words.collect::<String>()))
}

/// Boots the guest with more arguments of its kernel, and runs what the settings say in it. The folder is the guest's `/share`.
fn boot(share: &Path, arguments: &str, settings: &[(&'static str, String)]) -> Result<()> {
    /// Ends a guest that hangs; an ordinary run takes a minute or two.
    const LIMIT_SECONDS: &str = "900";
    let Ok(guest) = need::vm_guest() else { bail!("the guest is gone") };
    fs::write(share.join("job.sh"), job(settings)?)?;
    let mut boot = Command::new(need::repository().join("ci/vm/run"));
    boot.arg(guest).arg(LIMIT_SECONDS).arg(share).env("APPEND", arguments);
    let output = boot.output().context("cannot run ci/vm/run")?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));

    if let (Ok(skipped), Some(log)) = (fs::read_to_string(share.join("skipped")), env::var_os("DBCC_SKIP_LOG")) {
        let lines = skipped.lines().map(|line| format!("guest: {line}\n"));
        let mut log = OpenOptions::new().append(true).create(true).open(log)?;
        log.write_all(lines.collect::<String>().as_bytes())?;
    }
    ensure!(output.status.success(), "ci/vm/run ended with {}; see the lines that begin with FAILED", output.status);
    Ok(())
}

/// `DBCC_GUEST_TESTS` chooses some of the tests by parts of their names.
#[test]
fn tests_in_a_guest() -> Result<()> {
    need!(need::vm_guest());
    let share = tempfile::tempdir()?;
    let folder = share.path().join("objects");
    objects::build(&folder.join("host"))?;
    let settings = [("DBCC_UNIT_TESTS", unit_tests()?), (objects::FOLDER, "/share/objects".to_owned())];
    boot(share.path(), "", &settings)?;
    let from_guest = folder.join("guest");
    if from_guest.is_dir() {
        objects::runs(&from_guest).context("an object that the guest built, on this kernel")?;
    }
    Ok(())
}

/// A kernel whose security modules are two, so that no program is asked.
#[test]
fn tests_in_a_guest_that_asks_no_programs() -> Result<()> {
    need!(need::vm_guest());
    let share = tempfile::tempdir()?;
    boot(share.path(), "lsm=lockdown,yama", &[(CHOICE, "without-hooks".to_owned())])
}
