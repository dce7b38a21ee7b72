//! `dbcc trace` where more is printed than anybody can read.

#![allow(clippy::indexing_slicing, reason = "a field of JSON that is not there is null, and no panic")]

use std::fs;

use anyhow::{Result, ensure};
use dbcc_tests::bpffs::Bpffs;
use dbcc_tests::process::{Running, Signal, wait_until};
use dbcc_tests::{dbcc, need};
use serde_json::Value;

/// Prints more in a hundred runs than the usual buffer of a CPU (1.4 MB) holds.
const PRINTS: &str = "int flood(void *ctx)\n{\n    for (int i = 0; i < 1000; i++)\n        bpf_printk(\"a flood %d\\n\", i);\n    \
                      return 0;\n}\n";

/// While it is stopped, it reads nothing; and if somebody else reads meanwhile, it is tried again.
#[test]
fn what_the_pipe_lost_is_summed() -> Result<()> {
    need!(need::root());
    let (folder, bpffs) = (tempfile::tempdir()?, Bpffs::mount()?);
    let (file, pin) = (folder.path().join("flood.c"), bpffs.place("flood"));
    fs::write(&file, PRINTS)?;
    let loaded = dbcc::run(["load", &file.display().to_string(), "--type", "raw_tracepoint", "--pin", &pin])?;
    ensure!(loaded.code() == Some(0), "{}", loaded.stderr());

    for form in ["--json", "--raw"] {
        let mut command = dbcc::command()?;
        command.args(["trace", "--text", "a flood", form]);
        let mut trace = Running::start(command)?;
        wait_until("a loss", || {
            trace.signal(Signal::STOP)?;
            let ran = dbcc::run(["run", &pin, "--repeat", "100"])?;
            trace.signal(Signal::CONT)?;
            ensure!(ran.code() == Some(0), "{}", ran.stderr());
            Ok(trace.seen(|line| line.text.contains("lost").then_some(())))
        })?;
        trace.signal(Signal::INT)?;
        let traced = trace.finish()?;
        ensure!(traced.code() == Some(0), "{}", traced.stderr());
        if form == "--json" {
            let records = traced.stdout();
            let records = records.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
            let counts = |total: bool| {
                let lost = records.iter().filter(|record| record["kind"] == "lost" && record["total"] == total);
                lost.filter_map(|record| record["count"].as_u64()).collect::<Vec<u64>>()
            };
            assert_eq!(counts(true).len(), 1);
            assert!(counts(true)[0] >= counts(false).iter().sum() && counts(false)[0] > 0, "{:?}", counts(false));
        } else {
            let said = traced.stderr();
            let last = said.lines().last().unwrap_or_default();
            assert!(last.contains(" lines were lost, those that you ask for among them or not: "), "{said}");
        }
    }
    Ok(())
}
