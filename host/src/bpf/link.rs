//! An attached program.

use std::ffi::c_long;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError};

use libbpf_sys::{self as sys, bpf_link, bpf_link__destroy, bpf_link__fd};

use super::errno::{Error, check};
use super::log;
use super::map::Map;
use super::object::RawObject;
use super::pin;
use super::program::{AttachType, c_string};
use super::sys::new_fd;

/// One attachment of a program; dropping it detaches. The kernel detaches as well when the process ends in any way,
/// since an attachment is a file descriptor.
#[derive(Debug)]
#[must_use = "dropping a link detaches the program"]
pub struct Link {
    raw: NonNull<bpf_link>,
    /// The object, where libbpf keeps something of the attachment in it.
    object: Option<Arc<RawObject>>,
}

impl Link {
    /// Takes ownership of a link of libbpf.
    ///
    /// # Safety
    /// The link was made by libbpf and has no other owner. The object is given if the link refers to it.
    pub(super) unsafe fn new(raw: NonNull<bpf_link>, object: Option<Arc<RawObject>>) -> Self {
        Self { raw, object }
    }

    /// The link's descriptor: a BPF link or, before Linux 5.15, a perf event.
    pub fn fd(&self) -> i32 {
        // SAFETY: the link is alive as long as its owner.
        unsafe { bpf_link__fd(self.raw.as_ptr()) }
    }

    /// Pins it at a path, where it stays attached when this is dropped and when the process ends.
    ///
    /// # Errors
    /// The kernel's, as of [`pin::pin`]: `EINVAL` before Linux 5.15 for kprobes, uprobes and tracepoints, which then
    /// are no links.
    pub fn pin(&self, path: &Path) -> Result<(), Error> {
        // SAFETY: the descriptor is open as long as the link.
        pin::pin(unsafe { BorrowedFd::borrow_raw(self.fd()) }, path)?;
        // SAFETY: the link is alive; from now on, destroying it detaches nothing (libbpf disables the event of a link to a perf
        // event even where the link lives on). Its descriptors are closed at the end of the process.
        unsafe { sys::bpf_link__disconnect(self.raw.as_ptr()) };
        Ok(())
    }

    /// How often the kernel could not run a kprobe or handle its return, as far as it says so (Linux 6.7; 0 before).
    /// None for other links.
    ///
    /// # Errors
    /// The kernel's.
    pub fn missed(&self) -> Result<Option<u64>, Error> {
        let mut info = sys::bpf_link_info::default();
        let mut length = u32::try_from(size_of_val(&info)).unwrap_or(0);
        let asked = check(
            || "ask about a link".to_owned(),
            // SAFETY: the link is alive; the answer is as long as said, and asks for no name.
            || unsafe { sys::bpf_link_get_info_by_fd(self.fd(), &raw mut info, &raw mut length) },
        );
        match asked {
            Ok(_) if info.type_ == sys::BPF_LINK_TYPE_PERF_EVENT => {}
            // Before Linux 5.15 the descriptor is a perf event, about which nothing can be asked.
            Err(error) if error.errno != libc::EINVAL => return Err(error),
            _ => return Ok(None),
        }
        // SAFETY: the answer starts as zeroes, so each of its integers is initialised, whichever the kernel wrote; the
        // type says that it is this one.
        unsafe {
            let event = info.__bindgen_anon_1.perf_event;
            Ok(match event.type_ {
                sys::BPF_PERF_EVENT_KPROBE | sys::BPF_PERF_EVENT_KRETPROBE => {
                    Some(event.__bindgen_anon_1.kprobe.missed)
                }
                _ => None,
            })
        }
    }
}

/// What a link attaches a program to.
#[derive(Debug, Clone, Copy)]
pub enum Place<'p> {
    /// A network interface, by its number.
    Interface(u32),
    /// A cgroup or a namespace, by an open file.
    File(BorrowedFd<'p>),
}

/// The number of a network interface.
///
/// # Errors
/// `ENODEV` if there is none of that name in this network namespace.
pub fn interface(name: &str) -> io::Result<Place<'static>> {
    let name = c_string(name)?;
    // SAFETY: the name is a NUL-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        number => Ok(Place::Interface(number)),
    }
}

/// Attaches a loaded program at a hook. The descriptor is the link: closing it detaches, and so does the end of the process.
///
/// # Errors
/// The kernel's: `EINVAL` where it has no links for that hook.
pub fn create(program: BorrowedFd<'_>, place: Place<'_>, hook: AttachType, flags: u32) -> io::Result<OwnedFd> {
    let on = match place {
        Place::Interface(number) => i32::try_from(number).map_err(io::Error::other)?,
        Place::File(file) => file.as_raw_fd(),
    };
    let options = sys::bpf_link_create_opts {
        sz: size_of::<sys::bpf_link_create_opts>().try_into().unwrap_or(0),
        flags,
        ..Default::default()
    };
    create_with(program, on, hook, &options)
}

/// Attaches a loaded program with all options of the system call.
pub(super) fn create_with(
    program: BorrowedFd<'_>,
    on: i32,
    hook: AttachType,
    options: &sys::bpf_link_create_opts,
) -> io::Result<OwnedFd> {
    // SAFETY: the program and what it is attached to are open; the options, and what they point to, outlive the call.
    let (made, _) = log::capture(|| unsafe { sys::bpf_link_create(program.as_raw_fd(), on, hook.0, options) });
    if made < 0 {
        return Err(io::Error::from_raw_os_error(made.saturating_neg()));
    }
    // SAFETY: the call has just made the descriptor.
    unsafe { new_fd(c_long::from(made)) }
}

/// Attaches a program to a map of sockets. It stays attached until the map is gone.
///
/// # Errors
/// The kernel's: `EINVAL` for a map of another type.
pub fn attach_to_map(program: BorrowedFd<'_>, map: &Map, hook: AttachType) -> io::Result<()> {
    // SAFETY: program and map are open.
    let (done, _) =
        log::capture(|| unsafe { sys::bpf_prog_attach(program.as_raw_fd(), map.as_fd().as_raw_fd(), hook.0, 0) });
    if done < 0 { Err(io::Error::from_raw_os_error(done.saturating_neg())) } else { Ok(()) }
}

/// A socket that gets all packets of an interface which the program lets through (packet(7)). The program runs as long as
/// the socket is open.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_NET_RAW.
pub fn packet_socket(interface: Place<'_>, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let Place::Interface(number) = interface else { return Err(io::Error::from_raw_os_error(libc::EINVAL)) };
    let all = u16::try_from(libc::ETH_P_ALL).unwrap_or(0).to_be();
    // No protocol yet, so that no packet of another interface comes before the socket is bound.
    // SAFETY: the call makes a new descriptor.
    let socket =
        unsafe { new_fd(libc::c_long::from(libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0)))? };
    let set = |option: libc::c_int, value: libc::c_int| {
        let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
        // SAFETY: the socket is open, and the value is an integer of that length.
        let done = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const value).cast(), length)
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // Nobody reads them: the smallest queue will do.
    set(libc::SO_RCVBUF, 0)?;
    set(libc::SO_ATTACH_BPF, program.as_raw_fd())?;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or(0),
        sll_protocol: all,
        sll_ifindex: i32::try_from(number).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
    // SAFETY: the socket is open, and the address is as long as said.
    if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

impl Drop for Link {
    fn drop(&mut self) {
        let locked = self.object.as_ref().map(|object| object.usdt.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: this is the link's only owner, and it is not used again. Its descriptors are closed even if
        // detaching reports an error, so nothing stays attached.
        log::capture(|| unsafe { bpf_link__destroy(self.raw.as_ptr()) });
        drop(locked);
    }
}

// SAFETY: a link is a descriptor and some private memory; libbpf keeps nothing about it for the thread that made it,
// and what it keeps in the object is locked.
unsafe impl Send for Link {}
