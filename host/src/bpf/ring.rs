//! Ring buffers: one buffer for all CPUs, written by `bpf_ringbuf_output` and `bpf_ringbuf_submit`.

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use libbpf_sys as sys;

use super::errno::{Error, check, check_ptr};
use super::log;
use super::map::Map;
use super::sink::Records;

/// The reader of a ring buffer.
#[derive(Debug)]
pub struct RingBuffer {
    raw: NonNull<sys::ring_buffer>,
    /// Where the callback puts what it is given: ours, by a pointer because libbpf has the same.
    drained: NonNull<Drained>,
}

/// What the callback knows.
#[derive(Debug)]
struct Drained {
    records: Records,
    /// Bytes of records from which on no more are taken.
    enough: usize,
    /// Whether each record begins with the time at which it was written.
    stamped: bool,
}

/// What the callback returns when there are enough records: no error of the kernel's.
const ENOUGH: c_int = -libc::EXFULL;

impl RingBuffer {
    /// Starts reading a ring buffer. There is to be one reader of each. Records that are `stamped` begin with 8 bytes of
    /// CLOCK_MONOTONIC, which are taken off.
    ///
    /// # Errors
    /// The kernel's, or `EINVAL` for a map that is no ring buffer.
    pub fn new(map: &Map, stamped: bool) -> Result<Self, Error> {
        let drained = Drained { records: Records::default(), enough: usize::MAX, stamped };
        let drained = NonNull::from(Box::leak(Box::new(drained)));
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

    /// Reads up to `limit` records, and no more when they have `enough` bytes, in the order in which programs reserved
    /// them, without waiting. A record that was reserved and is not yet submitted holds back those behind it. They are
    /// appended to `into`. Says whether there may be more.
    ///
    /// # Errors
    /// libbpf's; none is known in practice.
    pub fn drain(&mut self, limit: u32, enough: usize, into: &mut Records) -> Result<bool, Error> {
        let before = into.len();
        // SAFETY: what the callback knows is ours, and the callback is not running.
        let drained = unsafe { self.drained.as_mut() };
        drained.enough = enough;
        std::mem::swap(&mut drained.records, into);
        let read = check(
            || "read a ring buffer".to_owned(),
            // SAFETY: the reader is alive; the callback writes to `drained`, which nobody else uses meanwhile.
            || unsafe { sys::ring_buffer__consume_n(self.raw.as_ptr(), limit.into()) },
        );
        // SAFETY: as above.
        std::mem::swap(&mut unsafe { self.drained.as_mut() }.records, into);
        let found = u32::try_from(into.len() - before).unwrap_or(u32::MAX);
        match read {
            Ok(_) => Ok(found >= limit),
            Err(error) if error.errno == -ENOUGH => Ok(true),
            Err(error) => Err(error),
        }
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
    // SAFETY: the context is what the reader that is being drained has, which nobody else uses meanwhile; the record
    // lies in the ring as long as the call.
    let (drained, bytes) =
        unsafe { (&mut *context.cast::<Drained>(), std::slice::from_raw_parts(data.cast::<u8>(), size)) };
    let (time, bytes) = match bytes.split_first_chunk() {
        Some((time, bytes)) if drained.stamped => (u64::from_ne_bytes(*time), bytes),
        _ => (0, bytes),
    };
    drained.records.push(time, None, bytes);
    if drained.records.size() >= drained.enough { ENOUGH } else { 0 }
}
