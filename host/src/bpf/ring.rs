//! Ring buffers: one buffer for all CPUs, written by `bpf_ringbuf_output` and `bpf_ringbuf_submit`.

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use libbpf_sys as sys;

use super::errno::{Error, check, check_ptr};
use super::log;
use super::map::Map;

/// The reader of a ring buffer.
#[derive(Debug)]
pub struct RingBuffer {
    raw: NonNull<sys::ring_buffer>,
    /// Where the callback puts what it is given: ours, by a pointer because libbpf has the same.
    drained: NonNull<Vec<Vec<u8>>>,
}

impl RingBuffer {
    /// Starts reading a ring buffer. There is to be one reader of each.
    ///
    /// # Errors
    /// The kernel's, or `EINVAL` for a map that is no ring buffer.
    pub fn new(map: &Map) -> Result<Self, Error> {
        let drained = NonNull::from(Box::leak(Box::<Vec<Vec<u8>>>::default()));
        let raw = check_ptr(
            || format!("read ring buffer `{}`", map.name()),
            // SAFETY: the map outlives the call, which maps its memory; the context is on the heap, as long as the
            // reader.
            || unsafe { sys::ring_buffer__new(map.raw_fd(), Some(keep), drained.as_ptr().cast(), ptr::null()) },
        );
        match raw {
            Ok(raw) => Ok(Self { raw, drained }),
            Err(error) => {
                // SAFETY: the list was made above, and nobody has it.
                drop(unsafe { Box::from_raw(drained.as_ptr()) });
                Err(error)
            }
        }
    }

    /// A descriptor that becomes readable when there is something to read.
    pub fn poll_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the reader.
        unsafe { BorrowedFd::borrow_raw(sys::ring_buffer__epoll_fd(self.raw.as_ptr())) }
    }

    /// Reads up to `limit` records, in the order in which programs reserved them, without waiting. A record that was
    /// reserved and is not yet submitted holds back those behind it.
    ///
    /// # Errors
    /// libbpf's; none is known in practice.
    pub fn drain(&mut self, limit: u32) -> Result<Vec<Vec<u8>>, Error> {
        check(
            || "read a ring buffer".to_owned(),
            // SAFETY: the reader is alive; the callback writes to `drained`, which nobody else uses meanwhile.
            || unsafe { sys::ring_buffer__consume_n(self.raw.as_ptr(), limit.into()) },
        )?;
        // SAFETY: the list is ours, and the callback is not running.
        Ok(std::mem::take(unsafe { self.drained.as_mut() }))
    }

    /// Positions in the stream of bytes: up to where it was read, and up to where it was written.
    pub fn positions(&self) -> (u64, u64) {
        // SAFETY: the reader is alive and has one ring, number 0.
        unsafe {
            let ring = sys::ring_buffer__ring(self.raw.as_ptr(), 0);
            (sys::ring__consumer_pos(ring), sys::ring__producer_pos(ring))
        }
    }
}

impl Drop for RingBuffer {
    fn drop(&mut self) {
        // SAFETY: this is the reader's only owner, and it is not used again; the callback is not called here.
        log::capture(|| unsafe { sys::ring_buffer__free(self.raw.as_ptr()) });
        // SAFETY: the list was made by `new`, and the reader that had its address is gone.
        drop(unsafe { Box::from_raw(self.drained.as_ptr()) });
    }
}

// SAFETY: a reader is private memory and descriptors; whoever owns it may use it from any one thread.
unsafe impl Send for RingBuffer {}

/// libbpf's callback for each record: keeps it and goes on.
unsafe extern "C" fn keep(context: *mut c_void, data: *mut c_void, size: sys::size_t) -> c_int {
    let Ok(size) = usize::try_from(size) else { return 0 };
    // SAFETY: the context is the list of the reader that is being drained, which nobody else uses meanwhile; the record
    // lies in the ring as long as the call.
    unsafe {
        let drained = &mut *context.cast::<Vec<Vec<u8>>>();
        drained.push(std::slice::from_raw_parts(data.cast::<u8>(), size).to_vec());
    }
    0
}
