//! File systems of the kernel that tracing asks for: where they are mounted, and mounting them.

use std::ffi::CStr;
use std::io;

use rustix::mount::{MountFlags, mount};

/// A file system that needs no device, and where it is mounted by custom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mountable {
    /// Its name for mount(8).
    pub name: &'static str,
    /// Its place.
    pub place: &'static str,
    /// Its number (include/uapi/linux/magic.h).
    magic: u64,
}

impl Mountable {
    /// The events of the kernel (Documentation/trace/ftrace.rst).
    pub const TRACEFS: Self = Self { name: "tracefs", place: "/sys/kernel/tracing", magic: 0x7472_6163 };
    /// Pinned objects of BPF (bpf-helpers(7), bpftool-prog(8)).
    pub const BPFFS: Self = Self { name: "bpf", place: "/sys/fs/bpf", magic: 0xcafe_4a11 };

    /// Whether it is mounted at its place.
    pub fn is_mounted(self) -> bool {
        rustix::fs::statfs(self.place).is_ok_and(|found| u64::try_from(found.f_type) == Ok(self.magic))
    }

    /// The command that mounts it.
    pub fn command(self) -> String {
        format!("mount -t {0} {0} {1}", self.name, self.place)
    }

    /// Mounts it at its place.
    ///
    /// # Errors
    /// The kernel's: `EPERM` without CAP_SYS_ADMIN, `ENODEV` where it is not built in, `ENOENT` without the place.
    pub fn mount(self) -> io::Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RELATIME;
        mount(self.name, self.place, self.name, flags, None::<&CStr>).map_err(io::Error::from)
    }
}

/// Where file systems of a kind are mounted, from `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
pub fn places(kind: &str) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let place = |line: &str| {
        let (before, behind) = line.split_once(" - ")?;
        (behind.split(' ').next() == Some(kind)).then(|| before.split(' ').nth(4).map(str::to_owned)).flatten()
    };
    text.lines().filter_map(place).collect()
}
