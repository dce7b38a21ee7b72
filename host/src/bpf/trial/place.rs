//! Programs that belong to an interface, a namespace, a cgroup or a map: each attached to one where nothing passes, and taken away.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use libbpf_sys as sys;

use super::load;
use crate::bpf::errno::{Error, check};
use crate::bpf::link::{self, Place};
use crate::bpf::program::{AttachType, ProgramType};
use crate::bpf::switch::make_map;
use crate::bpf::tc::TcFilter;

/// Loads a program of that type, and takes it away again.
///
/// # Errors
/// The kernel's.
pub fn loads(kind: ProgramType) -> Result<(), Error> {
    program(kind).map(drop)
}

/// Attaches a program of that type by a link, at the hook that such programs have where none is named.
///
/// # Errors
/// The kernel's.
pub fn place(kind: ProgramType, place: Place<'_>) -> Result<(), Error> {
    let program = program(kind)?;
    let linked = link::create(program.as_fd(), place, AttachType(kind.raw().1), 0);
    linked.map(drop).map_err(|error| attaching(&error))
}

/// Attaches a classifier to what an interface receives: by a link, or by a filter where the kernel has no such links (before Linux
/// 6.6).
///
/// # Errors
/// The kernel's: `ENOENT` where a filter needs modules that are not there.
pub fn traffic_control(interface: Place<'_>) -> Result<(), Error> {
    let program = program(ProgramType::SchedCls)?;
    match link::create(program.as_fd(), interface, AttachType::TCX_INGRESS, 0) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let what = || "attach a trial program".to_owned();
            TcFilter::new(program.as_fd(), interface, AttachType::TCX_INGRESS, what).map(drop)
        }
        Err(error) => Err(attaching(&error)),
    }
}

/// Attaches a program to a socket for the packets of an interface.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_NET_RAW.
pub fn packets(interface: Place<'_>) -> Result<(), Error> {
    let program = program(ProgramType::SocketFilter)?;
    link::packet_socket(interface, program.as_fd()).map(drop).map_err(|error| attaching(&error))
}

/// Attaches a program to a map of sockets that has none.
///
/// # Errors
/// The kernel's.
pub fn socket_map(kind: ProgramType, hook: AttachType) -> Result<(), Error> {
    let program = program(kind)?;
    let made = make_map(sys::BPF_MAP_TYPE_SOCKMAP, c"dbcc_trial", 4, 1, None);
    let map = made.map_err(|error| Error::from_io("make a map of sockets", &error))?;
    check(
        || "attach a trial program".to_owned(),
        // SAFETY: program and map are open.
        || unsafe { sys::bpf_prog_attach(program.as_raw_fd(), map.as_raw_fd(), hook.0, 0) },
    )
    .map(drop)
}

fn program(kind: ProgramType) -> Result<OwnedFd, Error> {
    let (program_type, hook) = kind.raw();
    load(|| "load a trial program".to_owned(), program_type, hook, 0)
}

fn attaching(error: &std::io::Error) -> Error {
    Error::from_io("attach a trial program", error)
}
