//! Maps that are pinned in the file system of BPF, where they outlive the process that made them.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use libbpf_sys as sys;

use super::errno::{Error, check};
use super::map::Map;
use super::program::{c_string, text};

/// Magic number of the file system of BPF: `BPF_FS_MAGIC` of include/uapi/linux/magic.h.
const BPF_FS_MAGIC: i128 = 0xcafe_4a11;

/// What kind of map one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its number in `enum bpf_map_type`.
    pub map_type: u32,
    /// Size of a key in bytes.
    pub key_size: u32,
    /// Size of a value in bytes.
    pub value_size: u32,
}

/// A pinned map.
#[derive(Debug)]
pub struct Pinned {
    fd: OwnedFd,
    shape: Shape,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: the function takes any number; what it returns is null or a constant string.
        let name = unsafe { sys::libbpf_bpf_map_type_str(self.map_type) };
        // SAFETY: as above.
        let name = if name.is_null() { format!("type {}", self.map_type) } else { unsafe { text(name) } };
        write!(to, "{name} with keys of {} and values of {} bytes", self.key_size, self.value_size)
    }
}

impl Pinned {
    /// The map that is pinned at a path; none where there is nothing.
    ///
    /// # Errors
    /// The kernel's: `EACCES` or `EPERM` without permission, `EINVAL` where the path is no map.
    pub fn open(path: &str) -> Result<Option<Self>, Error> {
        let what = || format!("open the pinned map `{path}`");
        let name = c_string(path).map_err(|error| Error::from_io(what(), &error))?;
        // SAFETY: the path outlives the call.
        let fd = match check(what, || unsafe { sys::bpf_obj_get(name.as_ptr()) }) {
            Err(error) if error.errno == libc::ENOENT => return Ok(None),
            other => other?,
        };
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut info = sys::bpf_map_info::default();
        let mut length = u32::try_from(size_of::<sys::bpf_map_info>()).unwrap_or(0);
        check(
            what,
            // SAFETY: the information is as long as said, and all zero is a value of it; both outlive the call.
            || unsafe { sys::bpf_map_get_info_by_fd(fd.as_raw_fd(), &raw mut info, &raw mut length) },
        )?;
        let shape = Shape { map_type: info.type_, key_size: info.key_size, value_size: info.value_size };
        Ok(Some(Self { fd, shape }))
    }

    /// What kind of map it is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.fd)
    }
}

impl Map {
    /// Pins it at a path, so that it outlives this process.
    ///
    /// # Errors
    /// The kernel's: `EEXIST` where something is there, `EPERM` outside of the file system of BPF.
    pub fn pin(&self, path: &str) -> Result<(), Error> {
        let what = || format!("pin map `{}` at `{path}`", self.name());
        let name = c_string(path).map_err(|error| Error::from_io(what(), &error))?;
        // SAFETY: the path outlives the call.
        check(what, || unsafe { sys::bpf_obj_pin(self.raw_fd(), name.as_ptr()) }).map(drop)
    }
}

/// Pins a program, a map or a link at a path, so that it outlives this process.
///
/// # Errors
/// The kernel's: `EEXIST` where something is there, `EPERM` outside of the file system of BPF or for a name with a dot in it,
/// `EINVAL` for what cannot be pinned.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
    let what = || format!("pin at `{}`", path.display());
    let shown = path.to_str().ok_or_else(|| Error::new(what(), libc::EINVAL))?;
    let name = c_string(shown).map_err(|error| Error::from_io(what(), &error))?;
    // SAFETY: the object is open and the path outlives the call.
    check(what, || unsafe { sys::bpf_obj_pin(object.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// Whether a path is in the file system of BPF, as far as its folders are there.
///
/// # Errors
/// The system's.
pub fn is_in_bpffs(path: &Path) -> io::Result<bool> {
    for folder in path.ancestors().skip(1) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match rustix::fs::statfs(folder) {
            Ok(found) => return Ok(i128::from(found.f_type) == BPF_FS_MAGIC),
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// Makes the folders that a path in the file system of BPF is in.
///
/// # Errors
/// The system's.
pub fn make_folders(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
