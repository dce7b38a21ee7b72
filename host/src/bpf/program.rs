//! Programs of an object: before loading, and loaded.

use std::ffi::{CStr, CString};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Arc, PoisonError};

use libbpf_sys as sys;

use super::dispatcher::Form;
use super::errno::{Error, check, check_ptr};
use super::inventory::type_name;
use super::link::Link;
use super::object::{OpenObject, RawObject};

/// What a program is attached to, as the kernel's loader must know it (`enum bpf_prog_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramType {
    /// kprobes, uprobes and their returns.
    Kprobe,
    /// Tracepoints by perf events.
    Tracepoint,
    /// Raw tracepoints.
    RawTracepoint,
    /// Entry of a kernel function through its BTF.
    Fentry,
    /// Return of a kernel function through its BTF.
    Fexit,
    /// A function of the kernel whose return value the program replaces.
    FmodRet,
    /// A tracepoint through its BTF.
    TpBtf,
    /// A hook of the security modules.
    Lsm,
    /// An iterator over objects of the kernel.
    Iter,
    /// A perf event.
    PerfEvent,
    /// Packets in the driver.
    Xdp,
    /// A classifier of traffic control.
    SchedCls,
    /// An action of traffic control.
    SchedAct,
    /// Packets of a socket.
    SocketFilter,
    /// Packets of a cgroup.
    CgroupSkb,
    /// Sockets of a cgroup.
    CgroupSock,
    /// Addresses of a cgroup's sockets.
    CgroupSockAddr,
    /// TCP connections of a cgroup.
    SockOps,
    /// Socket options of a cgroup.
    CgroupSockopt,
    /// Devices of a cgroup.
    CgroupDevice,
    /// Settings that a cgroup reads or writes.
    CgroupSysctl,
    /// What sockets of a map receive.
    SkSkb,
    /// What sockets of a map send.
    SkMsg,
    /// How packets are sorted into flows.
    FlowDissector,
    /// Which socket gets a connection.
    SkLookup,
    /// Which socket of a group gets a packet.
    SkReuseport,
    /// Incoming packets of a route.
    LwtIn,
    /// Outgoing packets of a route.
    LwtOut,
    /// Packets of a route on their way to an interface.
    LwtXmit,
    /// Packets of segment routing.
    LwtSeg6local,
}

impl ProgramType {
    pub(super) fn raw(self) -> (sys::bpf_prog_type, sys::bpf_attach_type) {
        match self {
            Self::Kprobe => (sys::BPF_PROG_TYPE_KPROBE, 0),
            Self::Tracepoint => (sys::BPF_PROG_TYPE_TRACEPOINT, 0),
            Self::RawTracepoint => (sys::BPF_PROG_TYPE_RAW_TRACEPOINT, 0),
            Self::PerfEvent => (sys::BPF_PROG_TYPE_PERF_EVENT, 0),
            Self::Fentry => (sys::BPF_PROG_TYPE_TRACING, sys::BPF_TRACE_FENTRY),
            Self::Fexit => (sys::BPF_PROG_TYPE_TRACING, sys::BPF_TRACE_FEXIT),
            Self::FmodRet => (sys::BPF_PROG_TYPE_TRACING, sys::BPF_MODIFY_RETURN),
            Self::TpBtf => (sys::BPF_PROG_TYPE_TRACING, sys::BPF_TRACE_RAW_TP),
            Self::Iter => (sys::BPF_PROG_TYPE_TRACING, sys::BPF_TRACE_ITER),
            Self::Lsm => (sys::BPF_PROG_TYPE_LSM, sys::BPF_LSM_MAC),
            Self::Xdp => (sys::BPF_PROG_TYPE_XDP, sys::BPF_XDP),
            Self::SchedCls => (sys::BPF_PROG_TYPE_SCHED_CLS, 0),
            Self::SchedAct => (sys::BPF_PROG_TYPE_SCHED_ACT, 0),
            Self::SocketFilter => (sys::BPF_PROG_TYPE_SOCKET_FILTER, 0),
            Self::CgroupSkb => (sys::BPF_PROG_TYPE_CGROUP_SKB, 0),
            Self::CgroupSock => (sys::BPF_PROG_TYPE_CGROUP_SOCK, sys::BPF_CGROUP_INET_SOCK_CREATE),
            Self::CgroupSockAddr => (sys::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, sys::BPF_CGROUP_INET4_CONNECT),
            Self::SockOps => (sys::BPF_PROG_TYPE_SOCK_OPS, sys::BPF_CGROUP_SOCK_OPS),
            Self::CgroupSockopt => (sys::BPF_PROG_TYPE_CGROUP_SOCKOPT, sys::BPF_CGROUP_GETSOCKOPT),
            Self::CgroupDevice => (sys::BPF_PROG_TYPE_CGROUP_DEVICE, sys::BPF_CGROUP_DEVICE),
            Self::CgroupSysctl => (sys::BPF_PROG_TYPE_CGROUP_SYSCTL, sys::BPF_CGROUP_SYSCTL),
            Self::SkSkb => (sys::BPF_PROG_TYPE_SK_SKB, 0),
            Self::SkMsg => (sys::BPF_PROG_TYPE_SK_MSG, sys::BPF_SK_MSG_VERDICT),
            Self::FlowDissector => (sys::BPF_PROG_TYPE_FLOW_DISSECTOR, sys::BPF_FLOW_DISSECTOR),
            Self::SkLookup => (sys::BPF_PROG_TYPE_SK_LOOKUP, sys::BPF_SK_LOOKUP),
            Self::SkReuseport => (sys::BPF_PROG_TYPE_SK_REUSEPORT, sys::BPF_SK_REUSEPORT_SELECT),
            Self::LwtIn => (sys::BPF_PROG_TYPE_LWT_IN, 0),
            Self::LwtOut => (sys::BPF_PROG_TYPE_LWT_OUT, 0),
            Self::LwtXmit => (sys::BPF_PROG_TYPE_LWT_XMIT, 0),
            Self::LwtSeg6local => (sys::BPF_PROG_TYPE_LWT_SEG6LOCAL, 0),
        }
    }

    /// Its name, as libbpf and bpftool have it.
    pub fn name(self) -> String {
        type_name(self.raw().0)
    }

    /// Whether its programs are verified against one object of the kernel's types, by name: a function, a tracepoint, a
    /// hook, an iterator.
    pub fn has_typed_target(self) -> bool {
        matches!(self, Self::Fentry | Self::Fexit | Self::FmodRet | Self::TpBtf | Self::Lsm | Self::Iter)
    }
}

/// At which hook a program is attached (`enum bpf_attach_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachType(pub(super) sys::bpf_attach_type);

#[allow(missing_docs, reason = "the names are those of enum bpf_attach_type, documented in include/uapi/linux/bpf.h")]
impl AttachType {
    /// No hook: the program is not attached by one.
    pub const NONE: Self = Self(0);
    pub const XDP: Self = Self(sys::BPF_XDP);
    pub const TCX_INGRESS: Self = Self(sys::BPF_TCX_INGRESS);
    pub const TCX_EGRESS: Self = Self(sys::BPF_TCX_EGRESS);
    pub const TRACE_ITER: Self = Self(sys::BPF_TRACE_ITER);
    pub const TRACE_KPROBE_MULTI: Self = Self(sys::BPF_TRACE_KPROBE_MULTI);
    pub const TRACE_UPROBE_MULTI: Self = Self(sys::BPF_TRACE_UPROBE_MULTI);
    pub const FLOW_DISSECTOR: Self = Self(sys::BPF_FLOW_DISSECTOR);
    pub const SK_LOOKUP: Self = Self(sys::BPF_SK_LOOKUP);
    pub const SK_SKB_STREAM_PARSER: Self = Self(sys::BPF_SK_SKB_STREAM_PARSER);
    pub const SK_SKB_STREAM_VERDICT: Self = Self(sys::BPF_SK_SKB_STREAM_VERDICT);
    pub const SK_SKB_VERDICT: Self = Self(sys::BPF_SK_SKB_VERDICT);
    pub const SK_MSG_VERDICT: Self = Self(sys::BPF_SK_MSG_VERDICT);
    pub const CGROUP_INET_INGRESS: Self = Self(sys::BPF_CGROUP_INET_INGRESS);
    pub const CGROUP_INET_EGRESS: Self = Self(sys::BPF_CGROUP_INET_EGRESS);
    pub const CGROUP_INET_SOCK_CREATE: Self = Self(sys::BPF_CGROUP_INET_SOCK_CREATE);
    pub const CGROUP_INET_SOCK_RELEASE: Self = Self(sys::BPF_CGROUP_INET_SOCK_RELEASE);
    pub const CGROUP_INET4_POST_BIND: Self = Self(sys::BPF_CGROUP_INET4_POST_BIND);
    pub const CGROUP_INET6_POST_BIND: Self = Self(sys::BPF_CGROUP_INET6_POST_BIND);
    pub const CGROUP_INET4_BIND: Self = Self(sys::BPF_CGROUP_INET4_BIND);
    pub const CGROUP_INET6_BIND: Self = Self(sys::BPF_CGROUP_INET6_BIND);
    pub const CGROUP_INET4_CONNECT: Self = Self(sys::BPF_CGROUP_INET4_CONNECT);
    pub const CGROUP_INET6_CONNECT: Self = Self(sys::BPF_CGROUP_INET6_CONNECT);
    pub const CGROUP_UDP4_SENDMSG: Self = Self(sys::BPF_CGROUP_UDP4_SENDMSG);
    pub const CGROUP_UDP6_SENDMSG: Self = Self(sys::BPF_CGROUP_UDP6_SENDMSG);
    pub const CGROUP_UDP4_RECVMSG: Self = Self(sys::BPF_CGROUP_UDP4_RECVMSG);
    pub const CGROUP_UDP6_RECVMSG: Self = Self(sys::BPF_CGROUP_UDP6_RECVMSG);
    pub const CGROUP_INET4_GETPEERNAME: Self = Self(sys::BPF_CGROUP_INET4_GETPEERNAME);
    pub const CGROUP_INET6_GETPEERNAME: Self = Self(sys::BPF_CGROUP_INET6_GETPEERNAME);
    pub const CGROUP_INET4_GETSOCKNAME: Self = Self(sys::BPF_CGROUP_INET4_GETSOCKNAME);
    pub const CGROUP_INET6_GETSOCKNAME: Self = Self(sys::BPF_CGROUP_INET6_GETSOCKNAME);
    pub const CGROUP_SOCK_OPS: Self = Self(sys::BPF_CGROUP_SOCK_OPS);
    pub const CGROUP_GETSOCKOPT: Self = Self(sys::BPF_CGROUP_GETSOCKOPT);
    pub const CGROUP_SETSOCKOPT: Self = Self(sys::BPF_CGROUP_SETSOCKOPT);
    pub const CGROUP_DEVICE: Self = Self(sys::BPF_CGROUP_DEVICE);
    pub const CGROUP_SYSCTL: Self = Self(sys::BPF_CGROUP_SYSCTL);
}

/// A program of an object that is not loaded yet.
#[derive(Debug)]
pub struct OpenProgram<'o> {
    raw: NonNull<sys::bpf_program>,
    object: PhantomData<&'o mut OpenObject>,
}

impl<'o> OpenProgram<'o> {
    /// # Safety
    /// The program belongs to the object whose borrow is `'o`.
    pub(super) unsafe fn new(raw: NonNull<sys::bpf_program>) -> Self {
        Self { raw, object: PhantomData }
    }

    /// Its name: that of its C function.
    pub fn name(&self) -> String {
        // SAFETY: the program is alive as long as its object, and so is its name.
        unsafe { text(sys::bpf_program__name(self.raw.as_ptr())) }
    }

    /// Its ELF section.
    pub fn section(&self) -> String {
        // SAFETY: the program is alive as long as its object, and so is its section's name.
        unsafe { text(sys::bpf_program__section_name(self.raw.as_ptr())) }
    }

    /// Whether libbpf could tell its type from its section.
    pub fn has_type(&self) -> bool {
        // SAFETY: the program is alive as long as its object.
        unsafe { sys::bpf_program__type(self.raw.as_ptr()) != sys::BPF_PROG_TYPE_UNSPEC }
    }

    /// Says whether it will be loaded.
    ///
    /// # Errors
    /// libbpf's; none is known for an open object.
    pub fn set_autoload(&mut self, load: bool) -> Result<(), Error> {
        check(
            || format!("select program `{}`", self.name()),
            // SAFETY: the program is alive as long as its object, which is not loaded.
            || unsafe { sys::bpf_program__set_autoload(self.raw.as_ptr(), load) },
        )
        .map(drop)
    }

    /// Sets its type.
    ///
    /// # Errors
    /// libbpf's; none is known for an open object.
    pub fn set_type(&mut self, kind: ProgramType) -> Result<(), Error> {
        let (program_type, attach_type) = kind.raw();
        self.set_form(Form { program_type, attach_type })
    }

    /// Sets its type and its hook to those of another program.
    ///
    /// # Errors
    /// libbpf's; none is known for an open object.
    pub fn set_form(&mut self, form: Form) -> Result<(), Error> {
        let Form { program_type, attach_type } = form;
        check(
            || format!("set the type of program `{}`", self.name()),
            // SAFETY: the program is alive as long as its object, which is not loaded.
            || unsafe {
                match sys::bpf_program__set_type(self.raw.as_ptr(), program_type) {
                    0 => sys::bpf_program__set_expected_attach_type(self.raw.as_ptr(), attach_type),
                    error => error,
                }
            },
        )
        .map(drop)
    }

    /// Sets the hook that it will be attached at.
    ///
    /// # Errors
    /// libbpf's; none is known for an open object.
    pub fn set_attach_type(&mut self, attach_type: AttachType) -> Result<(), Error> {
        check(
            || format!("set the hook of program `{}`", self.name()),
            // SAFETY: the program is alive as long as its object, which is not loaded.
            || unsafe { sys::bpf_program__set_expected_attach_type(self.raw.as_ptr(), attach_type.0) },
        )
        .map(drop)
    }

    /// Sets what of the kernel's types a program is verified against: the function of an fentry or fexit program, the
    /// hook of an LSM program.
    ///
    /// # Errors
    /// `ESRCH` or `ENOENT` if the kernel's BTF has no such function.
    pub fn set_function(&mut self, function: &str) -> Result<(), Error> {
        let what = || format!("find kernel function `{function}`");
        let name = c_string(function).map_err(|error| Error::from_io(what(), &error))?;
        // SAFETY: the program is alive as long as its object, which is not loaded; the name outlives the call.
        check(what, || unsafe { sys::bpf_program__set_attach_target(self.raw.as_ptr(), 0, name.as_ptr()) }).map(drop)
    }

    /// Has the verifier write what its work was into the log.
    ///
    /// # Errors
    /// libbpf's; none is known for an open object.
    pub(super) fn set_statistics(&mut self) -> Result<(), Error> {
        /// `BPF_LOG_STATS` of include/linux/bpf_verifier.h.
        const STATISTICS: u32 = 4;
        check(
            || format!("ask for the verifier's statistics of program `{}`", self.name()),
            // SAFETY: the program is alive as long as its object, which is not loaded.
            || unsafe { sys::bpf_program__set_log_level(self.raw.as_ptr(), STATISTICS) },
        )
        .map(drop)
    }

    /// Gives it a buffer for the verifier's log.
    ///
    /// # Safety
    /// The buffer outlives the object's loading, and starts with a zero byte.
    pub(super) unsafe fn set_log(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let length = u64::try_from(buffer.len()).unwrap_or(0);
        check(
            || format!("give program `{}` a log", self.name()),
            // SAFETY: the program is alive as long as its object; the buffer is as long as said and, by the caller's
            // promise, outlives its use.
            || unsafe { sys::bpf_program__set_log_buf(self.raw.as_ptr(), buffer.as_mut_ptr().cast(), length) },
        )
        .map(drop)
    }
}

/// A loaded program.
#[derive(Debug, Clone, Copy)]
pub struct Program<'o> {
    raw: NonNull<sys::bpf_program>,
    object: &'o Arc<RawObject>,
}

impl<'o> Program<'o> {
    /// # Safety
    /// The program belongs to that object.
    pub(super) unsafe fn new(raw: NonNull<sys::bpf_program>, object: &'o Arc<RawObject>) -> Self {
        Self { raw, object }
    }

    /// Its name: that of its C function.
    pub fn name(&self) -> String {
        // SAFETY: the program is alive as long as its object, and so is its name.
        unsafe { text(sys::bpf_program__name(self.raw.as_ptr())) }
    }

    /// Its ELF section.
    pub fn section(&self) -> String {
        // SAFETY: the program is alive as long as its object, and so is its section's name.
        unsafe { text(sys::bpf_program__section_name(self.raw.as_ptr())) }
    }

    /// Whether it was loaded for one link to many places of a file.
    pub fn attaches_to_many_places(&self) -> bool {
        self.form().attach_type == sys::BPF_TRACE_UPROBE_MULTI
    }

    /// Its descriptor; none if it was not selected for loading.
    pub fn fd(&self) -> Option<BorrowedFd<'o>> {
        // SAFETY: the program is alive as long as its object.
        let fd = unsafe { sys::bpf_program__fd(self.raw.as_ptr()) };
        // SAFETY: a descriptor that is not negative is open as long as the object.
        (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// What it is to the kernel's loader.
    pub fn form(&self) -> Form {
        let raw = self.raw.as_ptr();
        // SAFETY: the program is alive as long as its object.
        let (program_type, attach_type) =
            unsafe { (sys::bpf_program__type(raw), sys::bpf_program__expected_attach_type(raw)) };
        Form { program_type, attach_type }
    }

    /// Runs it once over a packet, which it may change. Returns what the program returned.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` for a packet that is shorter than an Ethernet header.
    #[cfg(test)]
    pub(crate) fn run_over(&self, packet: &mut [u8]) -> Result<u32, Error> {
        let length = u32::try_from(packet.len()).unwrap_or(0);
        let mut out = vec![0_u8; packet.len()];
        let mut options = sys::bpf_test_run_opts {
            sz: size_of::<sys::bpf_test_run_opts>().try_into().unwrap_or(0),
            data_in: packet.as_ptr().cast(),
            data_out: out.as_mut_ptr().cast(),
            data_size_in: length,
            data_size_out: length,
            ..Default::default()
        };
        let fd = self.fd().map_or(-1, |fd| fd.as_raw_fd());
        check(
            || format!("run `{}`", self.name()),
            // SAFETY: both buffers are as long as said and outlive the call.
            || unsafe { sys::bpf_prog_test_run_opts(fd, &raw mut options) },
        )?;
        packet.copy_from_slice(&out);
        Ok(options.retval)
    }

    /// Attaches it to what its section says, where libbpf knows how.
    ///
    /// # Errors
    /// libbpf's or the kernel's; `EOPNOTSUPP` where the section does not say enough.
    pub fn attach_by_section(&self) -> Result<Link, Error> {
        // The section may be that of a USDT probe.
        self.link_of_object(
            || format!("attach `{}`", self.name()),
            // SAFETY: the program is alive as long as its object; the link is new.
            || unsafe { sys::bpf_program__attach(self.raw.as_ptr()) },
        )
    }

    /// Attaches it to all sites of a USDT probe of a file; in one process, or in all that run it. libbpf writes where the
    /// arguments are into the object's map `__bpf_usdt_specs`.
    ///
    /// # Errors
    /// libbpf's or the kernel's: `ENOENT` if the file has no such probe, `E2BIG` if it has more forms of arguments than
    /// the map has room for, `EINVAL` if an argument is in a place that libbpf does not know.
    pub fn attach_usdt(&self, path: &Path, provider: &str, name: &str, pid: Option<u32>) -> Result<Link, Error> {
        let what = || format!("attach to the USDT probe `{provider}:{name}` of `{}`", path.display());
        let wrong = |error: io::Error| Error::from_io(what(), &error);
        let invalid = |_| Error::new(what(), libc::EINVAL);
        let file = CString::new(path.as_os_str().as_bytes()).map_err(invalid)?;
        let (provider_text, name_text) = (c_string(provider).map_err(wrong)?, c_string(name).map_err(wrong)?);
        // -1: all processes.
        let pid = pid.map_or(Ok(-1), i32::try_from).map_err(|_| Error::new(what(), libc::ESRCH))?;
        self.link_of_object(what, || {
            let (provider, name) = (provider_text.as_ptr(), name_text.as_ptr());
            // SAFETY: the program is alive as long as its object; the texts outlive the call; there are no options; the
            // link is new.
            unsafe { sys::bpf_program__attach_usdt(self.raw.as_ptr(), pid, file.as_ptr(), provider, name, ptr::null()) }
        })
    }

    /// Attaches a program to what it was loaded for: an fentry or fexit program to its function, and so on.
    ///
    /// # Errors
    /// The kernel's, such as `ENOTSUPP` (524) where it has no trampolines for the function.
    pub fn attach_traced(&self, subject: &str) -> Result<Link, Error> {
        // SAFETY: the program is alive as long as its object; the link is new.
        self.link(|| format!("attach to {subject}"), || unsafe { sys::bpf_program__attach_trace(self.raw.as_ptr()) })
    }

    /// Attaches it to a raw tracepoint.
    ///
    /// # Errors
    /// The kernel's: `ENOENT` if there is no such tracepoint.
    pub fn attach_raw_tracepoint(&self, name: &str) -> Result<Link, Error> {
        let what = || format!("attach to raw tracepoint `{name}`");
        let name = c_string(name).map_err(|error| Error::from_io(what(), &error))?;
        // SAFETY: the program is alive as long as its object; the name outlives the call; the link is new.
        self.link(what, || unsafe { sys::bpf_program__attach_raw_tracepoint(self.raw.as_ptr(), name.as_ptr()) })
    }

    /// Attaches it to a perf event, which the link then owns.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` for a program that does not fit the event, `E2BIG` for too many programs on one event.
    pub fn attach_perf_event(&self, event: OwnedFd, subject: &str) -> Result<Link, Error> {
        self.attach_perf_event_with(event, 0, subject)
    }

    /// Attaches it to a perf event, with a cookie that the program is handed by `bpf_get_attach_cookie` (Linux 5.15).
    ///
    /// # Errors
    /// As for [`Self::attach_perf_event`]; `EOPNOTSUPP` where the kernel has no cookies.
    pub fn attach_perf_event_with(&self, event: OwnedFd, cookie: u64, subject: &str) -> Result<Link, Error> {
        let fd = event.into_raw_fd();
        let options = sys::bpf_perf_event_opts {
            sz: size_of::<sys::bpf_perf_event_opts>().try_into().unwrap_or(0),
            bpf_cookie: cookie,
            ..Default::default()
        };
        // SAFETY: the program is alive as long as its object; the options outlive the call; the link is new.
        let link = self.link(
            || format!("attach to {subject}"),
            || unsafe { sys::bpf_program__attach_perf_event_opts(self.raw.as_ptr(), fd, &raw const options) },
        );
        if link.is_err() {
            // SAFETY: libbpf takes the descriptor over only when it succeeds; otherwise it is still ours to close.
            unsafe { libc::close(fd) };
        }
        link
    }

    /// A handle to count how often it was not run.
    ///
    /// # Errors
    /// `EBADF` if it is not loaded, `EMFILE` if there are no more descriptors.
    pub fn misses(&self) -> Result<Misses, Error> {
        let what = || format!("keep program `{}`", self.name());
        let fd = self.fd().ok_or_else(|| Error::new(what(), libc::EBADF))?;
        let fd = fd.try_clone_to_owned().map_err(|error| Error::from_io(what(), &error))?;
        Ok(Misses { fd, program: self.name() })
    }

    fn link(&self, what: impl FnOnce() -> String, attach: impl FnOnce() -> *mut sys::bpf_link) -> Result<Link, Error> {
        // SAFETY: callers pass calls of libbpf that make a new link.
        check_ptr(what, attach).map(|raw| unsafe { Link::new(raw, None) })
    }

    /// A link that may use what libbpf keeps of USDT attachments in the object: it holds the object.
    fn link_of_object(
        &self,
        what: impl FnOnce() -> String,
        attach: impl FnOnce() -> *mut sys::bpf_link,
    ) -> Result<Link, Error> {
        let _locked = self.object.usdt.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: callers pass calls of libbpf that make a new link.
        check_ptr(what, attach).map(|raw| unsafe { Link::new(raw, Some(Arc::clone(self.object))) })
    }
}

/// Counts how often a program was not run. It outlives attachments and object.
#[derive(Debug)]
pub struct Misses {
    fd: OwnedFd,
    program: String,
}

impl Misses {
    /// Another handle to the same count.
    ///
    /// # Errors
    /// The system's, when there are no more descriptors.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let fd = self.fd.try_clone();
        let fd = fd.map_err(|error| Error::from_io(format!("keep program `{}`", self.program), &error))?;
        Ok(Self { fd, program: self.program.clone() })
    }

    /// How often the kernel did not run the program because it, or another one, was running already on that CPU
    /// (`recursion_misses` of `struct bpf_prog_info`; 0 before Linux 5.12).
    ///
    /// # Errors
    /// The kernel's.
    pub fn count(&self) -> Result<u64, Error> {
        let mut info = sys::bpf_prog_info::default();
        let mut length = u32::try_from(size_of_val(&info)).unwrap_or(0);
        check(
            || format!("ask about program `{}`", self.program),
            // SAFETY: the program is open; the answer is as long as said, and asks for none of the arrays it could
            // point to.
            || unsafe { sys::bpf_prog_get_info_by_fd(self.fd.as_raw_fd(), &raw mut info, &raw mut length) },
        )?;
        Ok(info.recursion_misses)
    }
}

/// # Safety
/// The pointer is null or a NUL-terminated string.
pub(super) unsafe fn text(raw: *const std::ffi::c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

/// The text for C.
pub(super) fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
