//! Tries whether the kernel accepts something, by doing it and undoing it.

use std::ffi::{CStr, c_long};
use std::os::fd::{AsRawFd, OwnedFd};

use libbpf_sys as sys;

use super::errno::{Error, check};
use super::program::ProgramType;
use super::sys::new_fd;

mod decision;
mod place;

pub use decision::decides;
pub use place::{loads, packets, place, socket_map, traffic_control};

/// Asks whether tracing programs (fentry and fexit) are accepted at all, by one for no function.
///
/// # Errors
/// The kernel's refusal, if it refuses for lack of a right, whatever the function.
pub fn tracing_program() -> Result<(), Error> {
    // Permission is checked before the function (kernel/bpf/syscall.c: bpf_prog_load); that there is no function number
    // 0 is another error.
    match load_traced(ProgramType::Fentry, 0) {
        Err(error) if error.is_permission() => Err(error),
        _ => Ok(()),
    }
}

/// Loads and attaches a program that does nothing to what the kernel's types describe, and takes it away again: to a function
/// (fentry, fexit, fmod_ret) or to a tracepoint (tp_btf).
///
/// `target` is the number of the function, or of the tracepoint's `btf_trace_…`, in the kernel's own BTF.
///
/// # Errors
/// The kernel's, with the verifier's words as far as it gave any.
pub fn traced(kind: ProgramType, target: u32) -> Result<(), Error> {
    attach_traced(&load_traced(kind, target)?).map(drop)
}

fn load_traced(kind: ProgramType, target: u32) -> Result<OwnedFd, Error> {
    let (program_type, hook) = kind.raw();
    load(|| "load a trial program".to_owned(), program_type, hook, target)
}

/// Attaches a program to what it was loaded for.
fn attach_traced(program: &OwnedFd) -> Result<OwnedFd, Error> {
    let what = || "attach a trial program".to_owned();
    // SAFETY: the program is open; such a program is attached without a name (BPF_RAW_TRACEPOINT_OPEN, Linux 5.5).
    owned(check(what, || unsafe { sys::bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) })?)
}

/// Loads a program that does nothing for a hook of the security modules, and takes it away again. `hook` is the number of
/// `bpf_lsm_…` in the kernel's BTF.
///
/// # Errors
/// The kernel's, with the verifier's words as far as it gave any: some hooks take no programs (`bpf_lsm_disabled_hooks` of
/// kernel/bpf/bpf_lsm.c).
pub fn hook(hook: u32) -> Result<(), Error> {
    load_traced(ProgramType::Lsm, hook).map(drop)
}

/// Loads a program that does nothing: `function` is its target's number in the kernel's BTF, or 0.
pub(super) fn load(
    what: impl FnOnce() -> String,
    kind: sys::bpf_prog_type,
    hook: sys::bpf_attach_type,
    function: u32,
) -> Result<OwnedFd, Error> {
    // `r0 = 0; exit` (Documentation/bpf/standardization/instruction-set.rst).
    let mut instructions = [sys::bpf_insn::default(); 2];
    let [set, exit] = &mut instructions;
    set.code = 0xb7;
    exit.code = 0x95;
    load_code(what, kind, hook, function, &instructions)
}

/// Loads a program of these instructions.
fn load_code(
    what: impl FnOnce() -> String,
    kind: sys::bpf_prog_type,
    hook: sys::bpf_attach_type,
    function: u32,
    instructions: &[sys::bpf_insn],
) -> Result<OwnedFd, Error> {
    let mut log = vec![0_u8; 4096];
    let count = u64::try_from(instructions.len()).unwrap_or(0);
    let options = sys::bpf_prog_load_opts {
        sz: size_of::<sys::bpf_prog_load_opts>().try_into().unwrap_or(0),
        expected_attach_type: hook,
        attach_btf_id: function,
        log_level: 1,
        log_size: u32::try_from(log.len()).unwrap_or(0),
        log_buf: log.as_mut_ptr().cast(),
        ..Default::default()
    };
    let loaded = check(
        what,
        // SAFETY: names, instructions, log and options outlive the call and are as long as said.
        || unsafe {
            sys::bpf_prog_load(
                kind,
                c"dbcc_trial".as_ptr(),
                c"GPL".as_ptr(),
                instructions.as_ptr(),
                count,
                (&raw const options).cast_mut(),
            )
        },
    );
    owned(loaded.map_err(|error| Error { said: c_text(&log), ..error })?)
}

/// What became of a program that the kernel took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether it became code of this processor; otherwise it is interpreted.
    pub compiled: bool,
}

/// Loads a program that does nothing, and takes it away again.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_BPF and CAP_PERFMON, `ENOSYS` where it has no BPF.
pub fn program() -> Result<Taken, Error> {
    let what = || "load a program".to_owned();
    let program = load(what, sys::BPF_PROG_TYPE_KPROBE, 0, 0)?;
    let mut info = sys::bpf_prog_info::default();
    let mut length = u32::try_from(size_of::<sys::bpf_prog_info>()).unwrap_or(0);
    check(
        || "ask about a program".to_owned(),
        // SAFETY: the information is as long as said, and all zero is a value of it; both outlive the call.
        || unsafe { sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut length) },
    )?;
    Ok(Taken { compiled: info.jited_prog_len > 0 })
}

/// Attaches a program that does nothing to a raw tracepoint, and takes it away again.
///
/// # Errors
/// The kernel's: `ENOENT` where there is no such tracepoint, `EPERM` without CAP_PERFMON.
pub fn raw_tracepoint(name: &CStr) -> Result<(), Error> {
    let what = || format!("attach a program to the raw tracepoint `{}`", name.to_string_lossy());
    let program = load(what, sys::BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0)?;
    // SAFETY: the program is open, and the name outlives the call.
    owned(check(what, || unsafe { sys::bpf_raw_tracepoint_open(name.as_ptr(), program.as_raw_fd()) })?).map(drop)
}

/// Loads an iterator that does nothing, and takes it away again. `function` is the number of `bpf_iter_…` in the kernel's
/// BTF.
///
/// # Errors
/// The kernel's.
pub fn iterator(function: u32) -> Result<(), Error> {
    load(|| "load an iterator".to_owned(), sys::BPF_PROG_TYPE_TRACING, sys::BPF_TRACE_ITER, function).map(drop)
}

/// Loads a program of kprobes that asks for the cookie of its attachment (Linux 5.15), and takes it away again.
///
/// # Errors
/// The kernel's: `EINVAL` where there are none.
pub fn attach_cookie() -> Result<(), Error> {
    // `call bpf_get_attach_cookie; r0 = 0; exit`, with the context in r1 as it came; the number is that of
    // include/uapi/linux/bpf.h.
    let mut instructions = [sys::bpf_insn::default(); 3];
    let [call, set, exit] = &mut instructions;
    (call.code, call.imm) = (0x85, 174);
    set.code = 0xb7;
    exit.code = 0x95;
    // SAFETY: names and instructions outlive the call and are as long as said; no options are given.
    let load = || unsafe {
        sys::bpf_prog_load(
            sys::BPF_PROG_TYPE_KPROBE,
            c"dbcc_trial".as_ptr(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            3,
            std::ptr::null_mut(),
        )
    };
    owned(check(|| "load a trial program that asks for its cookie".to_owned(), load)?).map(drop)
}

/// Makes a ring buffer (Linux 5.8) and takes it away again.
///
/// # Errors
/// The kernel's: `EINVAL` where there are none.
pub fn ring_buffer() -> Result<(), Error> {
    let what = || "create a ring buffer".to_owned();
    // One page, which every page size that Linux has divides or equals.
    let size = 64 << 10;
    // SAFETY: the name outlives the call, and no options are given.
    owned(check(what, || unsafe {
        sys::bpf_map_create(sys::BPF_MAP_TYPE_RINGBUF, c"dbcc_trial".as_ptr(), 0, 0, size, std::ptr::null())
    })?)
    .map(drop)
}

fn owned(fd: i32) -> Result<OwnedFd, Error> {
    // SAFETY: callers pass what a call returned that makes a new descriptor.
    unsafe { new_fd(c_long::from(fd)) }.map_err(|error| Error::from_io("keep a descriptor", &error))
}

fn c_text(bytes: &[u8]) -> String {
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).trim_end().to_owned()
}
