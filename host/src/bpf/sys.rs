//! System calls that neither the standard library nor libbpf offers.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libbpf_sys::{PERF_FLAG_FD_CLOEXEC, perf_event_attr};

unsafe extern "C" {
    /// C99 `vsnprintf`; `arguments` is a `va_list` as libbpf hands it over, which on every architecture that Linux
    /// runs BPF on is passed as a pointer.
    pub(super) fn vsnprintf(buffer: *mut c_char, size: usize, format: *const c_char, arguments: *mut c_void) -> c_int;
}

/// Makes an instance of a file system that needs no device, attached to no mount namespace: it is seen through the
/// returned directory alone and is gone when that is closed (`fsopen`, `fsconfig`, `fsmount`: Linux 5.2).
///
/// # Errors
/// The kernel's: `EPERM` without CAP_SYS_ADMIN, `ENODEV` where the file system is not built in.
pub fn detached_mount(filesystem: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a NUL-terminated string that outlives the call; the call makes a new descriptor.
    let context = unsafe { new_fd(libc::syscall(libc::SYS_fsopen, filesystem.as_ptr(), libc::FSOPEN_CLOEXEC))? };
    // SAFETY: this command takes neither key nor value nor number.
    let created = unsafe {
        let none = ptr::null::<libc::c_void>();
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), libc::FSCONFIG_CMD_CREATE, none, none, 0)
    };
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    // SAFETY: the context is open; the call makes a new descriptor.
    unsafe { new_fd(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), libc::FSMOUNT_CLOEXEC, attributes)) }
}

/// Does something on a thread that has a network namespace of its own: its one interface, `lo`, is down, and nobody sees what is
/// attached there. Both are gone at its end.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_SYS_ADMIN, `EINVAL` where it has no such namespaces.
pub fn in_network_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let inside = || {
        // SAFETY: it takes a number; of this thread nothing but the network changes, and no other thread is meant.
        match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
            0 => Ok(work()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("dbcc-network".to_owned()).spawn_scoped(scope, inside)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended before its work")))
    })
}

/// Opens a file below a directory.
///
/// # Errors
/// The kernel's, and `EINVAL` for a path with a NUL in it.
pub fn open_at(directory: BorrowedFd<'_>, path: &str, flags: c_int) -> io::Result<File> {
    let path = CString::new(path)?;
    // SAFETY: the directory is open and the path is a NUL-terminated string that outlives the call; no flag of this
    // crate asks for a mode (O_CREAT), and the call makes a new descriptor.
    unsafe {
        let fd = libc::openat(directory.as_raw_fd(), path.as_ptr(), flags | libc::O_CLOEXEC);
        Ok(File::from(new_fd(c_long::from(fd))?))
    }
}

/// The number that says which file system a directory belongs to, such as `TRACEFS_MAGIC` (linux/magic.h).
///
/// # Errors
/// The kernel's.
pub fn filesystem_magic(directory: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: all-zero bytes are a valid `statfs`, which has integers alone.
    let mut answer: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the directory is open and the answer is a valid place to write to.
    if unsafe { libc::fstatfs(directory.as_raw_fd(), &raw mut answer) } < 0 {
        return Err(io::Error::last_os_error());
    }
    u64::try_from(answer.f_type).map_err(io::Error::other)
}

/// Opens a perf event that programs can be attached to: in one process, or without `pid` in all of them. (An event in
/// all processes belongs to one CPU; the programs attached to a tracepoint or probe run on every CPU all the same.)
///
/// # Errors
/// The kernel's.
pub(super) fn perf_event_open(attributes: &mut perf_event_attr, pid: Option<u32>) -> io::Result<OwnedFd> {
    match pid {
        Some(pid) => perf_event_open_on(attributes, i32::try_from(pid).map_err(io::Error::other)?, -1),
        None => perf_event_open_on(attributes, -1, 0),
    }
}

/// Opens a perf event in one thread or, with -1, in all, on one CPU or, with -1, on all.
///
/// # Errors
/// The kernel's.
pub(super) fn perf_event_open_on(attributes: &mut perf_event_attr, thread: i32, cpu: i32) -> io::Result<OwnedFd> {
    // SAFETY: the attributes say their size and live through the call; strings that they point to belong to callers,
    // who keep them; the call makes a new descriptor.
    unsafe {
        new_fd(libc::syscall(libc::SYS_perf_event_open, &raw mut *attributes, thread, cpu, -1, PERF_FLAG_FD_CLOEXEC))
    }
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns` and of the events in perf buffers.
pub fn monotonic() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the answer is a valid place to write to, and every Linux has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Takes ownership of a descriptor that a system call has just made.
///
/// # Safety
/// `returned` is what a system call returned that makes a descriptor which nobody else owns, and `errno` is still that
/// call's.
pub(super) unsafe fn new_fd(returned: c_long) -> io::Result<OwnedFd> {
    match c_int::try_from(returned) {
        // SAFETY: by the caller's promise the descriptor is new and has no other owner.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Ok(_) => Err(io::Error::last_os_error()),
        Err(error) => Err(io::Error::other(error)),
    }
}
