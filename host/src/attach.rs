//! Stage 10: every program to its targets, all or nothing.

use std::fmt;
use std::sync::Arc;

use crate::bpf;
use crate::bpf::iter::KernelIterator;
use crate::bpf::program::Misses;
use crate::kernel::Kernel;
use crate::kind::{self, Attachment, Early, Missed, Target};
use crate::load::{Loaded, LoadedProgram};

/// Attached programs. Dropping it detaches them all; so does the end of the process, however it ends.
#[derive(Debug)]
#[must_use = "dropping it detaches the programs"]
pub struct Attached {
    /// Dropped first: nothing runs any more when the rest goes.
    links: Vec<Held>,
    programs: Vec<AttachedProgram>,
    counters: Vec<Counter>,
    iterators: Vec<Iterating>,
    /// Programs and maps stay as long as something runs.
    loaded: Loaded,
}

/// An iterator of a probe.
#[derive(Debug)]
pub struct Iterating {
    /// The C function as the user named it.
    pub function: String,
    /// The iterator: reading it runs the function.
    pub iterator: KernelIterator,
}

/// What keeps one program attached.
#[derive(Debug)]
enum Held {
    Target(#[expect(dead_code, reason = "it is held to be dropped")] Attachment),
    Section(#[expect(dead_code, reason = "it is held to be dropped")] bpf::Link),
}

/// A program and one place that it is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedProgram {
    /// The C function as the user named it.
    pub function: String,
    /// Kind of attach point that was chosen, such as `fexit`; empty for one of libbpf's that its section names.
    pub kind: &'static str,
    /// Where, for people; the section where that says where.
    pub target: String,
    /// Why this kind was chosen, and what is to be known about it; for those who ask.
    pub why: String,
}

/// A program that was not attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The C function as the user named it.
    pub function: String,
    /// What was tried, on what, and why it failed.
    pub error: bpf::Error,
    /// Why it was tried in this form; empty where there was no choice.
    pub why: String,
}

/// All programs that were not attached; nothing is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(failures))]
pub struct AttachError {
    /// At least one.
    pub failures: Vec<Failure>,
}

/// Counts what one program missed, from any thread.
#[derive(Debug)]
pub struct Counter {
    what: &'static str,
    from: Arc<str>,
    help: &'static str,
    source: Source,
    before: u64,
}

#[derive(Debug)]
enum Source {
    /// Hits or returns that the kernel could not handle.
    Attachment(Missed),
    /// Runs of the program that the kernel left out.
    Program(Misses),
}

/// Attaches all programs of a loaded probe.
///
/// `pids` are the traced processes, or none for all: kretprobes get slots for their threads.
///
/// # Errors
/// Every program that was not attached, with the reason. The others are detached again.
pub fn attach(loaded: Loaded, kernel: &Kernel, pids: &[u32]) -> Result<Attached, AttachError> {
    attach_early(loaded, kernel, pids, &Early::default())
}

/// Attaches all programs of a loaded probe, with events that were opened ahead.
///
/// # Errors
/// As [`attach`].
pub fn attach_early(loaded: Loaded, kernel: &Kernel, pids: &[u32], early: &Early) -> Result<Attached, AttachError> {
    attach_for(loaded, kernel, pids, threads(pids), early)
}

/// Attaches with room for that many threads in the functions of kretprobes.
fn attach_for(
    loaded: Loaded,
    kernel: &Kernel,
    pids: &[u32],
    threads: u64,
    early: &Early,
) -> Result<Attached, AttachError> {
    if let Ok(tracefs) = kernel.tracefs() {
        kind::remove_stale(tracefs);
    }
    let options = kind::Options { tracefs: kernel.tracefs(), threads, pids, maps: loaded.maps(), many: false, early };
    let mut links = Vec::new();
    let mut programs = Vec::new();
    let mut counters = Vec::new();
    let mut iterators = Vec::new();
    let mut failures = Vec::new();
    for program in loaded.programs() {
        let function = || program.function.clone();
        let handle = loaded.object().program(&program.program);
        let Some(handle) = handle else {
            let error = bpf::Error::new(format!("find program `{}`", program.program), libc::ENOENT);
            failures.push(Failure { function: function(), error, why: program.why.clone() });
            continue;
        };
        let traced = program.kind.is_some_and(|kind| matches!(kind.context(), kind::Context::Arguments { .. }));
        let help = if traced { TRACED_RUNS_HELP } else { RUNS_HELP };
        let runs = handle.misses().map(|misses| Counter::new("runs", program, help, Source::Program(misses)));
        match runs {
            Ok(counter) => counters.push(counter),
            Err(error) => failures.push(Failure { function: function(), error, why: program.why.clone() }),
        }
        if program.is_tail {
            continue;
        }
        let Some(kind) = program.kind.filter(|_| !program.targets.is_empty()) else {
            match handle.attach_by_section() {
                Ok(link) => {
                    links.push(Held::Section(link));
                    programs.push(AttachedProgram {
                        function: function(),
                        kind: program.kind.map_or("", kind::Kind::name),
                        target: handle.section(),
                        why: program.why.clone(),
                    });
                }
                Err(error) => failures.push(Failure { function: function(), error, why: program.why.clone() }),
            }
            continue;
        };
        let options = kind::Options { many: program.many, ..options };
        for target in &program.targets {
            match kind.attach(handle, target, &options) {
                Ok(attachment) => {
                    if let Some(what) = kind.misses() {
                        let source = Source::Attachment(attachment.missed());
                        counters.push(Counter::new(what, program, MISSES_HELP, source));
                    }
                    programs.push(AttachedProgram {
                        function: function(),
                        kind: kind.name(),
                        target: target.to_string(),
                        why: why(program, target, &attachment),
                    });
                    iterators
                        .extend(attachment.iterator().map(|iterator| Iterating { function: function(), iterator }));
                    links.push(Held::Target(attachment));
                }
                Err(error) => failures.push(Failure { function: function(), error, why: program.why.clone() }),
            }
        }
    }
    if failures.is_empty() {
        Ok(Attached { links, programs, counters, iterators, loaded })
    } else {
        Err(AttachError { failures })
    }
}

impl Attached {
    /// The programs and where they are attached.
    pub fn programs(&self) -> &[AttachedProgram] {
        &self.programs
    }

    /// What was loaded.
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Takes the counters of what programs missed, to be asked during the run and, for the rest, after
    /// [`Self::detach`].
    pub fn take_counters(&mut self) -> Vec<Counter> {
        std::mem::take(&mut self.counters)
    }

    /// Takes the iterators, to be read during the run.
    pub fn take_iterators(&mut self) -> Vec<Iterating> {
        std::mem::take(&mut self.iterators)
    }

    /// Detaches all programs; the maps and what is in them stay.
    pub fn detach(&mut self) {
        self.links.clear();
    }
}

const RUNS_HELP: &str = "a program is not run while another one, or itself, is under way on that CPU";
const TRACED_RUNS_HELP: &str = "the program is not run on a CPU while a thread that was preempted inside of it waits there; \
                                --attach-as kprobe has no such gap";
const MISSES_HELP: &str = "more calls were under way than the kernel had slots for, or a kprobe was hit inside of another; \
                           fexit and fentry miss nothing where the kernel has them";

impl Counter {
    fn new(what: &'static str, program: &LoadedProgram, help: &'static str, source: Source) -> Self {
        Self { what, from: program.function.as_str().into(), help, source, before: 0 }
    }

    /// What is missed: `runs` of a program, `returns` of a function, `hits` of a kprobe.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The C function of the program that missed it.
    pub fn from(&self) -> &Arc<str> {
        &self.from
    }

    /// Why that happens.
    pub fn help(&self) -> &'static str {
        self.help
    }

    /// How many were missed since this was asked before, or since the program was attached.
    ///
    /// # Errors
    /// When the kernel's count cannot be read.
    pub fn more(&mut self) -> Result<u64, bpf::Error> {
        let now = match &self.source {
            Source::Attachment(missed) => missed.count()?,
            Source::Program(misses) => misses.count()?,
        };
        let more = now.saturating_sub(self.before);
        self.before = now;
        Ok(more)
    }
}

fn why(program: &LoadedProgram, target: &Target, attachment: &Attachment) -> String {
    let mut why = program.why.clone();
    if let Target::UserFunction { pid: Some(pid), .. } | Target::Usdt { pid: Some(pid), .. } = target {
        join(&mut why, &format!("in all threads of process {pid}"));
    }
    if let Some(note) = attachment.note() {
        join(&mut why, note);
    }
    why
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push_str("; ");
    }
    text.push_str(more);
}

/// Threads of the processes, or of the whole system, which is the fourth field of proc_loadavg(5).
///
/// A kretprobe takes a slot for every thread in the function, whatever the probe's filter lets through, so the system's
/// threads count even if a process is given; but its own may be more than the system's later.
fn threads(pids: &[u32]) -> u64 {
    let count = |pid: &u32| std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let own = pids.iter().map(|pid| u64::try_from(count(pid)).unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
    let all = std::fs::read_to_string("/proc/loadavg").ok();
    let all = all.and_then(|text| text.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok());
    own.max(all.unwrap_or(0))
}

fn list(failures: &[Failure]) -> String {
    let one = |failure: &Failure| match failure.why.as_str() {
        "" => format!("`{}`: {}", failure.function, failure.error),
        why => format!("`{}`: {}; {why}", failure.function, failure.error),
    };
    let mut list = failures.iter().map(one);
    let first = list.next().unwrap_or_default();
    list.fold(first, |text, failure| format!("{text}\n{failure}"))
}

impl fmt::Display for AttachedProgram {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} at {} {}", self.function, self.kind, self.target)
    }
}

#[cfg(test)]
mod tests;
