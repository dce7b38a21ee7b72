//! The tests that need kprobes or fentry: run as root inside a guest of `ci/vm/run`, all in one boot, by the test `vm`.
//!
//! guest [PART-OF-A-NAME…]: runs those whose names contain one of the parts, by default all, one after the other.
//! One line each, `ok NAME` or `FAILED NAME: why`; the exit code is 1 where one failed.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use dbcc_tests::guest::{CHOICE, TESTS, WITHOUT_HOOKS};

fn main() -> Result<ExitCode> {
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
    let tests = if std::env::var_os(CHOICE).is_some() { WITHOUT_HOOKS } else { TESTS };
    let (mut run, mut failed) = (0, 0);
    for (name, test) in tests.iter().filter(|(name, _)| wanted(name)) {
        let start = Instant::now();
        run += 1;
        // A thread with the test's name, as under Rust's own harness: skips are reported by it.
        let outcome = thread::Builder::new().name((*name).to_owned()).spawn(test)?.join();
        let seconds = start.elapsed().as_secs_f32();
        match outcome.unwrap_or_else(|_| Err(anyhow!("it panicked (see above)"))) {
            Ok(()) => println!("ok {name} ({seconds:.1} s)"),
            Err(why) => {
                failed += 1;
                println!("FAILED {name}: {why:?}");
            }
        }
    }
    println!("{run} tests in the guest, {failed} failed");
    Ok(if failed == 0 && run > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
