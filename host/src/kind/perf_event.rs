//! perf_event: what a CPU or a thread counts; the program runs each time that so many were counted, or so often a second.

use std::fmt;
use std::fs;

use super::{Attachment, Context, Held, Kind, Options, Target, TargetError, TargetSpec};
use super::{target_error, wrong_target};
use crate::bpf::perf_event::{self, Counter, Sampling, Where};
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// The row.
pub(super) struct Row;

/// A target: what is counted, how often the program runs, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerfEvent {
    /// What is counted, as it was written: `software:cpu-clock`.
    name: String,
    counter: Counter,
    sampling: Sampling,
    /// One CPU; none means all, or the threads of the traced processes.
    cpu: Option<u32>,
}

/// The types and what they count (include/uapi/linux/perf_event.h: enum perf_type_id, perf_hw_id, perf_sw_ids). The names
/// are perf's (tools/perf/Documentation/perf-list.txt) and bpftrace's (its manual, "hardware", "software").
const HARDWARE: (u32, &[(&str, u64)]) = (
    0,
    &[
        ("cycles", 0),
        ("cpu-cycles", 0),
        ("instructions", 1),
        ("cache-references", 2),
        ("cache-misses", 3),
        ("branches", 4),
        ("branch-instructions", 4),
        ("branch-misses", 5),
        ("bus-cycles", 6),
        ("stalled-cycles-frontend", 7),
        ("idle-cycles-frontend", 7),
        ("frontend-stalls", 7),
        ("stalled-cycles-backend", 8),
        ("idle-cycles-backend", 8),
        ("backend-stalls", 8),
        ("ref-cycles", 9),
    ],
);

const SOFTWARE: (u32, &[(&str, u64)]) = (
    1,
    &[
        ("cpu-clock", 0),
        ("cpu", 0),
        ("task-clock", 1),
        ("page-faults", 2),
        ("faults", 2),
        ("context-switches", 3),
        ("cs", 3),
        ("cpu-migrations", 4),
        ("migrations", 4),
        ("minor-faults", 5),
        ("major-faults", 6),
        ("alignment-faults", 7),
        ("emulation-faults", 8),
        ("dummy", 9),
        ("cgroup-switches", 11),
    ],
);

/// A cache event is `cache | operation << 8 | result << 16` (perf_event_open(2), PERF_TYPE_HW_CACHE).
const CACHES: &[(&str, u64)] = &[("l1d", 0), ("l1i", 1), ("llc", 2), ("dtlb", 3), ("itlb", 4), ("bpu", 5), ("node", 6)];
const OPERATIONS: &[(&str, u64)] = &[("read", 0), ("write", 1), ("prefetch", 2)];
const RESULTS: &[(&str, u64)] = &[("access", 0), ("miss", 1)];
const CACHE_TYPE: u32 = 3;
const RAW_TYPE: u32 = 4;

/// An event that a directive can name, without its rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As a directive writes it behind the type: `cpu-clock`, `l1d:read:miss`.
    pub name: String,
    /// Other names of the same.
    pub aliases: Vec<String>,
    /// What it counts.
    pub counter: Counter,
}

/// The events of a type (`hardware`, `software`, `cache`), each once.
pub fn named(event_type: &str) -> Vec<Named> {
    let (number, names) = match event_type {
        "hardware" => HARDWARE,
        "software" => SOFTWARE,
        "cache" => return caches(),
        _ => return Vec::new(),
    };
    let mut all: Vec<Named> = Vec::new();
    for (name, config) in names {
        match all.iter_mut().find(|other| other.counter.config == *config) {
            Some(other) => other.aliases.push((*name).to_owned()),
            None => {
                let counter = Counter { event_type: number, config: *config };
                all.push(Named { name: (*name).to_owned(), aliases: Vec::new(), counter });
            }
        }
    }
    all
}

fn caches() -> Vec<Named> {
    let mut all = Vec::new();
    for (cache, number) in CACHES {
        for (operation, kind) in OPERATIONS {
            for (result, outcome) in RESULTS {
                let counter = Counter { event_type: CACHE_TYPE, config: number | kind << 8 | outcome << 16 };
                all.push(Named { name: format!("{cache}:{operation}:{result}"), aliases: Vec::new(), counter });
            }
        }
    }
    all
}

/// The value of a word; or all the words that there are.
fn one_of(word: &str, words: &[(&str, u64)], what: &str) -> Result<u64, String> {
    let word = word.trim().to_ascii_lowercase();
    words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        format!("`{}` is no {what}; there are {}", word.escape_default(), names.join(", "))
    })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

impl PerfEvent {
    /// Reads `TYPE:EVENT:RATE[:cpu=N]`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let mut cpu = None;
        if let Some(word) = parts.last().and_then(|last| last.strip_prefix("cpu=")) {
            cpu = Some(word.parse().map_err(|_| format!("`{}` is no number of a CPU", word.escape_default()))?);
            parts.pop();
        }
        let Some((rate, what)) = parts.split_last() else { return Err("it names no event".to_owned()) };
        let counter = match what {
            ["hardware", event] => {
                Counter { event_type: HARDWARE.0, config: one_of(event, HARDWARE.1, "hardware event")? }
            }
            ["software", event] => {
                Counter { event_type: SOFTWARE.0, config: one_of(event, SOFTWARE.1, "software event")? }
            }
            ["cache", cache, operation, result] => {
                let cache = one_of(cache, CACHES, "cache")?;
                let operation = one_of(operation, OPERATIONS, "operation of a cache")?;
                let result = one_of(result, RESULTS, "result of a cache's operation")?;
                Counter { event_type: CACHE_TYPE, config: cache | operation << 8 | result << 16 }
            }
            ["raw", config] => {
                let config = number(config).ok_or_else(|| format!("`{}` is no number", config.escape_default()))?;
                Counter { event_type: RAW_TYPE, config }
            }
            _ => {
                return Err("an event is hardware:NAME, software:NAME, cache:NAME:read|write|prefetch:access|miss or raw:NUMBER, \
                            and a rate follows"
                    .to_owned());
            }
        };
        let wrong = || {
            format!(
                "`{}` is no rate: write 99hz, or 1000000 to run the program at each millionth",
                rate.escape_default()
            )
        };
        let lower = rate.to_ascii_lowercase();
        let sampling = match lower.strip_suffix("hz") {
            Some(hertz) => Sampling::Hertz(hertz.trim().parse().map_err(|_| wrong())?),
            None => Sampling::Every(lower.parse().map_err(|_| wrong())?),
        };
        if matches!(sampling, Sampling::Hertz(0) | Sampling::Every(0)) {
            return Err(wrong());
        }
        Ok(Self { name: what.join(":"), counter, sampling, cpu })
    }
}

impl fmt::Display for PerfEvent {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sampling {
            Sampling::Hertz(hertz) => write!(to, "{}:{hertz}hz", self.name)?,
            Sampling::Every(period) => write!(to, "{}:{period}", self.name)?,
        }
        self.cpu.map_or(Ok(()), |cpu| write!(to, ":cpu={cpu}"))
    }
}

impl Kind for Row {
    fn name(&self) -> &'static str {
        "perf_event"
    }

    fn summary(&self) -> &'static str {
        "what CPUs or threads count: time, cycles, cache misses, page faults, …"
    }

    fn grammar(&self) -> &'static str {
        "perf_event:software|hardware|cache|raw:EVENT:RATE[:cpu=N]"
    }

    fn sections(&self) -> &'static [&'static str] {
        &["perf_event"]
    }

    fn section(&self, _target: &str) -> String {
        "perf_event".to_owned()
    }

    fn contexts(&self) -> &'static [&'static str] {
        &["bpf_perf_event_data"]
    }

    fn context(&self) -> Context {
        Context::Opaque
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::PerfEvent
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        PerfEvent::parse(text).map(TargetSpec::PerfEvent).map_err(target_error(self, text))
    }

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        let Target::PerfEvent(event) = target else { return Err(wrong_target(self, target)) };
        let subject = format!("perf event `{event}`");
        let what = || format!("attach to {subject}");
        let places: Vec<Where> = match event.cpu {
            Some(cpu) => vec![Where::Cpu(cpu)],
            None if options.pids.is_empty() => {
                online().map_err(|error| Error::from_io(what(), &error))?.into_iter().map(Where::Cpu).collect()
            }
            None => options.pids.iter().flat_map(|pid| threads(*pid)).map(Where::Thread).collect(),
        };
        let mut held = Vec::new();
        for place in &places {
            match perf_event::counting(event.counter, event.sampling, *place) {
                Ok(opened) => held.push(Held::Link(program.attach_perf_event(opened, &subject)?)),
                // A CPU that went offline and a thread that ended meanwhile count nothing.
                Err(error) if held.is_empty() || !matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ESRCH)) => {
                    return Err(explain(Error::from_io(what(), &error)));
                }
                Err(_) => {}
            }
        }
        let note = match places.first() {
            None => return Err(Error::new(what(), libc::ESRCH)),
            Some(Where::Cpu(_)) => format!("on {} CPUs", held.len()),
            Some(Where::Thread(_)) => format!("in {} threads and those that they start", held.len()),
        };
        Ok(Attachment::holding(held, None, Some(note)))
    }
}

fn explain(mut error: Error) -> Error {
    error.said = match error.errno {
        libc::ENOENT | libc::EOPNOTSUPP => "this machine does not count that, as virtual machines often do not; \
                                            software events are there always"
            .to_owned(),
        libc::EINVAL => "is the rate above kernel.perf_event_max_sample_rate?".to_owned(),
        libc::ENODEV => "no such CPU is online".to_owned(),
        _ => error.said,
    };
    error
}

/// The CPUs that are online (Documentation/admin-guide/cputopology.rst).
fn online() -> std::io::Result<Vec<u32>> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online")?;
    cpus(text.trim()).ok_or_else(|| std::io::Error::other(format!("`{}` is no list of CPUs", text.trim())))
}

/// Reads `0-3,6`.
fn cpus(list: &str) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        // More CPUs than any Linux is built for are no list of the kernel's.
        if last.checked_sub(first)? > 1 << 16 {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

/// The threads of a process; none where it has ended.
fn threads(pid: u32) -> Vec<u32> {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_types_names_and_rates() {
        let check = |text: &str, event_type: u32, config: u64, sampling: Sampling, cpu: Option<u32>| {
            let event = PerfEvent::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(event.counter, Counter { event_type, config }, "{text}");
            assert_eq!((event.sampling, event.cpu), (sampling, cpu), "{text}");
            assert_eq!(event.to_string(), text);
        };
        check("software:cpu-clock:99hz", 1, 0, Sampling::Hertz(99), None);
        check("software:page-faults:1", 1, 2, Sampling::Every(1), None);
        check("hardware:cache-misses:1000:cpu=3", 0, 3, Sampling::Every(1000), Some(3));
        check("cache:llc:read:miss:100", 3, 2 | 1 << 16, Sampling::Every(100), None);
        check("cache:dtlb:write:access:100", 3, 3 | 1 << 8, Sampling::Every(100), None);
        check("raw:0x1c2:100", 4, 0x1c2, Sampling::Every(100), None);
    }

    #[test]
    fn what_is_wrong_with_an_event_is_said() {
        for (text, why) in [
            ("", "an event is"),
            ("software:cpu-clock", "an event is"),
            ("software:cpu_clock:1", "cpu-clock"),
            ("hardware:sofas:1", "instructions"),
            ("software:cpu-clock:0", "no rate"),
            ("software:cpu-clock:fasthz", "no rate"),
            ("software:cpu-clock:1:cpu=x", "no number of a CPU"),
            ("cache:l9:read:miss:1", "l1d"),
            ("raw:zz:1", "no number"),
        ] {
            let said = PerfEvent::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(cpus("0"), Some(vec![0]));
        assert_eq!(cpus("0-2,5"), Some(vec![0, 1, 2, 5]));
        for wrong in ["", "x", "3-1", "0-999999999"] {
            assert_eq!(cpus(wrong), None, "{wrong}");
        }
    }
}
