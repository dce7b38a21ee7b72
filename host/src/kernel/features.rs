//! What the kernel offers to attach to: each tried, since versions and configurations do not tell (lockdown, seccomp and
//! vendors' kernels differ).

use std::io;

use super::Kernel;
use super::functions::{self, Refusal};
use crate::bpf::perf_event::{self, Pmu};
use crate::bpf::trial;
use crate::facts::Features;

/// A function that does nothing and that nobody calls but the kernel's own tests of fentry (net/bpf/test_run.c): an
/// attachment to it disturbs nobody.
const HARMLESS: &str = "bpf_fentry_test1";

/// Tries everything. What this process is not permitted to do counts as not offered; see [`super::capability`] for what
/// it may be lacking.
pub fn detect(kernel: &Kernel) -> Features {
    Features {
        kprobe: kprobe().is_ok(),
        fentry: fentry(kernel).is_ok(),
        uprobe: uprobe().is_ok(),
        tracepoint: tracepoint(kernel).is_ok(),
        ringbuf: trial::ring_buffer().is_ok(),
    }
}

/// Whether functions of the kernel can be probed by kprobes.
///
/// # Errors
/// `NotFound` where the kernel was built without them, else its refusal.
pub fn kprobe() -> io::Result<()> {
    Pmu::kprobe().and_then(Pmu::accepts)
}

/// Whether functions of the kernel can be traced by fentry and fexit.
///
/// # Errors
/// Why not.
pub fn fentry(kernel: &Kernel) -> Result<(), Refusal> {
    functions::try_fentry(kernel, HARMLESS, false).map(drop)
}

/// Whether functions of programs can be probed.
///
/// # Errors
/// `NotFound` where the kernel was built without uprobes, else its refusal.
pub fn uprobe() -> io::Result<()> {
    Pmu::uprobe().and_then(Pmu::accepts)
}

/// Whether tracepoints can be attached to: tracefs has their numbers, and one that none has asks whether it may be opened.
///
/// # Errors
/// Why the numbers cannot be read, or the kernel's refusal.
pub fn tracepoint(kernel: &Kernel) -> io::Result<()> {
    let tracefs = kernel.tracefs().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    tracefs.read("events/sched/sched_switch/id")?;
    perf_event::accepts_tracepoints()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_agree_with_what_the_kernel_shows() {
        if !crate::kernel::capability::missing().is_empty() {
            eprintln!("skipped: this process may not load programs");
            return;
        }
        let features = detect(&Kernel::new());
        let pmu = |name: &str| std::path::Path::new("/sys/bus/event_source/devices").join(name).exists();
        // Lockdown may refuse kprobes where the PMU is there, but never the other way round.
        assert!(!features.kprobe || pmu("kprobe"));
        assert_eq!(features.uprobe, pmu("uprobe"));
        assert!(features.tracepoint);
        assert!(features.ringbuf, "Linux 5.8 and later have ring buffers");
    }
}
