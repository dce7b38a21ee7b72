//! Stage 10: every program to its targets, all or nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::bpf::iter::KernelIterator;
use crate::bpf::{self, Program};
use crate::gate::{Refusal, Seat, Seating};
use crate::kernel::Kernel;
use crate::kind::{self, Attachment, Early, Kind, Target};
use crate::load::{Loaded, LoadedProgram};

mod counter;

pub use counter::Counter;
use counter::Source;

/// Attached programs. Dropping it detaches them all; so does the end of the process, however it ends.
#[derive(Debug)]
#[must_use = "dropping it detaches the programs"]
pub struct Attached {
    /// Dropped first: nothing runs any more when the rest goes.
    links: Vec<Held>,
    programs: Vec<AttachedProgram>,
    counters: Vec<Counter>,
    iterators: Vec<Iterating>,
    beside: Vec<Beside>,
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
    Target(Attachment),
    Section(bpf::Link),
    Seat(#[expect(dead_code, reason = "it is held to be dropped")] Seat),
}

/// A program of a version that is not behind the switch: it runs beside that of the version before until that one is
/// detached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The C function as the user named it.
    pub function: String,
    /// Why.
    pub why: String,
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

/// Attaches all programs of a loaded probe.
///
/// `pids` are the traced processes, or none for all: kretprobes get slots for their threads.
///
/// # Errors
/// Every program that was not attached, with the reason. The others are detached again.
pub fn attach(loaded: Loaded, kernel: &Kernel, pids: &[u32]) -> Result<Attached, AttachError> {
    attach_with(loaded, kernel, pids, threads(pids), &Early::default(), None)
}

/// Attaches all programs of a version of a probe, with events that were opened ahead; with `seating`, behind the switch of
/// its gates, where they can be. Those of the first version run when this returns; those of a later one run after
/// [`Gates::flip`](crate::gate::Gates::flip), but for [`Attached::beside`].
///
/// # Errors
/// As for [`attach`].
pub fn attach_version(
    loaded: Loaded,
    kernel: &Kernel,
    pids: &[u32],
    early: &Early,
    seating: Option<Seating<'_>>,
) -> Result<Attached, AttachError> {
    attach_with(loaded, kernel, pids, threads(pids), early, seating)
}

/// Attaches with room for that many threads in the functions of kretprobes.
fn attach_with(
    loaded: Loaded,
    kernel: &Kernel,
    pids: &[u32],
    threads: u64,
    early: &Early,
    seating: Option<Seating<'_>>,
) -> Result<Attached, AttachError> {
    if let Ok(tracefs) = kernel.tracefs() {
        kind::remove_stale(tracefs);
    }
    let (maps, usdt) = (loaded.maps(), loaded.usdt());
    let options = kind::Options { tracefs: kernel.tracefs(), threads, pids, maps, many: false, early, usdt };
    let mut attaching = Attaching { seating, ..Attaching::default() };
    for program in loaded.programs() {
        let done = match loaded.object().program(&program.program) {
            Some(handle) => attaching.program(program, handle, &options),
            None => Err(bpf::Error::new(format!("find program `{}`", program.program), libc::ENOENT)),
        };
        if let Err(error) = done {
            attaching.fail(program, error);
        }
    }
    let Attaching { links, programs, counters, iterators, failures, beside, .. } = attaching;
    if failures.is_empty() {
        Ok(Attached { links, programs, counters, iterators, beside, loaded })
    } else {
        Err(AttachError { failures })
    }
}

/// What is attached so far.
#[derive(Default)]
struct Attaching<'g> {
    seating: Option<Seating<'g>>,
    links: Vec<Held>,
    programs: Vec<AttachedProgram>,
    counters: Vec<Counter>,
    iterators: Vec<Iterating>,
    failures: Vec<Failure>,
    beside: Vec<Beside>,
}

impl Attaching<'_> {
    /// Attaches a program to all its targets, or to what its section says.
    fn program(
        &mut self,
        program: &LoadedProgram,
        handle: Program<'_>,
        options: &kind::Options<'_>,
    ) -> Result<(), bpf::Error> {
        self.count("runs", program, runs_help(program), Source::Program(handle.misses()?), Arc::default());
        if program.is_tail {
            return Ok(());
        }
        let Some(kind) = program.kind.filter(|_| !program.targets.is_empty()) else {
            let link = handle.attach_by_section()?;
            self.links.push(Held::Section(link));
            self.beside(program, "its section alone says where it belongs");
            self.programs.push(AttachedProgram {
                function: program.function.clone(),
                kind: program.kind.map_or("", Kind::name),
                target: handle.section(),
                why: program.why.clone(),
            });
            return Ok(());
        };
        let options = kind::Options { many: program.many, ..*options };
        for target in &program.targets {
            if let Err(error) = self.target(program, handle, kind, target, &options) {
                self.fail(program, error);
            }
        }
        Ok(())
    }

    /// Attaches a program to one target.
    fn target(
        &mut self,
        program: &LoadedProgram,
        handle: Program<'_>,
        kind: &'static dyn Kind,
        target: &Target,
        options: &kind::Options<'_>,
    ) -> Result<(), bpf::Error> {
        let seat = self.seating.as_mut().map(|seating| seating.seat(handle, kind, target, options));
        let attachment = match seat {
            Some(Ok(seat)) => {
                let runs = Source::Program(seat.misses()?);
                self.count("runs", program, runs_help(program), runs, seat.reported_of_dispatcher());
                self.attached(program, kind, target, seat.attachment(), seat.reported_of_attachment());
                self.links.push(Held::Seat(seat));
                return Ok(());
            }
            Some(Err(Refusal::Place(error))) => return Err(error),
            Some(Err(Refusal::NoGate(why))) => {
                let attachment = kind.attach(handle, target, options)?;
                self.beside(program, &why);
                attachment
            }
            None => kind.attach(handle, target, options)?,
        };
        self.attached(program, kind, target, &attachment, Arc::default());
        self.links.push(Held::Target(attachment));
        Ok(())
    }

    /// Notes what is attached.
    fn attached(
        &mut self,
        program: &LoadedProgram,
        kind: &'static dyn Kind,
        target: &Target,
        attachment: &Attachment,
        reported: Arc<AtomicU64>,
    ) {
        let function = program.function.clone();
        if let Some(what) = kind.misses() {
            self.count(what, program, MISSES_HELP, Source::Attachment(attachment.missed()), reported);
        }
        let iterator = attachment.iterator().map(|iterator| Iterating { function: function.clone(), iterator });
        self.iterators.extend(iterator);
        let (kind, why) = (kind.name(), why(program, target, attachment));
        self.programs.push(AttachedProgram { function, kind, target: target.to_string(), why });
    }

    fn count(
        &mut self,
        what: &'static str,
        program: &LoadedProgram,
        help: &'static str,
        source: Source,
        reported: Arc<AtomicU64>,
    ) {
        let from = program.function.as_str().into();
        self.counters.push(Counter { what, from, help, source, reported });
    }

    /// Notes that a version's program runs as soon as it is attached.
    fn beside(&mut self, program: &LoadedProgram, why: &str) {
        if self.seating.is_some() {
            self.beside.push(Beside { function: program.function.clone(), why: why.to_owned() });
        }
    }

    fn fail(&mut self, program: &LoadedProgram, error: bpf::Error) {
        self.failures.push(Failure { function: program.function.clone(), error, why: program.why.clone() });
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

    /// The programs that are not behind the switch; empty where there is none.
    pub fn beside(&self) -> &[Beside] {
        &self.beside
    }

    /// Detaches the programs that are not behind the switch.
    pub fn detach_beside(&mut self) {
        self.links.retain(|held| matches!(held, Held::Seat(_)));
    }

    /// Takes the iterators, to be read during the run.
    pub fn take_iterators(&mut self) -> Vec<Iterating> {
        std::mem::take(&mut self.iterators)
    }

    /// Pins what holds the programs, each by the path that `name` makes of its function, so that they stay attached. The paths that
    /// were made are added to `pinned`, also when it fails.
    ///
    /// # Errors
    /// The kernel's, for the first that cannot be pinned.
    pub fn pin(&self, name: impl Fn(&str) -> PathBuf, pinned: &mut Vec<PathBuf>) -> Result<(), bpf::Error> {
        let mut of_function: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
        let mut done = Ok(());
        // Each place has its link, in the same order.
        for (program, held) in self.programs.iter().zip(&self.links) {
            let (path, own) = (name(&program.function), of_function.entry(&program.function).or_default());
            done = match held {
                Held::Target(attachment) => attachment.pin(&path, own),
                Held::Section(link) => link.pin(&path).map(|()| own.push(path)),
                Held::Seat(_) => Err(bpf::Error::new("pin a program behind a switch", libc::EOPNOTSUPP)),
            };
            if done.is_err() {
                break;
            }
        }
        pinned.extend(of_function.into_values().flatten());
        done
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

fn runs_help(program: &LoadedProgram) -> &'static str {
    let traced = program.kind.is_some_and(|kind| matches!(kind.context(), kind::Context::Arguments { .. }));
    if traced { TRACED_RUNS_HELP } else { RUNS_HELP }
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
