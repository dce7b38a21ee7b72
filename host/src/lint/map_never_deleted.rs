//! Maps that only grow.

use crate::diag::Diagnostic;

use super::map_access::{Access, Operation, storage};
use super::scan::Scan;
use super::sources::Source;
use super::{Lint, TIMED_BY_THREAD};

/// The row.
pub(super) struct MapNeverDeleted;

impl Lint for MapNeverDeleted {
    fn name(&self) -> &'static str {
        "map-never-deleted"
    }

    fn summary(&self) -> &'static str {
        "what is kept for each thread, request or object is never deleted: the map fills up"
    }

    fn explanation(&self) -> &'static str {
        "A map that keeps something for each thread, request or object, until it is looked up, has an entry for each of \
         them that there ever was, when nothing deletes it. When the map is full, new entries are refused, and what is \
         new is not seen any more; until then, an address or an id that is used again finds what was kept for another.\n\n\
         Delete the entry where it is looked up last: `map.delete(&key)`. Where there is no such place, take a \
         `BPF_TABLE(\"lru_hash\", K, V, map, SIZE)`, which forgets what was not used for the longest time.\n\n\
         Nothing is said of maps that count, which are results, and grow with the number of things that are counted."
    }

    fn example(&self) -> &'static str {
        "BPF_HASH(start, u64);\n\
         BPF_HISTOGRAM(latency);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u64 thread = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();\n\
         \n\
         \x20   start.update(&thread, &now);\n\
         \x20   return 0;\n\
         }\n\
         int kretprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u64 thread = bpf_get_current_pid_tgid(), *then = start.lookup(&thread);\n\
         \n\
         \x20   if (then)\n\
         \x20       latency.increment(bpf_log2l(bpf_ktime_get_ns() - *then));\n\
         \x20   return 0;\n\
         }\n"
    }

    fn mended(&self) -> &'static str {
        TIMED_BY_THREAD
    }

    fn look(&self, scan: &Scan<'_, '_>) -> Vec<Diagnostic> {
        let maps = scan.probe.maps.iter().enumerate();
        maps.filter_map(|(index, _)| of_map(scan, index)).collect()
    }
}

fn of_map(scan: &Scan<'_, '_>, index: usize) -> Option<Diagnostic> {
    let tree = scan.probe.tree;
    let map = scan.probe.maps.get(index)?;
    // What others share, they may delete.
    if !storage(map)?.grows || map.shared().is_some() {
        return None;
    }
    let does = |operation: Operation| scan.accesses_to(index).find(move |access| access.operation == operation);
    if [Operation::Delete, Operation::Add, Operation::Init].into_iter().any(|operation| does(operation).is_some()) {
        return None;
    }
    let put =
        scan.accesses_to(index).find(|access| access.operation == Operation::Put && is_transient(scan, access))?;
    let lookup = scan.accesses_to(index).find(|access| {
        access.operation == Operation::Lookup && is_transient(scan, access) && is_elsewhere(scan, access, put)
    })?;
    let message =
        format!("nothing is ever deleted from `{}`, which gets an entry for each {}", map.name, what(scan, put));
    let mut diagnostic = Diagnostic::warning(message, map.span);
    if let Some(span) = tree.span(put.call) {
        diagnostic = diagnostic.label(span, "it gets an entry here");
    }
    if let Some(span) = tree.span(lookup.call) {
        diagnostic = diagnostic.label(span, "which is used here");
    }
    Some(diagnostic.help(format!(
        "delete the entry behind its last use: `{}`; or make the map an lru_hash, which forgets what is old",
        if map.has_methods {
            format!("{}.delete({})", map.name, text(scan, lookup))
        } else {
            format!("bpf_map_delete_elem(&{}, {})", map.name, text(scan, lookup))
        }
    )))
}

/// The argument for the key, as it is written.
fn text<'p>(scan: &Scan<'p, '_>, access: &Access) -> &'p str {
    let written = scan.probe.tree.span(access.key).map(|span| crate::rewrite::slice(scan.probe.text, span));
    written.unwrap_or("&key")
}

/// Whether the key stands for something that comes and goes.
fn is_transient(scan: &Scan<'_, '_>, access: &Access) -> bool {
    scan.sources.behind(access.key).has(Source::THREAD.or(Source::OBJECT))
}

/// Whether two accesses are made by different programs.
fn is_elsewhere(scan: &Scan<'_, '_>, one: &Access, other: &Access) -> bool {
    let programs: Vec<_> = scan.programs_of(one.function).collect();
    !programs.is_empty() && scan.programs_of(other.function).all(|program| !programs.contains(&program))
}

/// What the key stands for.
fn what(scan: &Scan<'_, '_>, access: &Access) -> &'static str {
    if scan.sources.behind(access.key).has(Source::THREAD) { "thread" } else { "object" }
}
