//! The kernel's types, from `/sys/kernel/btf/vmlinux`: the slice of them that a probe needs, as C, and answers to
//! questions about functions, fields and raw tracepoints.

mod module;
mod names;
mod query;
mod slice;

pub use module::{Joined, with_modules, with_modules_that};
pub use names::Names;
pub use query::{
    Function, Parameter, enumerators, function, functions, has_raw_tracepoint, members, raw_tracepoint, type_names,
};
pub use slice::{Slice, SliceError, slice};

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::bpf::btf::{Btf, BtfError};

/// Where the running kernel shows its BTF (Documentation/bpf/btf.rst).
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The largest BTF that is read, in bytes. Kernels have 4 to 10 MB.
const MAX_BTF: u64 = 256 << 20;

/// Why the kernel's types are not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file.
    #[error(
        "this kernel has no BTF: {path} does not exist; dbcc takes the kernel's types from there and needs a kernel \
         built with CONFIG_DEBUG_INFO_BTF=y (distributions have it since about Linux 5.10)",
        path = path.display()
    )]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read the kernel's BTF from {path}: {error}", path = path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is larger than anything plausible.
    #[error("the BTF in {path} has more than {MAX_BTF} bytes", path = path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// It is damaged.
    #[error("cannot use the kernel's BTF from {path}: {error}", path = path.display())]
    Btf {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        error: BtfError,
    },
}

/// Reads the BTF of the running kernel.
///
/// # Errors
/// When the kernel has none, or it cannot be read or understood.
pub fn load() -> Result<Btf, LoadError> {
    load_from(Path::new(VMLINUX))
}

/// Reads raw BTF from a file.
///
/// # Errors
/// When the file is not there, or it cannot be read or understood.
pub fn load_from(path: &Path) -> Result<Btf, LoadError> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing { path: path.into() },
        _ => LoadError::Io { path: path.into(), error },
    };
    let file = std::fs::File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(MAX_BTF)).unwrap_or_default() + 1);
    file.take(MAX_BTF + 1).read_to_end(&mut bytes).map_err(io)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BTF) {
        return Err(LoadError::TooLarge { path: path.into() });
    }
    Btf::parse(bytes).map_err(|error| LoadError::Btf { path: path.into(), error })
}

#[cfg(test)]
mod tests;
