//! meaning KERNEL.json: compares BCC and dbcc on BCC's tools that need kprobes, inside a guest of `ci/vm/run`. KERNEL.json
//! holds what tools ask about the guest's kernel; see `dbcc_tests::meaning`. The exit code is 1 where a tool differs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use dbcc_tests::meaning::{kprobes, run};

fn main() -> Result<ExitCode> {
    let kernel = PathBuf::from(std::env::args().nth(1).context("usage: meaning KERNEL.json")?);
    run::run(&run::chosen(kprobes::CASES), &kernel)?;
    Ok(ExitCode::SUCCESS)
}
