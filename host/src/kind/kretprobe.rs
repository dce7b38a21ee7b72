//! kretprobe: the return of a kernel function, by a return address that the kernel replaces at the entry.
//!
//! The kernel has a fixed number of slots for calls that have not returned (`maxactive`; by default ten or twice the
//! CPUs), and a call that finds none free is missed. The default is useless for functions in which threads wait, so
//! the slots are sized to the threads here. That is possible only by a definition in tracefs
//! (Documentation/trace/kprobetrace.rst), which, unlike everything else that is attached, is not gone with a
//! descriptor: it is removed when its owner is dropped, and one that a killed process left is removed at the next
//! start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, io, thread};

use super::kprobe::explain;
use super::{Attachment, Context, Kind, Memory, Options, Target, TargetError, TargetSpec};
use super::{kprobe, target, target_error, wrong_target};
use crate::bpf::perf_event::{self, Pmu};
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};
use crate::kernel::tracefs::Tracefs;

/// The most slots that the kernel gives (KRETPROBE_MAXACTIVE_MAX in kernel/trace/trace_kprobe.c).
const MOST: u64 = 4096;

/// The fewest that are asked for: some of the threads that may come.
const FEWEST: u64 = 64;

/// What the names of our groups start with; the process id and its start time follow.
const GROUP: &str = "dbcc_";

const DEFINITIONS: &str = "kprobe_events";
const PROFILE: &str = "kprobe_profile";

/// The row.
pub(super) struct Kretprobe;

impl Kind for Kretprobe {
    fn name(&self) -> &'static str {
        "kretprobe"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["kr"]
    }

    fn summary(&self) -> &'static str {
        "a function of the kernel, at its return"
    }

    fn grammar(&self) -> &'static str {
        "kretprobe:FUNCTION|PATTERN"
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["kretprobe__"]
    }

    fn target_of_name(&self, rest: &str) -> String {
        target::system_call(rest)
    }

    fn sections(&self) -> &'static [&'static str] {
        &["kretprobe"]
    }

    fn context(&self) -> Context {
        Context::Registers { returns: true, memory: Memory::Kernel }
    }

    fn misses(&self) -> Option<&'static str> {
        Some("returns")
    }

    fn better(&self) -> Option<&'static str> {
        Some("fexit")
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Kprobe
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        match target::kernel_functions(text) {
            Ok(TargetSpec::KernelFunction { offset, .. }) if offset != 0 => {
                Err(target_error(self, text)("it has an offset, and only a whole function has a return".into()))
            }
            other => other.map_err(target_error(self, text)),
        }
    }

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        match target {
            Target::KernelFunction { name, offset: 0 } => one(program, name, options),
            Target::KernelFunctions { names, .. } if options.many => kprobe::many(self, program, target, names, true),
            Target::KernelFunctions { names, .. } => Attachment::each(
                names,
                || format!("attach to kretprobe `{target}`"),
                |name| one(program, name, options),
            ),
            _ => Err(wrong_target(self, target)),
        }
    }
}

fn one(program: Program<'_>, name: &str, options: &Options<'_>) -> Result<Attachment, Error> {
    let subject = format!("kretprobe `{name}`");
    let slots = slots(options.threads);
    let refusal = match options.tracefs {
        Ok(tracefs) => match Definition::new(tracefs, name, slots) {
            Ok((definition, id)) => {
                let event = perf_event::tracepoint(id)
                    .map_err(|error| explain(Error::from_io(format!("attach to {subject}"), &error), name))?;
                let link = program.attach_perf_event(event, &subject)?;
                let note = Some(format!("{slots} slots for calls that have not returned"));
                return Ok(Attachment::with(link, Some(definition), note));
            }
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let event = Pmu::kprobe()
        .and_then(|pmu| pmu.kernel_function(name, 0, true))
        .map_err(|error| explain(Error::from_io(format!("attach to {subject}"), &error), name))?;
    let link = program.attach_perf_event(event, &subject)?;
    let note = Some(format!(
        "the kernel's default number of slots for calls that have not returned: {refusal}; \
             with many threads inside of `{name}`, returns are missed"
    ));
    Ok(Attachment::with(link, None, note))
}

/// Slots for a function in which that many threads may be at once: as many again may come while it runs.
fn slots(threads: u64) -> u64 {
    threads.saturating_mul(2).clamp(FEWEST, MOST)
}

/// A kretprobe that tracefs knows by name; dropping it removes it.
#[derive(Debug)]
pub(super) struct Definition {
    tracefs: Tracefs,
    group: String,
    event: String,
    function: String,
}

impl Definition {
    /// Defines one and returns it with the number of its tracepoint.
    fn new(tracefs: &Tracefs, function: &str, slots: u64) -> io::Result<(Self, u64)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let pid = std::process::id();
        let start = start_time(pid).ok_or_else(|| io::Error::other("/proc/self/stat cannot be read"))?;
        let group = format!("{GROUP}{pid}_{start}");
        // kprobe_profile names events without their groups, so the event's name is unique in the system by itself.
        let event = format!("r{}_{pid}_{start}", COUNT.fetch_add(1, Ordering::Relaxed));
        tracefs.write_append(DEFINITIONS, &format!("r{slots}:{group}/{event} {function}\n"))?;
        let definition = Self { tracefs: tracefs.clone(), group, event, function: function.to_owned() };
        let id = tracefs.read(&format!("events/{}/{}/id", definition.group, definition.event))?;
        let id = id.trim().parse().map_err(|_| io::Error::other(format!("tracefs: `{}` is no id", id.trim())))?;
        Ok((definition, id))
    }

    /// How many returns were missed: calls that found no free slot, and hits while another kprobe ran on that CPU (the
    /// kernel's own sum, in `kprobe_profile` since Linux 5.17 and its stable series back to 5.10.93).
    pub(super) fn missed(&self) -> Result<u64, Error> {
        let what = || format!("count the missed returns of `{}`", self.function);
        let profile = self.tracefs.read(PROFILE).map_err(|error| Error::from_io(what(), &error))?;
        profile_count(&profile, &self.event).ok_or_else(|| Error::new(what(), libc::ENOENT))
    }
}

impl Drop for Definition {
    fn drop(&mut self) {
        // The event is closed by now, but the kernel may still be busy with it for a moment.
        for _ in 0..100 {
            match remove(&self.tracefs, &self.group, &self.event) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(Duration::from_millis(5)),
                // A failure leaves a definition that is attached to nothing; the next start removes it.
                _ => return,
            }
        }
    }
}

fn remove(tracefs: &Tracefs, group: &str, event: &str) -> io::Result<()> {
    tracefs.write_append(DEFINITIONS, &format!("-:{group}/{event}\n"))
}

/// Removes the kretprobes that processes of ours left which were killed. Those of living processes stay: in another PID
/// namespace they look dead, but the kernel refuses to remove what is in use.
pub fn remove_stale(tracefs: &Tracefs) {
    // Without kprobes there is no such file, and nothing to remove.
    let Ok(definitions) = tracefs.read(DEFINITIONS) else { return };
    for (group, event, pid, start) in definitions.lines().filter_map(definition_of_ours) {
        if start_time(pid) != Some(start) {
            // Nothing depends on it: what stays is attached to nothing.
            let _ = remove(tracefs, group, event);
        }
    }
}

/// Takes `r40:dbcc_4711_99/r0_4711_99 tcp_sendmsg` apart: group, event, process and its start time.
fn definition_of_ours(line: &str) -> Option<(&str, &str, u32, u64)> {
    let (_, name) = line.split_whitespace().next()?.split_once(':')?;
    let (group, event) = name.split_once('/')?;
    let (pid, start) = group.strip_prefix(GROUP)?.split_once('_')?;
    Some((group, event, pid.parse().ok()?, start.parse().ok()?))
}

/// The third column of the line of an event: `  NAME   HITS   MISSED`.
fn profile_count(profile: &str, event: &str) -> Option<u64> {
    profile.lines().find_map(|line| {
        let mut columns = line.split_whitespace();
        (columns.next()? == event).then(|| columns.nth(1)?.parse().ok())?
    })
}

/// When a process started, in clock ticks since boot: field 22 of its `stat` (proc_pid_stat(5)), which tells it from
/// another one that gets its id later.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, field 2, is in parentheses and may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_threads() {
        assert_eq!(slots(0), 64);
        assert_eq!(slots(100), 200);
        assert_eq!(slots(100_000), 4096);
        assert_eq!(slots(u64::MAX), 4096);
    }

    #[test]
    fn definitions_of_ours_are_told_from_others() {
        let ours = definition_of_ours("r40:dbcc_4711_99/r0_4711_99 tcp_sendmsg");
        assert_eq!(ours, Some(("dbcc_4711_99", "r0_4711_99", 4711, 99)));
        for line in ["p:kprobes/p_tcp_sendmsg_0 tcp_sendmsg", "r40:dbcc_x/r0 f", "r:dbcc_1/r f", "", "p", "r4:a/b f"] {
            assert_eq!(definition_of_ours(line), None, "{line}");
        }
    }

    #[test]
    fn the_profile_is_read_by_name() {
        let profile = "  p_tcp_sendmsg_0        12        0\n  r0_4711_99             80       20\n";
        assert_eq!(profile_count(profile, "r0_4711_99"), Some(20));
        assert_eq!(profile_count(profile, "r0_4711_9"), None);
        assert_eq!(profile_count("  r0_4711_99 80", "r0_4711_99"), None);
    }

    #[test]
    fn a_process_has_one_start_time() {
        let own = start_time(std::process::id());
        assert!(own.is_some());
        assert_eq!(own, start_time(std::process::id()));
        assert_eq!(start_time(0), None);
    }
}
