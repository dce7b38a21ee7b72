//! What the kernel takes programs for, each tried.

use std::io;

use crate::bpf::perf_event::{self, Counter, Sampling, Where};
use crate::bpf::statistics::Statistics;
use crate::bpf::trial;
use crate::kernel::{btf, features};

use super::finding::Finding;
use super::host::{Host, SEE_RIGHTS, words};

/// What to do about what the kernel was built without.
const OTHER_KERNEL: &str = "use a kernel that was built with it; those of distributions are";

pub(super) fn kprobe(host: &Host) -> Finding {
    let costs =
        "functions of the kernel are probed by fentry where that works, else not at all, and never in their middle";
    match features::kprobe() {
        Ok(()) => Finding::ok("functions of the kernel can be probed"),
        Err(error) => missing(host, &error, "CONFIG_KPROBE_EVENTS", costs),
    }
}

pub(super) fn kprobe_multi(host: &Host) -> Finding {
    if host.kernel.attaches_many() {
        return Finding::ok("one link attaches to thousands of functions");
    }
    let costs = "a pattern such as `kprobe:vfs_*` takes a link for each function: slow to attach, and to detach";
    host.refused("the kernel does not take such links", costs, "use Linux 5.18 or later, built with CONFIG_FPROBE")
}

pub(super) fn fentry(host: &Host) -> Finding {
    let error = match features::fentry(&host.kernel) {
        Ok(()) => return Finding::ok("a program was attached to a function of the kernel, and taken away"),
        Err(error) => error,
    };
    let costs = "functions of the kernel are probed by kprobes, which cost several times as much, and whose returns can be \
                 missed; where there are no kprobes either, only their tracepoints are left";
    host.refused(error, costs, "use a kernel of a distribution (CONFIG_FUNCTION_TRACER, not refused by its vendor)")
}

pub(super) fn uprobe(host: &Host) -> Finding {
    match features::uprobe() {
        Ok(()) => Finding::ok("functions of programs can be probed"),
        Err(error) => missing(host, &error, "CONFIG_UPROBE_EVENTS", "no functions of programs, and no USDT probes"),
    }
}

pub(super) fn uprobe_multi(host: &Host) -> Finding {
    match (host.kernel.attaches_many_of_a_file(false), host.kernel.attaches_many_of_a_file(true)) {
        (true, true) => Finding::ok("one link attaches to all places of a program"),
        (true, false) => Finding::limited(
            "one link attaches to all places of a program, but not for one process",
            "with --pid, each place takes a link",
            "use Linux 6.10 or later",
        ),
        (false, _) => host.refused(
            "the kernel does not take such links",
            "each place takes a link: patterns and inlined copies are slow to attach, and to detach",
            "use Linux 6.6 or later",
        ),
    }
}

pub(super) fn usdt_semaphores(_: &Host) -> Finding {
    // Linux 4.20; the kernel counts them up and down itself.
    let path = "/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset";
    if std::path::Path::new(path).exists() {
        return Finding::ok("the kernel raises them");
    }
    let costs = "USDT probes that their program only runs when someone listens never fire";
    Finding::missing(format!("{path} does not exist"), costs, OTHER_KERNEL)
}

pub(super) fn tracepoint(host: &Host) -> Finding {
    match features::tracepoint(&host.kernel) {
        Ok(()) => Finding::ok("events of the kernel can be attached to"),
        Err(error) => {
            let costs =
                "no tracepoints, but raw ones: netio, execsnoop and exitsnoop need kprobes or fentry or do not run";
            host.refused(words(&error), costs, "see tracefs")
        }
    }
}

pub(super) fn raw_tracepoint(host: &Host) -> Finding {
    match trial::raw_tracepoint(c"sched_process_exit") {
        Ok(()) => Finding::ok("a program was attached to one, and taken away"),
        Err(error) => host.refused(error, "no raw tracepoints", OTHER_KERNEL),
    }
}

pub(super) fn iterator(host: &Host) -> Finding {
    let costs = "no iterators over objects of the kernel; `dbcc ps` finds owners in /proc only";
    let function = host.kernel.btf().ok().and_then(|types| btf::function(types, "bpf_iter_task"));
    let Some(function) = function else {
        return Finding::missing("the kernel's BTF does not have `bpf_iter_task`", costs, "use Linux 5.8 or later");
    };
    match trial::iterator(function.id.0) {
        Ok(()) => Finding::ok("the kernel takes one over its tasks"),
        Err(error) => host.refused(error, costs, OTHER_KERNEL),
    }
}

/// `PERF_COUNT_SW_CPU_CLOCK` of `PERF_TYPE_SOFTWARE` (include/uapi/linux/perf_event.h).
const CPU_CLOCK: Counter = Counter { event_type: 1, config: 0 };
/// `PERF_COUNT_HW_CPU_CYCLES` of `PERF_TYPE_HARDWARE`.
const CYCLES: Counter = Counter { event_type: 0, config: 0 };

pub(super) fn software_events(host: &Host) -> Finding {
    match perf_event::counting(CPU_CLOCK, Sampling::Hertz(1), Where::Cpu(0)) {
        Ok(_) => Finding::ok("cpu-clock runs"),
        Err(error) => host.refused(words(&error), "no profiles by time", "use a kernel with CONFIG_PERF_EVENTS"),
    }
}

pub(super) fn hardware_events(host: &Host) -> Finding {
    match perf_event::counting(CYCLES, Sampling::Every(1 << 40), Where::Cpu(0)) {
        Ok(_) => Finding::ok("cycles are counted"),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV)) => {
            let costs = "no probes on cycles, cache misses and the like; profiles by time (cpu-clock) work";
            let mend = "a virtual machine must be given them by its host (QEMU: `-cpu host,pmu=on`)";
            Finding::missing("this machine does not count cycles", costs, mend)
        }
        Err(error) => host.refused(words(&error), "no probes on cycles, cache misses and the like", SEE_RIGHTS),
    }
}

pub(super) fn ring_buffer(host: &Host) -> Finding {
    match trial::ring_buffer() {
        Ok(()) => Finding::ok("one was made"),
        Err(error) => {
            let costs = "probes that ask for one do not load; events of BCC's kind go by perf buffers, a wake-up each";
            host.refused(error, costs, "use Linux 5.8 or later")
        }
    }
}

pub(super) fn statistics(host: &Host) -> Finding {
    match Statistics::enable() {
        Ok(_) => Finding::ok("runs of programs and their time can be counted"),
        Err(error) => host.refused(error, "`dbcc ps` shows neither run counts nor times", SEE_RIGHTS),
    }
}

fn missing(host: &Host, error: &io::Error, option: &str, costs: &str) -> Finding {
    if error.kind() == io::ErrorKind::NotFound {
        return Finding::missing(format!("the kernel was built without {option}"), costs, OTHER_KERNEL);
    }
    host.refused(words(error), costs, "see capabilities and lockdown")
}
