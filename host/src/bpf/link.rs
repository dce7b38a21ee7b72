//! An attached program.

use std::ptr::NonNull;
use std::sync::{Arc, PoisonError};

use libbpf_sys::{self as sys, bpf_link, bpf_link__destroy, bpf_link__fd};

use super::errno::{Error, check};
use super::log;
use super::object::RawObject;

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
