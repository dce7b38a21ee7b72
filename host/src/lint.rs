//! Lints: what compiles, and is probably not what was meant. One file each, one row each in [`LINTS`].
//!
//! They work on the facts that rewriting gathers, in the process that compiles; what they find is plain data, so that an
//! entry of the cache has it too. Whether a finding is shown is decided where it is shown: see [`Levels`].

use crate::diag::Diagnostic;
use crate::facts::{Facts, Finding, StackUse};
use crate::rewrite::Probe;

mod explain;
mod holes;
mod levels;
mod map_access;
mod scan;
mod sources;

mod map_never_deleted;
mod near_stack_limit;
mod non_atomic_update;
mod process_as_thread_key;
mod return_reads_arguments;
mod uninitialised_padding;
mod wrong_memory;

#[cfg(test)]
mod tests;

pub use explain::{explain, list};
pub use levels::{Levels, allows};
pub(crate) use scan::Scan;

/// A mistake that compiles.
pub trait Lint: Sync {
    /// Its name, in kebab-case.
    fn name(&self) -> &'static str;

    /// What it finds, in one line.
    fn summary(&self) -> &'static str;

    /// Why that is wrong, when it is not, and what to write: paragraphs.
    fn explanation(&self) -> &'static str;

    /// A probe that has the mistake.
    fn example(&self) -> &'static str;

    /// The same probe without it.
    fn mended(&self) -> &'static str;

    /// Looks at the text.
    fn look(&self, _scan: &Scan<'_, '_>) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Looks at what functions have on the stack.
    fn weigh(&self, _stacks: &[StackUse], _facts: &Facts) -> Vec<Diagnostic> {
        Vec::new()
    }
}

/// The time that a function takes, kept from its entry to its return as it should be.
const TIMED_BY_THREAD: &str = "BPF_HASH(start, u64);\n\
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
    \x20   if (!then)\n\
    \x20       return 0;\n\
    \x20   latency.increment(bpf_log2l(bpf_ktime_get_ns() - *then));\n\
    \x20   start.delete(&thread);\n\
    \x20   return 0;\n\
    }\n";

/// The rows.
pub static LINTS: &[&dyn Lint] = &[
    &non_atomic_update::NonAtomicUpdate,
    &process_as_thread_key::ProcessAsThreadKey,
    &map_never_deleted::MapNeverDeleted,
    &return_reads_arguments::ReturnReadsArguments,
    &wrong_memory::WrongMemory,
    &uninitialised_padding::UninitialisedPadding,
    &near_stack_limit::NearStackLimit,
];

/// The lint of a name.
pub fn by_name(name: &str) -> Option<&'static dyn Lint> {
    LINTS.iter().copied().find(|lint| lint.name() == name)
}

/// What all lints find in a text, once for each place.
pub fn look(probe: &Probe<'_, '_>) -> Vec<Finding> {
    let scan = Scan::new(probe);
    let mut found: Vec<Finding> = Vec::new();
    for lint in LINTS {
        for diagnostic in lint.look(&scan) {
            let is_known = |known: &Finding| known.lint == lint.name() && known.diagnostic.span == diagnostic.span;
            if !found.iter().any(is_known) {
                found.push(Finding { lint: lint.name().to_owned(), diagnostic });
            }
        }
    }
    found
}

/// What all lints find in the stacks of an object.
pub fn weigh(stacks: &[StackUse], facts: &Facts) -> Vec<Finding> {
    let of = |lint: &&'static dyn Lint| {
        let name = lint.name();
        let found = lint.weigh(stacks, facts).into_iter();
        found.map(move |diagnostic| Finding { lint: name.to_owned(), diagnostic })
    };
    LINTS.iter().flat_map(of).collect()
}
