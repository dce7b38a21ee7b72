//! What programs missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bpf;
use crate::bpf::program::Misses;
use crate::kind::Missed;

/// Counts what one program missed, from any thread.
#[derive(Debug)]
pub struct Counter {
    pub(super) what: &'static str,
    pub(super) from: Arc<str>,
    pub(super) help: &'static str,
    pub(super) source: Source,
    /// What was reported already; shared by the versions of a program that have one attachment.
    pub(super) reported: Arc<AtomicU64>,
}

#[derive(Debug)]
pub(super) enum Source {
    /// Hits or returns that the kernel could not handle.
    Attachment(Missed),
    /// Runs of the program that the kernel left out.
    Program(Misses),
}

impl Counter {
    /// What is missed: `runs` of a program, `returns` of a function, `hits` of a kprobe.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The C function of the program that missed it.
    pub fn from(&self) -> &Arc<str> {
        &self.from
    }

    /// Why that happens.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// How many were missed since this was asked before, or since the program was attached.
    ///
    /// # Errors
    /// When the kernel's count cannot be read.
    pub fn more(&mut self) -> Result<u64, bpf::Error> {
        let now = match &self.source {
            Source::Attachment(missed) => missed.count()?,
            Source::Program(misses) => misses.count()?,
        };
        Ok(now.saturating_sub(self.reported.fetch_max(now, Ordering::Relaxed)))
    }
}
