//! What several checks ask of the machine, each asked once.

use std::cell::OnceCell;
use std::io;

use crate::bpf::Error;
use crate::bpf::trial::{self, Taken};
use crate::facts::Toolchain;
use crate::kernel::mounts::Mountable;
use crate::kernel::{Kernel, capability};
use crate::toolchain::{self, ToolchainError};

use super::Finding;
use super::placed::{self, Network};

/// What to do about rights that are missing.
pub(super) const SEE_RIGHTS: &str = "see capabilities";

/// How to get the rights that loading and attaching ask for.
pub(super) const RIGHTS: &str = "run it as root, or give it the rights: \
                                 `setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_dac_read_search,cap_sys_ptrace,cap_net_admin,cap_syslog=ep $(command -v dbcc)`";

/// The machine, as far as it was asked.
pub(super) struct Host {
    pub(super) kernel: Kernel,
    /// The effective capabilities of this process, where they are known.
    pub(super) rights: Option<capability::Set>,
    /// What became of mounting, where that was asked for.
    mounted: Vec<(Mountable, io::Result<()>)>,
    program: OnceCell<Result<Taken, Error>>,
    toolchain: OnceCell<Result<Toolchain, ToolchainError>>,
    network: OnceCell<io::Result<Network>>,
}

/// Mounts what is not mounted.
pub(super) fn mount(what: Mountable) -> (Mountable, io::Result<()>) {
    (what, if what.is_mounted() { Ok(()) } else { what.mount() })
}

impl Host {
    pub(super) fn new(mounted: Vec<(Mountable, io::Result<()>)>) -> Self {
        let rights = capability::Set::of_this_process();
        Self {
            kernel: Kernel::new(),
            rights,
            mounted,
            program: OnceCell::new(),
            toolchain: OnceCell::new(),
            network: OnceCell::new(),
        }
    }

    /// Whether the kernel takes a program that does nothing.
    pub(super) fn program(&self) -> Result<Taken, &Error> {
        self.program.get_or_init(trial::program).as_ref().copied()
    }

    /// The compiler.
    pub(super) fn toolchain(&self) -> Result<&Toolchain, &ToolchainError> {
        self.toolchain.get_or_init(toolchain::find).as_ref()
    }

    /// What the kernel takes in a network namespace.
    pub(super) fn network(&self) -> Result<&Network, &io::Error> {
        self.network.get_or_init(placed::network).as_ref()
    }

    /// Why mounting something failed that was asked for.
    pub(super) fn mount_error(&self, what: Mountable) -> Option<&io::Error> {
        self.mounted.iter().find(|(mounted, _)| *mounted == what).and_then(|(_, done)| done.as_ref().err())
    }

    /// A finding of something that was tried and refused. Who may not load programs learns nothing by trying.
    pub(super) fn refused(&self, why: impl std::fmt::Display, costs: &str, mend: &str) -> Finding {
        match self.program() {
            Ok(_) => Finding::missing(why.to_string(), costs, mend),
            Err(_) => Finding::unknown("this process may not load programs, and so cannot try", SEE_RIGHTS),
        }
    }
}

/// An error of the system without its number.
pub(super) fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => crate::bpf::errno::describe(number),
        None => error.to_string(),
    }
}
