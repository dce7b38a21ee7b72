//! One link for many functions: kprobe.multi (Linux 5.18, where the kernel has fprobe) and uprobe.multi (Linux 6.6).

use std::ffi::{CString, c_char, c_ulong};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use libbpf_sys as sys;

use super::link::create_with;
use super::program::{AttachType, c_string};
use super::trial;

/// A function that does nothing, which the kernel has for its tests of fentry (net/bpf/test_run.c).
const HARMLESS: &str = "bpf_fentry_test1";

/// Attaches a program to the entries or returns of functions of the kernel.
///
/// # Errors
/// The kernel's: `EOPNOTSUPP` where it has no such links, `ESRCH` or `EINVAL` if one of the functions cannot be traced.
pub fn kernel_functions(program: BorrowedFd<'_>, names: &[String], returns: bool) -> io::Result<OwnedFd> {
    let names: Vec<CString> = names.iter().map(|name| c_string(name)).collect::<io::Result<_>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let mut options = options();
    options.__bindgen_anon_1.kprobe_multi = sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_2 {
        flags: if returns { sys::BPF_F_KPROBE_MULTI_RETURN } else { 0 },
        cnt: u32::try_from(pointers.len()).map_err(io::Error::other)?,
        syms: pointers.as_mut_ptr(),
        ..Default::default()
    };
    create_with(program, 0, AttachType::TRACE_KPROBE_MULTI, &options)
}

/// Attaches a program to places of a file, or to the returns of the functions that start there, in one process or in all.
///
/// # Errors
/// The kernel's: `EINVAL` where it has no such links, or for a place that cannot be probed.
pub fn user_functions(
    program: BorrowedFd<'_>,
    file: &Path,
    offsets: &[u64],
    pid: Option<u32>,
    returns: bool,
) -> io::Result<OwnedFd> {
    user_places(program, file, offsets, None, pid, returns)
}

/// A place of a file with a cookie.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// Its offset in the file, in bytes.
    pub offset: u64,
    /// The offset of a counter that the kernel counts up while the place is probed (a semaphore of a USDT probe).
    pub counter: Option<u64>,
    /// What programs are handed by `bpf_get_attach_cookie`.
    pub cookie: u64,
}

/// Attaches a program to places of a file that have cookies, in one process or in all.
///
/// # Errors
/// As for [`user_functions`].
pub fn sites(program: BorrowedFd<'_>, file: &Path, sites: &[Site], pid: Option<u32>) -> io::Result<OwnedFd> {
    let offsets: Vec<u64> = sites.iter().map(|site| site.offset).collect();
    user_places(program, file, &offsets, Some(sites), pid, false)
}

fn user_places(
    program: BorrowedFd<'_>,
    file: &Path,
    offsets: &[u64],
    sites: Option<&[Site]>,
    pid: Option<u32>,
    returns: bool,
) -> io::Result<OwnedFd> {
    let path = CString::new(file.as_os_str().as_bytes())?;
    let offsets: Vec<c_ulong> = offsets.iter().map(|offset| c_ulong::from(*offset)).collect();
    let counters: Vec<c_ulong> =
        sites.unwrap_or_default().iter().map(|site| c_ulong::from(site.counter.unwrap_or(0))).collect();
    let cookies: Vec<u64> = sites.unwrap_or_default().iter().map(|site| site.cookie).collect();
    let mut options = options();
    options.__bindgen_anon_1.uprobe_multi = sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_3 {
        flags: if returns { sys::BPF_F_UPROBE_MULTI_RETURN } else { 0 },
        cnt: u32::try_from(offsets.len()).map_err(io::Error::other)?,
        path: path.as_ptr(),
        offsets: offsets.as_ptr(),
        ref_ctr_offsets: if sites.is_some() { counters.as_ptr() } else { ptr::null() },
        cookies: if sites.is_some() { cookies.as_ptr() } else { ptr::null() },
        pid: pid.unwrap_or(0),
        ..Default::default()
    };
    create_with(program, 0, AttachType::TRACE_UPROBE_MULTI, &options)
}

fn options() -> sys::bpf_link_create_opts {
    sys::bpf_link_create_opts {
        sz: size_of::<sys::bpf_link_create_opts>().try_into().unwrap_or(0),
        ..Default::default()
    }
}

/// Whether the kernel attaches one program to many of its functions, tried with one that does nothing.
pub fn has_kernel_functions() -> bool {
    load(AttachType::TRACE_KPROBE_MULTI)
        .and_then(|program| kernel_functions(borrow(&program), &[HARMLESS.to_owned()], false))
        .is_ok()
}

/// Whether the kernel attaches one program to many places of a file, tried with one that has no code: only a kernel that
/// understands the request says what is wrong with it (kernel/trace/bpf_trace.c: bpf_uprobe_multi_link_attach).
pub fn has_user_functions() -> bool {
    let tried = load(AttachType::TRACE_UPROBE_MULTI)
        .and_then(|program| user_functions(borrow(&program), Path::new("/"), &[0], None, false));
    tried.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
}

fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(fd)
}

/// Loads a program that does nothing.
fn load(hook: AttachType) -> io::Result<OwnedFd> {
    let loaded = trial::load(|| "load a trial program".to_owned(), sys::BPF_PROG_TYPE_KPROBE, hook.0, 0);
    loaded.map_err(|error| io::Error::from_raw_os_error(error.errno))
}
