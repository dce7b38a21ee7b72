//! Targets: what stands behind `KIND:`, as written and as found.

use std::fmt;
use std::path::PathBuf;

use super::pattern::NamePattern;
use super::perf_event::PerfEvent;

mod grammar;
mod place;

pub use grammar::binary_and_rest;
pub(super) use grammar::{
    is_instruction, kernel_functions, module_function, raw_tracepoint, system_call, tracepoint, usdt, user_function,
    user_section, whole_function,
};
use place::write_places;
pub use place::{UsdtSite, UserPlace, UserPlaceKind};

/// A target as written, taken apart by its kind's grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSpec {
    /// A function of the kernel.
    KernelFunction {
        /// Its name, as in /proc/kallsyms.
        name: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// A function of a program or shared library.
    UserFunction {
        /// Path, or name of a program; none means the executable of the traced process.
        binary: Option<String>,
        /// The function as people write it; an address (`0x57a8c0`) or a line of a source file (`sql_connect.cc:478`).
        function: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// A USDT probe of a program or shared library.
    Usdt {
        /// Path, or name of a program; none means the executable of the traced process and the libraries that it has
        /// loaded.
        binary: Option<String>,
        /// Its provider; none means any.
        provider: Option<String>,
        /// Its name.
        name: String,
    },
    /// A tracepoint with a record.
    Tracepoint {
        /// Its category (`events/CATEGORY` in tracefs).
        category: String,
        /// Its name.
        name: String,
    },
    /// A tracepoint without a record: the program gets the arguments of its call.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// All functions of the kernel whose names fit.
    KernelFunctions {
        /// What their names fit.
        pattern: NamePattern,
    },
    /// All functions of a program or shared library whose names fit.
    UserFunctions {
        /// Path, or name of a program; none means the executable of the traced process.
        binary: Option<String>,
        /// What their names fit.
        pattern: NamePattern,
    },
    /// All tracepoints that fit.
    Tracepoints {
        /// What their categories fit.
        category: NamePattern,
        /// What their names fit.
        name: NamePattern,
    },
    /// What counts on a CPU or in a thread.
    PerfEvent(PerfEvent),
    /// What an iterator goes over.
    Iterator {
        /// Its name: `task`, `bpf_map_elem`.
        name: String,
        /// The map of the probe that it goes over, of those that need one.
        map: Option<String>,
    },
    /// A hook of a place.
    Place {
        /// An interface, the path of a cgroup or of a namespace, a map of the probe.
        place: String,
        /// The hook; empty where the place has only one.
        hook: &'static str,
    },
}

impl TargetSpec {
    /// The target, where nothing is to be looked up.
    pub fn found(self) -> Option<Target> {
        Some(match self {
            Self::KernelFunction { name, offset } => Target::KernelFunction { name, offset },
            Self::Tracepoint { category, name } => Target::Tracepoint { category, name },
            Self::RawTracepoint { name } => Target::RawTracepoint { name },
            Self::PerfEvent(event) => Target::PerfEvent(event),
            Self::Iterator { name, map } => Target::Iterator { name, map },
            Self::Place { place, hook } => Target::Place { place, hook },
            Self::UserFunction { .. }
            | Self::Usdt { .. }
            | Self::KernelFunctions { .. }
            | Self::UserFunctions { .. }
            | Self::Tracepoints { .. } => return None,
        })
    }
}

/// A target as found: nothing is left to look up but by the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A function of the kernel.
    KernelFunction {
        /// Its name, as in /proc/kallsyms.
        name: String,
        /// Bytes from its start.
        offset: u64,
    },
    /// A function of a program or shared library: all places of it.
    UserFunction {
        /// What the kernel opens, such as `/proc/4711/exe` or `/proc/4711/root/usr/lib/libc.so.6`.
        open: PathBuf,
        /// The file as people know it.
        shown: String,
        /// The function's name as people know it.
        function: String,
        /// Where it is probed, each place once; at least one.
        places: Vec<UserPlace>,
        /// The process in which it is probed; none means every process that runs this file.
        pid: Option<u32>,
    },
    /// A USDT probe of a program or shared library.
    Usdt {
        /// What the kernel opens, as for [`Self::UserFunction`].
        open: PathBuf,
        /// The file as people know it.
        shown: String,
        /// The probe's provider.
        provider: String,
        /// Its name.
        name: String,
        /// The places in the code where it stands, at least one.
        sites: Vec<UsdtSite>,
        /// In how many ways these places say where the arguments are.
        forms: usize,
        /// How many arguments it has at most.
        arguments: usize,
        /// Whether it has a semaphore, which says to the program that somebody listens.
        semaphore: bool,
        /// The process in which it is probed; none means every process that runs this file.
        pid: Option<u32>,
    },
    /// A tracepoint with a record.
    Tracepoint {
        /// Its category.
        category: String,
        /// Its name.
        name: String,
    },
    /// A tracepoint without a record.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// Functions of the kernel.
    KernelFunctions {
        /// What their names fit, as written.
        pattern: String,
        /// Their names.
        names: Vec<String>,
    },
    /// Functions of a program or shared library.
    UserFunctions {
        /// What the kernel opens.
        open: PathBuf,
        /// The file as people know it.
        shown: String,
        /// What their names fit, as written.
        pattern: String,
        /// Their names and offsets in the file, in bytes.
        functions: Vec<(String, u64)>,
        /// The process in which they are probed; none means every process that runs this file.
        pid: Option<u32>,
    },
    /// What counts on a CPU or in a thread.
    PerfEvent(PerfEvent),
    /// What an iterator goes over.
    Iterator {
        /// Its name.
        name: String,
        /// The map of the probe that it goes over, of those that need one.
        map: Option<String>,
    },
    /// A hook of a place.
    Place {
        /// An interface, the path of a cgroup or of a namespace, a map of the probe.
        place: String,
        /// The hook; empty where the place has only one.
        hook: &'static str,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelFunction { name, offset: 0 } | Self::RawTracepoint { name } => write!(to, "{name}"),
            Self::KernelFunction { name, offset } => write!(to, "{name}+{offset:#x}"),
            Self::UserFunction { shown, function, places, .. } => {
                write!(to, "{shown}:{function} ")?;
                match places.as_slice() {
                    [place] => write!(to, "{place}"),
                    places => write_places(places, to),
                }
            }
            Self::Usdt { shown, provider, name, sites, .. } => match sites.len() {
                1 => write!(to, "{shown}:{provider}:{name}"),
                sites => write!(to, "{shown}:{provider}:{name} ({sites} sites)"),
            },
            Self::Tracepoint { category, name } => write!(to, "{category}:{name}"),
            Self::KernelFunctions { pattern, names } => write!(to, "{pattern} ({} functions)", names.len()),
            Self::UserFunctions { shown, pattern, functions, .. } => {
                write!(to, "{shown}:{pattern} ({} functions)", functions.len())
            }
            Self::PerfEvent(event) => write!(to, "{event}"),
            Self::Iterator { name, map: Some(map) } => write!(to, "{name}:{map}"),
            Self::Iterator { name, map: None } => write!(to, "{name}"),
            Self::Place { place, hook: "" } => write!(to, "{place}"),
            Self::Place { place, hook } => write!(to, "{place}:{hook}"),
        }
    }
}

/// A target that its kind cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{target}` is no target of a {kind}: {why}; write it as {grammar}")]
pub struct TargetError {
    /// The kind.
    pub kind: &'static str,
    /// The target as written.
    pub target: String,
    /// What is wrong with it.
    pub why: String,
    /// How targets of this kind are written.
    pub grammar: &'static str,
}
