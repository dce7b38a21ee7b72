//! Which of two versions of a probe runs: one number in a map, and the arrays of programs that it is an index into.

use std::ffi::{CStr, c_long};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libbpf_sys as sys;

use super::errno::{Error, check};
use super::log;
use super::sys::new_fd;

/// One of the two places that each array has for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// The slot that a new switch points to.
    pub const FIRST: Self = Self(0);

    /// The other one.
    pub fn other(self) -> Self {
        Self(1 - self.0.min(1))
    }
}

/// The slot that all dispatchers run.
#[derive(Debug)]
pub struct Switch {
    value: OwnedFd,
    /// A map whose change waits for running programs.
    waits: OwnedFd,
}

impl Switch {
    /// A switch that points to the first slot.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Self, Error> {
        let what = |error| Error::from_io("make the switch between versions", &error);
        let value = make_map(sys::BPF_MAP_TYPE_ARRAY, c"dbcc_switch", 4, 1, None).map_err(what)?;
        let waits =
            make_map(sys::BPF_MAP_TYPE_ARRAY_OF_MAPS, c"dbcc_waits", 4, 1, Some(value.as_fd())).map_err(what)?;
        Ok(Self { value, waits })
    }

    /// Points it to a slot. A program that begins later runs that slot. The two slots differ in one byte, so that no
    /// program sees half of the change, however the kernel copies the number.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set(&self, slot: Slot) -> Result<(), Error> {
        update(&self.value, 0, &slot.0.to_ne_bytes(), || "move the switch between versions".to_owned())
    }

    /// Waits until no program runs any more that began before. Changing a map of maps does that (kernel/bpf/syscall.c:
    /// `maybe_wait_bpf_programs`), for all programs that may not sleep.
    ///
    /// # Errors
    /// The kernel's.
    pub fn settle(&self) -> Result<(), Error> {
        let inner = self.value.as_raw_fd().to_ne_bytes();
        update(&self.waits, 0, &inner, || "wait for the end of running programs".to_owned())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.value.as_fd()
    }
}

/// The programs of one place, by slot.
#[derive(Debug)]
pub struct ProgramArray {
    fd: OwnedFd,
}

impl ProgramArray {
    /// An empty array.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Self, Error> {
        let fd = make_map(sys::BPF_MAP_TYPE_PROG_ARRAY, c"dbcc_versions", 4, 2, None);
        Ok(Self { fd: fd.map_err(|error| Error::from_io("make an array of programs", &error))? })
    }

    /// Puts a program into a slot.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` for a program that cannot be run in place of those that the array was made for, or that
    /// overrides return values (kernel/bpf/core.c: `bpf_prog_map_compatible`).
    pub fn put(&self, slot: Slot, program: BorrowedFd<'_>) -> Result<(), Error> {
        let program = program.as_raw_fd().to_ne_bytes();
        update(&self.fd, slot.0, &program, || "put a program behind the switch between versions".to_owned())
    }

    /// Empties a slot; it may be empty already.
    pub fn take(&self, slot: Slot) {
        let key = slot.0.to_ne_bytes();
        // SAFETY: the map is open, and the key is as long as its keys.
        log::capture(|| unsafe { sys::bpf_map_delete_elem(self.fd.as_raw_fd(), key.as_ptr().cast()) });
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes a map with numbers of four bytes as keys, and values of `value_size` bytes.
pub(super) fn make_map(
    map_type: sys::bpf_map_type,
    name: &CStr,
    value_size: u32,
    entries: u32,
    inner: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let inner_map_fd = inner.map_or(Ok(0), |inner| u32::try_from(inner.as_raw_fd())).map_err(io::Error::other)?;
    let options = sys::bpf_map_create_opts {
        sz: size_of::<sys::bpf_map_create_opts>().try_into().unwrap_or(0),
        inner_map_fd,
        ..Default::default()
    };
    // SAFETY: name and options outlive the call.
    let (made, _) = log::capture(|| unsafe {
        sys::bpf_map_create(map_type, name.as_ptr(), 4, value_size, entries, &raw const options)
    });
    if made < 0 {
        return Err(io::Error::from_raw_os_error(made.saturating_neg()));
    }
    // SAFETY: the call has just made the descriptor.
    unsafe { new_fd(c_long::from(made)) }
}

fn update(map: &OwnedFd, key: u32, value: &[u8; 4], what: impl FnOnce() -> String) -> Result<(), Error> {
    let key = key.to_ne_bytes();
    check(
        what,
        // SAFETY: the map is open; key and value are as long as its keys and values.
        || unsafe { sys::bpf_map_update_elem(map.as_raw_fd(), key.as_ptr().cast(), value.as_ptr().cast(), 0) },
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_take_turns() {
        assert_eq!(Slot::FIRST.other().other(), Slot::FIRST);
        assert_ne!(Slot::FIRST.other(), Slot::FIRST);
    }
}
