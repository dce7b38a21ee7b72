//! What this kernel is and offers, asked of the kernel itself.

pub mod btf;
pub mod capability;
pub mod features;
pub mod functions;
pub mod mounts;
pub mod names;
pub mod namespaces;
pub mod security;
pub mod tracefs;
pub mod tracepoint;

use std::cell::OnceCell;
use std::io;

use crate::bpf::btf::Btf;
use crate::bpf::multi;
use crate::facts::Features;
use btf::LoadError;
use tracefs::Tracefs;

/// The running kernel, for one run of the pipeline: each fact is asked for when it is first needed, once.
///
/// It holds the kernel's types (some megabytes), so it is to be dropped when everything is attached.
#[derive(Debug, Default)]
pub struct Kernel {
    btf: OnceCell<Result<Btf, LoadError>>,
    tracefs: OnceCell<Result<Tracefs, io::Error>>,
    features: OnceCell<Features>,
    many_functions: OnceCell<bool>,
    many_user_functions: OnceCell<bool>,
}

impl Kernel {
    /// A kernel that nothing was asked of yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its types.
    ///
    /// # Errors
    /// Why they cannot be had, the same at each call.
    pub fn btf(&self) -> Result<&Btf, &LoadError> {
        self.btf.get_or_init(btf::load).as_ref()
    }

    /// Its trace file system.
    ///
    /// # Errors
    /// Why it cannot be had, the same at each call.
    pub fn tracefs(&self) -> Result<&Tracefs, &io::Error> {
        self.tracefs.get_or_init(Tracefs::open).as_ref()
    }

    /// Whether it attaches one program to many of its functions by one link.
    pub fn attaches_many(&self) -> bool {
        *self.many_functions.get_or_init(multi::has_kernel_functions)
    }

    /// Whether it attaches one program to many functions of a file by one link, and of one process alone where that is
    /// asked for: the first kernels that have such links (Linux 6.6) compare the thread and not the process (fixed by
    /// "bpf: Fix multi-uprobe PID filtering logic", Linux 6.10).
    pub fn attaches_many_of_a_file(&self, of_process: bool) -> bool {
        let has = *self.many_user_functions.get_or_init(multi::has_user_functions);
        has && (!of_process || is_at_least(6, 10))
    }

    /// What it offers to attach to.
    pub fn features(&self) -> Features {
        *self.features.get_or_init(|| features::detect(self))
    }
}

/// Its release, as `uname -r` shows it; empty where it does not say.
pub fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()
}

/// Whether this is that version of Linux or a later one; false where that cannot be told.
pub fn is_at_least(major: u32, minor: u32) -> bool {
    let release = release();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(found)), Some(Ok(more))) if (found, more) >= (major, minor))
}
