//! Processes that start and end in a burst, by tracepoints.

use anyhow::Result;
use dbcc_tests::{burst, need};

#[test]
fn ten_thousand_processes_have_ten_thousand_ends() -> Result<()> {
    need!(need::root());
    burst::ends_are_exact(10_000)
}

/// A quarter of the processes are only forked.
#[test]
fn ten_thousand_programs_have_ten_thousand_starts() -> Result<()> {
    need!(need::root());
    burst::starts_are_exact(13_336)
}
