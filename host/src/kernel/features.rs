//! What the kernel offers to attach to: each tried, since versions and configurations do not tell (lockdown, seccomp and
//! vendors' kernels differ).

use super::Kernel;
use super::functions;
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
        kprobe: Pmu::kprobe().and_then(Pmu::accepts).is_ok(),
        fentry: functions::try_fentry(kernel, HARMLESS, false).is_ok(),
        uprobe: Pmu::uprobe().and_then(Pmu::accepts).is_ok(),
        // Tracefs has the numbers of tracepoints; whether one can be opened is asked by a number that none has.
        tracepoint: kernel.tracefs().is_ok_and(|tracefs| tracefs.read("events/sched/sched_switch/id").is_ok())
            && perf_event::accepts_tracepoints().is_ok(),
        ringbuf: trial::ring_buffer().is_ok(),
    }
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
