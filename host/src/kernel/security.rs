//! What the kernel's security modules say of themselves: files of securityfs, whether or not it is mounted.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;

use crate::bpf::sys;

/// Where it is mounted by custom.
const PLACE: &str = "/sys/kernel/security";

/// `SECURITYFS_MAGIC` of include/uapi/linux/magic.h.
const MAGIC: u64 = 0x7363_6673;

/// The most bytes of a file.
const LIMIT: u64 = 4096;

/// How far root is kept from the kernel itself (kernel_lockdown(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lockdown {
    /// Not at all.
    None,
    /// It cannot be changed.
    Integrity,
    /// Nor can its memory be read.
    Confidentiality,
    /// The kernel has no lockdown.
    NotBuilt,
}

/// The lockdown of this kernel.
///
/// # Errors
/// Why it cannot be told: securityfs is not mounted, and this process may not mount it for itself.
pub fn lockdown() -> io::Result<Lockdown> {
    match read("lockdown") {
        Ok(text) => chosen(&text).ok_or_else(|| io::Error::other(format!("it says {:?}", text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lockdown::NotBuilt),
        Err(error) => Err(error),
    }
}

/// The security modules that this kernel asks, in their order, with commas between them.
///
/// # Errors
/// As of [`lockdown`].
pub fn modules() -> io::Result<String> {
    Ok(read("lsm")?.trim().to_owned())
}

/// Why the kernel runs no program at hooks of its security modules, though it lets programs attach: `bpf` is not among them. None
/// where it is, or where that cannot be told.
pub fn asks_no_programs() -> Option<String> {
    let modules = modules().ok()?;
    let is_there = modules.split(',').any(|module| module == "bpf");
    (!is_there).then(|| format!("`bpf` is not among its security modules; boot it with `lsm={modules},bpf`"))
}

/// The level in brackets: `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<Lockdown> {
    let (_, behind) = text.split_once('[')?;
    match behind.split_once(']')?.0 {
        "none" => Some(Lockdown::None),
        "integrity" => Some(Lockdown::Integrity),
        "confidentiality" => Some(Lockdown::Confidentiality),
        _ => None,
    }
}

fn read(name: &str) -> io::Result<String> {
    let mounted = fs::File::open(PLACE).ok();
    let mounted = mounted.filter(|folder| sys::filesystem_magic(folder.as_fd()).is_ok_and(|magic| magic == MAGIC));
    let folder = match mounted {
        Some(folder) => folder.into(),
        None => sys::detached_mount(c"securityfs").map_err(|error| match error.raw_os_error() {
            Some(libc::ENODEV) => io::Error::from(io::ErrorKind::NotFound),
            _ => io::Error::new(
                error.kind(),
                format!(
                    "securityfs is not mounted at {PLACE}, and the kernel refuses a \
                                                       mount of our own: {error}"
                ),
            ),
        })?,
    };
    let mut text = String::new();
    sys::open_at(folder.as_fd(), name, libc::O_RDONLY)?.take(LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_in_brackets_is_the_one() {
        assert_eq!(chosen("[none] integrity confidentiality\n"), Some(Lockdown::None));
        assert_eq!(chosen("none [integrity] confidentiality\n"), Some(Lockdown::Integrity));
        assert_eq!(chosen("none integrity [confidentiality]\n"), Some(Lockdown::Confidentiality));
        assert_eq!(chosen("none integrity confidentiality\n"), None);
    }
}
