//! Ids of processes where ids of threads are meant.

use crate::diag::Diagnostic;

use super::map_access::{Access, Operation};
use super::scan::Scan;
use super::sources::Source;
use super::{Lint, TIMED_BY_THREAD};

/// The row.
pub(super) struct ProcessAsThreadKey;

impl Lint for ProcessAsThreadKey {
    fn name(&self) -> &'static str {
        "process-as-thread-key"
    }

    fn summary(&self) -> &'static str {
        "what an entry keeps for its return is keyed by the process, so that its threads overwrite each other"
    }

    fn explanation(&self) -> &'static str {
        "`bpf_get_current_pid_tgid() >> 32` is the id of the process, which all of its threads share. A probe at the entry \
         of a function that keeps a time or an argument under it, for the probe at the return, keeps one value for the \
         whole process: of two threads that are in the function at once, the second overwrites what the first kept. Times \
         come out too short, and returns find nothing. A database has hundreds of threads.\n\n\
         Use the whole of `bpf_get_current_pid_tgid()` as key, in a map with `u64` keys, or its lower half, `(u32)`, which \
         is the thread's id. Keep the process's id for what is counted and printed."
    }

    fn example(&self) -> &'static str {
        "BPF_HASH(start, u32);\n\
         BPF_HISTOGRAM(latency);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u32 pid = bpf_get_current_pid_tgid() >> 32;\n\
         \x20   u64 now = bpf_ktime_get_ns();\n\
         \n\
         \x20   start.update(&pid, &now);\n\
         \x20   return 0;\n\
         }\n\
         int kretprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u32 pid = bpf_get_current_pid_tgid() >> 32;\n\
         \x20   u64 *then = start.lookup(&pid);\n\
         \n\
         \x20   if (!then)\n\
         \x20       return 0;\n\
         \x20   latency.increment(bpf_log2l(bpf_ktime_get_ns() - *then));\n\
         \x20   start.delete(&pid);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn mended(&self) -> &'static str {
        TIMED_BY_THREAD
    }

    fn look(&self, scan: &Scan<'_, '_>) -> Vec<Diagnostic> {
        let tree = scan.probe.tree;
        let is_put = |access: &&Access| access.operation == Operation::Put && at(scan, access) == Some(false);
        let puts = scan.accesses.iter().filter(is_put).filter(|access| is_process(scan, access));
        let found = puts.filter_map(|put| {
            let taken = scan.accesses_to(put.map).find(|access| {
                access.operation == Operation::Lookup && at(scan, access) == Some(true) && is_process(scan, access)
            })?;
            let map = scan.probe.maps.get(put.map)?;
            let message = format!("the threads of a process overwrite each other's values of `{}` here", map.name);
            let diagnostic = Diagnostic::warning(message, tree.span(put.key).or(tree.span(put.call)))
                .note("its key is the id of the process")
                .help(format!(
                    "use all of `bpf_get_current_pid_tgid()` as the key of `{}`, without `>> 32`, here and at the return",
                    map.name
                ));
            Some(match tree.span(taken.call) {
                Some(span) => diagnostic.label(span, "what a thread kept is looked for here"),
                None => diagnostic,
            })
        });
        found.collect()
    }
}

/// Whether an access is made at returns; none where it is made at both, or nothing is known.
fn at(scan: &Scan<'_, '_>, access: &Access) -> Option<bool> {
    scan.runs_at_return(access.function)
}

/// Whether nothing but the process is in the key of an access.
fn is_process(scan: &Scan<'_, '_>, access: &Access) -> bool {
    scan.sources.behind(access.key).without(Source::CONSTANT) == Source::PROCESS
}
