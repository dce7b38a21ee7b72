//! An attached program.

use std::ptr::NonNull;

use libbpf_sys::{bpf_link, bpf_link__destroy, bpf_link__fd};

use super::log;

/// One attachment of a program; dropping it detaches. The kernel detaches as well when the process ends in any way,
/// since an attachment is a file descriptor.
#[derive(Debug)]
#[must_use = "dropping a link detaches the program"]
pub struct Link {
    raw: NonNull<bpf_link>,
}

impl Link {
    /// Takes ownership of a link of libbpf.
    ///
    /// # Safety
    /// The link was made by libbpf and has no other owner.
    pub(super) unsafe fn new(raw: NonNull<bpf_link>) -> Self {
        Self { raw }
    }

    /// The link's descriptor: a BPF link or, before Linux 5.15, a perf event.
    pub fn fd(&self) -> i32 {
        // SAFETY: the link is alive as long as its owner.
        unsafe { bpf_link__fd(self.raw.as_ptr()) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // SAFETY: this is the link's only owner, and it is not used again. Its descriptors are closed even if
        // detaching reports an error, so nothing stays attached.
        log::capture(|| unsafe { bpf_link__destroy(self.raw.as_ptr()) });
    }
}

// SAFETY: a link is a descriptor and some private memory; libbpf keeps nothing about it for the thread that made it.
unsafe impl Send for Link {}
