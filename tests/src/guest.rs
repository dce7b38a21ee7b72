//! Tests for a kernel with kprobes and fentry, which many development machines do not offer: run in a guest.

use std::fs;

use anyhow::{Result, ensure};

use crate::server::Flavor;

/// A test in the form that Rust's own harness has too.
pub type Test = fn() -> Result<()>;

/// All, by name. The test `vm` runs them; see `src/bin/guest.rs`.
pub const TESTS: &[(&str, Test)] = &[
    ("the_guest_is_the_kernel_that_was_asked_for", the_guest_is_the_kernel_that_was_asked_for),
    ("a_server_answers_in_the_guest", a_server_answers_in_the_guest),
];

fn the_guest_is_the_kernel_that_was_asked_for() -> Result<()> {
    let wanted = fs::read_to_string(crate::need!(crate::need::vm_guest()).join("kver"))?;
    let running = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    ensure!(running == wanted, "{running:?} runs, {wanted:?} was asked for");
    Ok(())
}

fn a_server_answers_in_the_guest() -> Result<()> {
    let server = crate::need!(Flavor::Mysql56.installed()).start()?;
    ensure!(server.status("Threads_connected")? == 1, "somebody else is connected");
    Ok(())
}
