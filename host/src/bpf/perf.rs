//! Perf buffers: one buffer a CPU, written by `bpf_perf_event_output`.

use std::ffi::{c_int, c_void};
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use libbpf_sys as sys;

use super::errno::{Error, check, check_ptr};
use super::log;
use super::map::{Map, possible_cpus};
use super::sink::Records;

/// Bytes of all buffers together that are aimed at, and the least and most pages of one CPU's buffer.
const TOTAL: usize = 8 << 20;
const PAGES: (usize, usize) = (8, 64);

/// Bytes of a page, as far as it matters here: where they are larger, wake-ups come a little earlier.
const PAGE: usize = 4096;

/// The perf buffers of a map, one for each CPU that is online.
#[derive(Debug)]
pub struct PerfBuffer {
    raw: NonNull<sys::perf_buffer>,
    /// Where the callback puts what it is given: ours, by a pointer because libbpf has the same.
    drained: NonNull<Drained>,
    /// Whether the kernel counts every lost event, also behind the last one that was written: since Linux 6.0.
    counts_losses: bool,
    /// How many events were lost, as far as that was noticed.
    lost: u64,
    /// How many of them [`Self::more_losses`] has told.
    told: u64,
}

/// What one round of reading found.
#[derive(Debug, Default)]
pub struct Drained {
    /// The events, in order for each CPU, CPU by CPU; the kernel pads each with up to 7 bytes.
    pub samples: Records,
    /// How many events the kernel says in between that it could not write.
    lost: u64,
    /// How many records were not as the kernel promises them.
    odd: u64,
}

impl PerfBuffer {
    /// Makes the buffers of a map and starts them. `pages` is the size of each CPU's buffer, a power of two; none
    /// chooses one that keeps all of them together at about 8 MiB.
    ///
    /// # Errors
    /// The kernel's: `EPERM` or `EACCES` without CAP_PERFMON, or beyond `kernel.perf_event_mlock_kb` without
    /// CAP_IPC_LOCK.
    pub fn new(map: &Map, pages: Option<usize>) -> Result<Self, Error> {
        let pages = match pages {
            Some(pages) => pages,
            None => fitting_pages(possible_cpus()?),
        };
        // PERF_FORMAT_LOST is Linux 6.0's: with it, losses behind the last event are known too.
        Self::open(map, pages, true)
            .or_else(|error| if error.errno == libc::EINVAL { Self::open(map, pages, false) } else { Err(error) })
    }

    fn open(map: &Map, pages: usize, counts_losses: bool) -> Result<Self, Error> {
        let mut attributes = sys::perf_event_attr {
            type_: sys::PERF_TYPE_SOFTWARE,
            size: size_of::<sys::perf_event_attr>().try_into().unwrap_or(0),
            config: sys::PERF_COUNT_SW_BPF_OUTPUT.into(),
            sample_type: (sys::PERF_SAMPLE_RAW | sys::PERF_SAMPLE_TIME).into(),
            read_format: if counts_losses { sys::PERF_FORMAT_LOST.into() } else { 0 },
            clockid: libc::CLOCK_MONOTONIC,
            ..Default::default()
        };
        attributes.set_use_clockid(1);
        attributes.__bindgen_anon_1.sample_period = 1;
        // The reader looks by itself at times, so only a buffer that fills up has to wake it: at a quarter. A wake-up costs
        // more than all else that is done for an event.
        attributes.set_watermark(1);
        attributes.__bindgen_anon_2.wakeup_watermark = u32::try_from(pages.saturating_mul(PAGE) / 4).unwrap_or(1);
        let drained = NonNull::from(Box::leak(Box::<Drained>::default()));
        let context = drained.as_ptr().cast();
        let raw = check_ptr(
            || format!("make the perf buffers of map `{}`", map.name()),
            // SAFETY: the map and the attributes outlive the call; the context is on the heap, as long as the buffer.
            || unsafe {
                let pages = u64::try_from(pages).unwrap_or(u64::MAX);
                let attributes = &raw mut attributes;
                sys::perf_buffer__new_raw(map.raw_fd(), pages, attributes, Some(keep), context, ptr::null())
            },
        );
        match raw {
            Ok(raw) => Ok(Self { raw, drained, counts_losses, lost: 0, told: 0 }),
            Err(error) => {
                // SAFETY: the list was made above, and nobody has it.
                drop(unsafe { Box::from_raw(drained.as_ptr()) });
                Err(error)
            }
        }
    }

    /// A descriptor that becomes readable when there is something to read.
    pub fn poll_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the buffer.
        unsafe { BorrowedFd::borrow_raw(sys::perf_buffer__epoll_fd(self.raw.as_ptr())) }
    }

    /// Reads what is in the buffers, without waiting: at most what they hold when it looks at them. What an earlier round
    /// returned can be given back, so that its memory is used again.
    ///
    /// # Errors
    /// libbpf's; none is known in practice.
    pub fn drain(&mut self, mut into: Drained) -> Result<Drained, Error> {
        into.samples.clear();
        (into.lost, into.odd) = (0, 0);
        // SAFETY: the list is ours, and the callback is not running.
        unsafe { *self.drained.as_mut() = into };
        check(
            || "read a perf buffer".to_owned(),
            // SAFETY: the buffer is alive; the callback writes to `drained`, which nobody else uses meanwhile.
            || unsafe { sys::perf_buffer__consume(self.raw.as_ptr()) },
        )?;
        // SAFETY: the list is ours, and the callback is not running.
        let drained = std::mem::take(unsafe { self.drained.as_mut() });
        // What the kernel says in between, it has counted too.
        let said = if self.counts_losses { 0 } else { drained.lost };
        self.lost = self.lost.saturating_add(said).saturating_add(drained.odd);
        Ok(drained)
    }

    /// Whether the kernel has lost events behind the last one that was written, which it does not tell before it writes the
    /// next one, is not known: before Linux 6.0, where others were lost.
    pub fn may_have_lost_more(&self) -> bool {
        !self.counts_losses && self.lost > 0
    }

    /// How many events were lost since this was asked before.
    ///
    /// # Errors
    /// The kernel's.
    pub fn more_losses(&mut self) -> Result<u64, Error> {
        let lost = self.lost.saturating_add(self.counted_losses()?);
        let more = lost.saturating_sub(self.told);
        self.told = self.told.max(lost);
        Ok(more)
    }

    /// How many events the kernel has counted as lost.
    fn counted_losses(&self) -> Result<u64, Error> {
        if !self.counts_losses {
            return Ok(0);
        }
        let mut total = 0_u64;
        // SAFETY: the buffer is alive.
        let count = unsafe { sys::perf_buffer__buffer_cnt(self.raw.as_ptr()) };
        for index in 0..count {
            // SAFETY: the buffer is alive and the index is below its count.
            let fd = unsafe { sys::perf_buffer__buffer_fd(self.raw.as_ptr(), index) };
            if fd < 0 {
                continue;
            }
            // SAFETY: the descriptor is open as long as the buffer.
            let event = unsafe { BorrowedFd::borrow_raw(fd) };
            // `value`, then `lost` (struct read_format in linux/perf_event.h).
            let mut answer = [0_u8; 16];
            event
                .try_clone_to_owned()
                .and_then(|event| std::fs::File::from(event).read_exact(&mut answer))
                .map_err(|error| Error::from_io("count lost events", &error))?;
            total = total.saturating_add(u64_at(&answer, 8).unwrap_or(0));
        }
        Ok(total)
    }
}

impl Drop for PerfBuffer {
    fn drop(&mut self) {
        // SAFETY: this is the buffer's only owner, and it is not used again; the callback is not called here.
        log::capture(|| unsafe { sys::perf_buffer__free(self.raw.as_ptr()) });
        // SAFETY: the list was made by `open`, and the buffer that had its address is gone.
        drop(unsafe { Box::from_raw(self.drained.as_ptr()) });
    }
}

// SAFETY: a perf buffer is private memory and descriptors; whoever owns it may use it from any one thread.
unsafe impl Send for PerfBuffer {}

/// Pages of one CPU's buffer: a power of two.
fn fitting_pages(cpus: usize) -> usize {
    let fitting = TOTAL / 4096 / cpus.max(1);
    let power = if fitting == 0 { 0 } else { 1 << fitting.ilog2() };
    power.clamp(PAGES.0, PAGES.1)
}

/// libbpf's callback for each record: keeps it and goes on.
unsafe extern "C" fn keep(
    context: *mut c_void,
    cpu: c_int,
    record: *mut sys::perf_event_header,
) -> sys::bpf_perf_event_ret {
    // SAFETY: the context is the `Drained` of the buffer that is being drained, which nobody else uses meanwhile; the
    // record is a whole one of the size that it says, copied or in place.
    let (drained, header, bytes) = unsafe {
        let header = ptr::read_unaligned(record);
        let bytes = std::slice::from_raw_parts(record.cast::<u8>().cast_const(), header.size.into());
        (&mut *context.cast::<Drained>(), header, bytes)
    };
    let body = bytes.get(size_of::<sys::perf_event_header>()..).unwrap_or_default();
    match header.type_ {
        // A record that is not as promised is not shown as something else, but counted.
        sys::PERF_RECORD_SAMPLE => match sample(body) {
            Some((time, data)) => drained.samples.push(time, u32::try_from(cpu).ok(), data),
            None => drained.odd += 1,
        },
        // `id`, then `lost`.
        sys::PERF_RECORD_LOST => drained.lost = drained.lost.saturating_add(u64_at(body, 8).unwrap_or(0)),
        _ => {}
    }
    sys::LIBBPF_PERF_EVENT_CONT
}

/// Takes `time`, `size` and `data` out of the body of a sample (PERF_RECORD_SAMPLE in linux/perf_event.h).
fn sample(body: &[u8]) -> Option<(u64, &[u8])> {
    let time = u64_at(body, 0)?;
    let size = u32::from_ne_bytes(body.get(8..12)?.try_into().ok()?);
    let end = usize::try_from(size).ok()?.checked_add(12)?;
    Some((time, body.get(12..end)?))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_fit_the_machine() {
        assert_eq!(fitting_pages(2), 64);
        assert_eq!(fitting_pages(64), 32);
        assert_eq!(fitting_pages(100), 16);
        assert_eq!(fitting_pages(4096), 8);
        assert_eq!(fitting_pages(usize::MAX), 8);
    }

    #[test]
    fn a_sample_is_taken_apart() {
        let mut body = 7_u64.to_ne_bytes().to_vec();
        body.extend(4_u32.to_ne_bytes());
        body.extend([1, 2, 3, 4]);
        assert_eq!(sample(&body), Some((7, [1, 2, 3, 4].as_slice())));
        body.truncate(15);
        assert_eq!(sample(&body), None);
        assert_eq!(sample(&[]), None);
    }
}
