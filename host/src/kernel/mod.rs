//! What this kernel is and offers, asked of the kernel itself.

pub mod btf;
pub mod capability;
pub mod features;
pub mod functions;
pub mod tracefs;
pub mod tracepoint;

use std::cell::OnceCell;
use std::io;

use crate::bpf::btf::Btf;
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

    /// What it offers to attach to.
    pub fn features(&self) -> Features {
        *self.features.get_or_init(|| features::detect(self))
    }
}
