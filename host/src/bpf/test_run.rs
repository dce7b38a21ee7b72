//! Runs of a program on data of the caller's (`BPF_PROG_TEST_RUN`, Documentation/bpf/bpf_prog_run.rst).

use std::os::fd::{AsRawFd as _, BorrowedFd};

use libbpf_sys as sys;

use super::errno::{Error, check};

/// The types of programs that the kernel runs on request, as libbpf names them (those with `test_run` in `struct bpf_prog_ops`,
/// Linux 6.12); older kernels have fewer.
pub const RUNNABLE: &[&str] = &[
    "socket_filter",
    "sched_cls",
    "sched_act",
    "xdp",
    "cgroup_skb",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "lwt_seg6local",
    "flow_dissector",
    "raw_tracepoint",
    "raw_tracepoint_writable",
    "tracing",
    "sk_lookup",
    "syscall",
    "struct_ops",
    "netfilter",
];

/// More than a packet with its room, and than a context.
const ROOM: usize = 256 << 10;

/// What a program is run on.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A packet.
    pub data: Vec<u8>,
    /// The context.
    pub context: Vec<u8>,
    /// How often, where the kernel repeats; 0 where it does not.
    pub repeat: u32,
    /// Whether the packet and the context come back.
    pub wants_data: bool,
    /// Whether the context comes back.
    pub wants_context: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the program returned.
    pub returned: u32,
    /// Nanoseconds of one run, on the average of all; 0 where the kernel does not measure it.
    pub duration: u32,
    /// The packet afterwards.
    pub data: Vec<u8>,
    /// The context afterwards.
    pub context: Vec<u8>,
}

/// Runs a program.
///
/// # Errors
/// The kernel's: 524 (`ENOTSUPP`) or `EOPNOTSUPP` for a type that cannot be run, `EINVAL` for data or a context of a size that the
/// type does not take.
pub fn run(program: BorrowedFd<'_>, request: &Request) -> Result<Answer, Error> {
    let what = || "run the program".to_owned();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| Error::new(what(), libc::E2BIG));
    let mut data = vec![0_u8; if request.wants_data { ROOM.max(request.data.len()) } else { 0 }];
    let mut context = vec![0_u8; if request.wants_context { ROOM.min(4096).max(request.context.len()) } else { 0 }];
    let start = |bytes: &[u8]| if bytes.is_empty() { std::ptr::null() } else { bytes.as_ptr().cast() };
    let end = |bytes: &mut [u8]| if bytes.is_empty() { std::ptr::null_mut() } else { bytes.as_mut_ptr().cast() };
    let mut options = sys::bpf_test_run_opts {
        sz: size_of::<sys::bpf_test_run_opts>().try_into().unwrap_or(0),
        data_in: start(&request.data),
        data_size_in: length(&request.data)?,
        data_size_out: length(&data)?,
        data_out: end(&mut data),
        ctx_in: start(&request.context),
        ctx_size_in: length(&request.context)?,
        ctx_size_out: length(&context)?,
        ctx_out: end(&mut context),
        repeat: i32::try_from(request.repeat).map_err(|_| Error::new(what(), libc::E2BIG))?,
        ..Default::default()
    };
    check(
        what,
        // SAFETY: the program is open; all four pieces of memory are as long as said, and outlive the call.
        || unsafe { sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) },
    )?;
    data.truncate(usize::try_from(options.data_size_out).unwrap_or(0));
    context.truncate(usize::try_from(options.ctx_size_out).unwrap_or(0));
    Ok(Answer { returned: options.retval, duration: options.duration, data, context })
}
