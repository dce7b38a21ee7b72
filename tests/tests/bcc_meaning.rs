//! BCC's own tools, run by BCC and by dbcc at the same time on the same work: they must record the same.
//!
//! `DBCC_MEANING` chooses some of them by a part of their command lines; with `DBCC_MEANING_WRONG`, dbcc gets texts that
//! count something else, and every comparison must notice. Figures are in `docs/bcc-meaning.md`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::meaning::{kprobes, native, run};
use dbcc_tests::{dbcc, need};

#[test]
fn tools_without_kprobes_record_the_same() -> Result<()> {
    let cases = run::chosen(native::CASES);
    need!(run::available(&cases));
    let folder = tempfile::tempdir()?;
    let kernel = folder.path().join("kernel.json");
    run::kernel_facts(Path::new("/sys/kernel/btf/vmlinux"), &kernel)?;
    run::run(&cases, &kernel)
}

/// In a guest with the kernel whose headers BCC has.
#[test]
fn tools_with_kprobes_record_the_same() -> Result<()> {
    /// Ends a guest that hangs; BCC takes half a minute there to compile a text, and several on a busy machine.
    const LIMIT_SECONDS: &str = "2000";
    let guest = need!(need::vm_guest());
    need!(run::available(kprobes::CASES));
    let release = fs::read_to_string(guest.join("kver"))?;
    let headers = PathBuf::from("/lib/modules").join(release.trim()).join("build");
    need!(headers.exists().then_some(()).ok_or_else(|| {
        need::Skip::required(format!("the guest's kernel headers are not at {} (run ci/setup)", headers.display()))
    }));
    let share = tempfile::tempdir()?;
    run::kernel_facts(&guest.join("vmlinux"), &share.path().join("kernel.json"))?;
    fs::write(share.path().join("job.sh"), job()?)?;
    let mut boot = Command::new(need::repository().join("ci/vm/run"));
    // Several compilers at the same time need more memory than other tests do.
    let output = boot.arg(guest).arg(LIMIT_SECONDS).arg(share.path()).env("MEM", "4G").output();
    let output = output.context("cannot run ci/vm/run")?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "ci/vm/run ended with {}", output.status);
    Ok(())
}

/// What runs in the guest, which sees the host's files under the same paths.
fn job() -> Result<String> {
    let binary = env::var_os("DBCC_GUEST_BIN").map_or_else(dbcc::binary, |path| Ok(PathBuf::from(path)))?;
    let mut words =
        vec!["DBCC_IN_GUEST=1".to_owned(), "DBCC_PATIENCE=900".to_owned(), format!("DBCC_BIN={}", binary.display())];
    for name in ["CI", "DBCC_MEANING", "DBCC_MEANING_WRONG"] {
        words.extend(env::var(name).ok().map(|value| format!("{name}={value}")));
    }
    words.push(env!("CARGO_BIN_EXE_meaning").to_owned());
    words.push("/share/kernel.json".to_owned());
    let words = words.iter().map(|word| format!(" '{}'", word.replace('\'', r"'\''")));
    Ok(format!("exec env{} 2>&1\n", words.collect::<String>()))
}
