//! Counters of the processor and of the kernel that programs read through a perf array.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use libbpf_sys::{PERF_FLAG_FD_CLOEXEC, perf_event_attr};

/// The counters by name: `enum perf_hw_id` and `enum perf_sw_ids` of include/uapi/linux/perf_event.h, under the names that
/// perf(1) has for them.
const COUNTERS: &[(&str, &str, u64)] = &[
    ("hardware", "cpu-cycles", 0),
    ("hardware", "cycles", 0),
    ("hardware", "instructions", 1),
    ("hardware", "cache-references", 2),
    ("hardware", "cache-misses", 3),
    ("hardware", "branch-instructions", 4),
    ("hardware", "branches", 4),
    ("hardware", "branch-misses", 5),
    ("hardware", "bus-cycles", 6),
    ("hardware", "stalled-cycles-frontend", 7),
    ("hardware", "stalled-cycles-backend", 8),
    ("hardware", "ref-cycles", 9),
    ("software", "cpu-clock", 0),
    ("software", "task-clock", 1),
    ("software", "page-faults", 2),
    ("software", "faults", 2),
    ("software", "context-switches", 3),
    ("software", "cs", 3),
    ("software", "cpu-migrations", 4),
    ("software", "migrations", 4),
    ("software", "minor-faults", 5),
    ("software", "major-faults", 6),
    ("software", "alignment-faults", 7),
    ("software", "emulation-faults", 8),
    ("software", "dummy", 9),
    ("software", "bpf-output", 10),
];

/// A counter, of which each CPU has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// `PERF_TYPE_HARDWARE` (0), `PERF_TYPE_SOFTWARE` (1) or `PERF_TYPE_RAW` (4).
    number: u32,
    config: u64,
}

impl Counter {
    /// Reads `hardware:NAME`, `software:NAME` or `raw:HEX`; the class may be left out.
    ///
    /// # Errors
    /// What is wrong, with the names that there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (class, name) = text.split_once(':').map_or((None, text), |(class, name)| (Some(class), name));
        if class == Some("raw") {
            let config = u64::from_str_radix(name.trim_start_matches("0x"), 16);
            let config = config.map_err(|_| format!("`{name}` is no hexadecimal number of an event"))?;
            return Ok(Self { number: 4, config });
        }
        let found = COUNTERS.iter().find(|(of, known, _)| *known == name && class.is_none_or(|class| class == *of));
        let Some((class, _, config)) = found else {
            let names: Vec<&str> = COUNTERS.iter().map(|(_, name, _)| *name).collect();
            return Err(format!("`{text}` is no counter; there are {}", names.join(", ")));
        };
        Ok(Self { number: u32::from(*class == "software"), config: *config })
    }

    /// Starts it on one CPU, for all processes.
    ///
    /// # Errors
    /// The kernel's: `ENOENT` or `EOPNOTSUPP` where the processor has no such counter, `ENODEV` for a CPU that is off,
    /// `EACCES` without CAP_PERFMON.
    pub fn open(self, cpu: u32) -> io::Result<OwnedFd> {
        let attributes = perf_event_attr {
            type_: self.number,
            size: size_of::<perf_event_attr>().try_into().unwrap_or(0),
            config: self.config,
            ..Default::default()
        };
        let cpu = i64::from(cpu);
        // SAFETY: the attributes are as long as they say and outlive the call; the call makes a new descriptor.
        let fd = unsafe {
            libc::syscall(libc::SYS_perf_event_open, &raw const attributes, -1_i64, cpu, -1_i64, PERF_FLAG_FD_CLOEXEC)
        };
        match i32::try_from(fd) {
            // SAFETY: the descriptor is new and nobody else's.
            Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The CPUs that run.
///
/// # Errors
/// That of reading `/sys/devices/system/cpu/online`.
pub fn online_cpus() -> io::Result<Vec<u32>> {
    let path = "/sys/devices/system/cpu/online";
    let text = fs::read_to_string(path)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("{path}: `{}`", text.trim()));
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        // More CPUs than any kernel can have are no range.
        if last.saturating_sub(first) > 1 << 16 {
            return Err(bad());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_names_of_perf() {
        assert_eq!(Counter::parse("software:cs"), Ok(Counter { number: 1, config: 3 }));
        assert_eq!(Counter::parse("instructions"), Ok(Counter { number: 0, config: 1 }));
        assert_eq!(Counter::parse("raw:0x1c2"), Ok(Counter { number: 4, config: 0x1c2 }));
        for wrong in ["software:cycles", "", "raw:x", "hardware"] {
            assert!(Counter::parse(wrong).is_err(), "{wrong}");
        }
        assert!(!online_cpus().expect("there is one").is_empty());
    }
}
