//! The kernel's counts of how often programs run and how long that takes.

use std::ffi::c_long;
use std::os::fd::OwnedFd;

use libbpf_sys as sys;

use super::errno::{Error, check};
use super::sys::new_fd;

/// While one of these is there, the kernel counts the runs of all programs and their time (`BPF_ENABLE_STATS`, Linux 5.8).
#[derive(Debug)]
#[must_use = "dropping it ends the counting"]
pub struct Statistics(#[expect(dead_code, reason = "it is held to be closed")] OwnedFd);

impl Statistics {
    /// Begins to count.
    ///
    /// # Errors
    /// The kernel's: `EPERM` without CAP_SYS_ADMIN.
    pub fn enable() -> Result<Self, Error> {
        let what = "count the runs of programs";
        // SAFETY: the call takes a number alone.
        let returned = check(|| what.to_owned(), || unsafe { sys::bpf_enable_stats(sys::BPF_STATS_RUN_TIME) })?;
        // SAFETY: the descriptor is new and nobody else's.
        unsafe { new_fd(c_long::from(returned)) }.map(Self).map_err(|error| Error::from_io(what, &error))
    }
}
