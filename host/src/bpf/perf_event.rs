//! Perf events that programs are attached to: kprobes, uprobes and tracepoints.
//!
//! The events are made here and not by libbpf, whose way for old kernels leaves definitions behind in tracefs when the
//! process is killed. The PMUs are those of Linux 4.17 and later; a definition by a PMU is gone with its descriptor.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libbpf_sys::{PERF_COUNT_SW_DUMMY, PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT, perf_event_attr};

use super::program::c_string;
use super::sys;

/// Where the kernel lists its performance monitoring units (Documentation/ABI/testing/sysfs-bus-event_source-devices).
const PMUS: &str = "/sys/bus/event_source/devices";

/// A dynamic PMU that makes probes: `kprobe` or `uprobe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pmu {
    number: u32,
    return_bit: u32,
}

impl Pmu {
    /// The PMU for kernel functions.
    ///
    /// # Errors
    /// `NotFound` if this kernel was built without kprobes.
    pub fn kprobe() -> io::Result<Self> {
        Self::named("kprobe")
    }

    /// The PMU for user functions.
    ///
    /// # Errors
    /// `NotFound` if this kernel was built without uprobes.
    pub fn uprobe() -> io::Result<Self> {
        Self::named("uprobe")
    }

    fn named(name: &str) -> io::Result<Self> {
        let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{PMUS}/{name}: `{}`", text.trim()));
        let number = fs::read_to_string(format!("{PMUS}/{name}/type"))?;
        let format = fs::read_to_string(format!("{PMUS}/{name}/format/retprobe"))?;
        Ok(Self {
            number: number.trim().parse().map_err(|_| bad(&number))?,
            return_bit: format
                .trim()
                .strip_prefix("config:")
                .and_then(|bit| bit.parse().ok())
                .filter(|&bit| bit < 64)
                .ok_or_else(|| bad(&format))?,
        })
    }

    fn attributes(self, returns: bool) -> perf_event_attr {
        attributes(self.number, u64::from(returns) << self.return_bit)
    }

    /// An event at a kernel function plus an offset in bytes, or at the function's return.
    ///
    /// # Errors
    /// The kernel's: `ENOENT` if there is no such function, `EINVAL` or `EADDRNOTAVAIL` if it cannot be probed,
    /// `EPERM` or `EACCES` without CAP_PERFMON or in a locked-down kernel.
    pub fn kernel_function(self, function: &str, offset: u64, returns: bool) -> io::Result<OwnedFd> {
        let name = c_string(function)?;
        let mut attributes = self.attributes(returns);
        attributes.__bindgen_anon_3.kprobe_func =
            u64::try_from(name.as_ptr().expose_provenance()).map_err(io::Error::other)?;
        attributes.__bindgen_anon_4.probe_offset = offset;
        sys::perf_event_open(&mut attributes, None)
    }

    /// Whether the kernel takes probes at all, without making one.
    ///
    /// # Errors
    /// The kernel's refusal: `EPERM` in a locked-down kernel, `EACCES` without CAP_PERFMON.
    pub fn accepts(self) -> io::Result<()> {
        // Address 1 of the kernel, or of an executable without a name: both are looked at after permission was given
        // (kernel/trace/trace_kprobe.c: __register_trace_kprobe; kernel/trace/trace_event_perf.c: perf_uprobe_init).
        let mut attributes = self.attributes(false);
        attributes.__bindgen_anon_4.probe_offset = 1;
        permitted(sys::perf_event_open(&mut attributes, None))
    }

    /// An event at an offset in a file, or at the return of the function that starts there, in one process or, without
    /// `pid`, in all.
    ///
    /// The kernel sets the breakpoint in the address space of that process, so it fires in each of its threads,
    /// whichever exist when and whichever `pid` names (kernel/trace/trace_uprobe.c: `trace_uprobe_filter` compares the
    /// memory map of the task; kernel/events/uprobes.c).
    ///
    /// # Errors
    /// The kernel's: `ENOENT` if there is no such file, `EINVAL` for an offset outside of it or an instruction that
    /// cannot be probed, `ESRCH` if there is no such process, `EACCES` without CAP_PERFMON.
    pub fn user_function(self, file: &Path, offset: u64, pid: Option<u32>, returns: bool) -> io::Result<OwnedFd> {
        self.user_place(self.attributes(returns), file, offset, pid)
    }

    /// An event at an offset in a file, whose counter at another offset the kernel counts up meanwhile (the semaphore of a
    /// USDT probe, Linux 4.20).
    ///
    /// # Errors
    /// As for [`Self::user_function`].
    pub fn site(self, file: &Path, offset: u64, counter: Option<u64>, pid: Option<u32>) -> io::Result<OwnedFd> {
        let mut attributes = self.attributes(false);
        // `config:32-63`, by /sys/bus/event_source/devices/uprobe/format/ref_ctr_offset.
        let counter = u32::try_from(counter.unwrap_or(0)).map_err(io::Error::other)?;
        attributes.config |= u64::from(counter) << 32;
        self.user_place(attributes, file, offset, pid)
    }

    fn user_place(
        self,
        mut attributes: perf_event_attr,
        file: &Path,
        offset: u64,
        pid: Option<u32>,
    ) -> io::Result<OwnedFd> {
        let path = std::ffi::CString::new(file.as_os_str().as_bytes())?;
        attributes.__bindgen_anon_3.uprobe_path =
            u64::try_from(path.as_ptr().expose_provenance()).map_err(io::Error::other)?;
        attributes.__bindgen_anon_4.probe_offset = offset;
        sys::perf_event_open(&mut attributes, pid)
    }
}

/// What an event counts (`enum perf_type_id` and its configurations, include/uapi/linux/perf_event.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The type: hardware, software, cache, raw.
    pub event_type: u32,
    /// The configuration of that type.
    pub config: u64,
}

/// How often a counting event runs its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Each time that so many were counted.
    Every(u64),
    /// So often a second, on the average.
    Hertz(u64),
}

/// Where a counting event counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// On one CPU, whatever runs there.
    Cpu(u32),
    /// In one thread and those that it will start, on all CPUs.
    Thread(u32),
}

/// An event that counts, and that runs programs at the rate of `sampling`.
///
/// # Errors
/// The kernel's: `ENOENT` or `EOPNOTSUPP` where this machine does not count that, `ENODEV` for a CPU that is not online,
/// `ESRCH` for a thread that ended, `EINVAL` for a rate above `kernel.perf_event_max_sample_rate`.
pub fn counting(counter: Counter, sampling: Sampling, place: Where) -> io::Result<OwnedFd> {
    let mut attributes = attributes(counter.event_type, counter.config);
    match sampling {
        Sampling::Every(period) => attributes.__bindgen_anon_1.sample_period = period,
        Sampling::Hertz(frequency) => {
            attributes.__bindgen_anon_1.sample_freq = frequency;
            attributes.set_freq(1);
        }
    }
    let thread = match place {
        Where::Cpu(cpu) => {
            let cpu = i32::try_from(cpu).map_err(io::Error::other)?;
            return sys::perf_event_open_on(&mut attributes, -1, cpu);
        }
        Where::Thread(thread) => i32::try_from(thread).map_err(io::Error::other)?,
    };
    attributes.set_inherit(1);
    attributes.set_inherit_thread(1);
    match sys::perf_event_open_on(&mut attributes, thread, -1) {
        // Before Linux 5.13, child processes are counted too.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            attributes.set_inherit_thread(0);
            sys::perf_event_open_on(&mut attributes, thread, -1)
        }
        other => other,
    }
}

/// Has the kernel follow which processes run where, as it does while there are events of single processes and for a second
/// after the last. For the first of them it waits for a grace period of RCU, 10 ms and more, before it returns
/// (kernel/events/core.c: account_event). The event counts nothing.
///
/// # Errors
/// The kernel's: `EACCES` without CAP_PERFMON where `kernel.perf_event_paranoid` asks for it.
pub fn follow_processes() -> io::Result<()> {
    let mut attributes = attributes(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY.into());
    sys::perf_event_open(&mut attributes, Some(std::process::id())).map(drop)
}

/// An event at a tracepoint by the number in its `id` file.
///
/// # Errors
/// The kernel's: `EINVAL` if there is none of that number, `EACCES` without CAP_PERFMON.
pub fn tracepoint(id: u64) -> io::Result<OwnedFd> {
    sys::perf_event_open(&mut attributes(PERF_TYPE_TRACEPOINT, id), None)
}

/// Whether the kernel lets this process open tracepoints at all, without opening one.
///
/// # Errors
/// The kernel's refusal: `EACCES` without CAP_PERFMON.
pub fn accepts_tracepoints() -> io::Result<()> {
    // No tracepoint has this number; permission is looked at first (kernel/events/core.c: sys_perf_event_open).
    permitted(tracepoint(u64::MAX))
}

/// Sorts a refusal of the place from a refusal of this process. An event, should there be one, is gone with its
/// descriptor.
fn permitted(opened: io::Result<OwnedFd>) -> io::Result<()> {
    match opened {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => Err(error),
        _ => Ok(()),
    }
}

fn attributes(number: u32, config: u64) -> perf_event_attr {
    perf_event_attr {
        type_: number,
        size: size_of::<perf_event_attr>().try_into().unwrap_or(0),
        config,
        ..Default::default()
    }
}
