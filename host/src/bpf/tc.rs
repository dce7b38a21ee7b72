//! Filters of traffic control, for kernels that have no links for it (before Linux 6.6).

use std::os::fd::{AsRawFd, BorrowedFd};

use libbpf_sys as sys;

use super::errno::{Error, check};
use super::link::Place;
use super::log;
use super::program::AttachType;

/// A program as a filter of an interface's `clsact`; dropping it removes the filter. The kernel does not remove it when the
/// process is killed.
#[derive(Debug)]
pub struct TcFilter {
    interface: i32,
    point: sys::bpf_tc_attach_point,
    handle: u32,
    priority: u32,
    /// The queueing discipline was made for this filter, and goes with it.
    own_discipline: bool,
}

impl TcFilter {
    /// Attaches a program to an interface, for what comes in or what goes out.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(
        program: BorrowedFd<'_>,
        interface: Place<'_>,
        hook: AttachType,
        what: impl Fn() -> String,
    ) -> Result<Self, Error> {
        let Place::Interface(number) = interface else { return Err(Error::new(what(), libc::EINVAL)) };
        let interface = i32::try_from(number).map_err(|_| Error::new(what(), libc::ENODEV))?;
        let point = if hook == AttachType::TCX_INGRESS { sys::BPF_TC_INGRESS } else { sys::BPF_TC_EGRESS };
        let mut hook = hook_of(interface, point);
        // SAFETY: the hook is a valid value of its size.
        let own_discipline = match check(&what, || unsafe { sys::bpf_tc_hook_create(&raw mut hook) }) {
            Ok(_) => true,
            Err(error) if error.errno == libc::EEXIST => false,
            Err(error) => return Err(error),
        };
        let mut filter = Self { interface, point, handle: 0, priority: 0, own_discipline };
        let mut options = filter.options();
        options.prog_fd = program.as_raw_fd();
        // SAFETY: hook and options are valid values of their sizes, and the program is open.
        check(&what, || unsafe { sys::bpf_tc_attach(&raw const hook, &raw mut options) })?;
        (filter.handle, filter.priority) = (options.handle, options.priority);
        Ok(filter)
    }

    fn options(&self) -> sys::bpf_tc_opts {
        sys::bpf_tc_opts {
            sz: size_of::<sys::bpf_tc_opts>().try_into().unwrap_or(0),
            handle: self.handle,
            priority: self.priority,
            ..Default::default()
        }
    }
}

fn hook_of(interface: i32, point: sys::bpf_tc_attach_point) -> sys::bpf_tc_hook {
    sys::bpf_tc_hook {
        sz: size_of::<sys::bpf_tc_hook>().try_into().unwrap_or(0),
        ifindex: interface,
        attach_point: point,
        ..Default::default()
    }
}

impl Drop for TcFilter {
    fn drop(&mut self) {
        let hook = hook_of(self.interface, self.point);
        if self.handle != 0 {
            let options = self.options();
            // SAFETY: hook and options are valid values of their sizes.
            log::capture(|| unsafe { sys::bpf_tc_detach(&raw const hook, &raw const options) });
        }
        if self.own_discipline {
            let mut both = hook_of(self.interface, sys::BPF_TC_INGRESS | sys::BPF_TC_EGRESS);
            // SAFETY: the hook is a valid value of its size.
            log::capture(|| unsafe { sys::bpf_tc_hook_destroy(&raw mut both) });
        }
    }
}
