//! Attach kinds: one file each, one row each in [`KINDS`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::bpf::iter::KernelIterator;
use crate::bpf::pin;
use crate::bpf::program::ProgramType;
use crate::bpf::tc::TcFilter;
use crate::bpf::usdt::{Entry, Specs};
use crate::bpf::{Error, Link, Map, Program};
use crate::kernel::tracefs::Tracefs;

mod cgroup;
mod early;
mod fentry;
mod iter;
mod kprobe;
mod kretprobe;
mod loaded;
mod network;
mod pattern;
pub mod perf_event;
mod placed;
mod raw_tracepoint;
mod sockmap;
pub mod target;
mod traced;
mod tracepoint;
mod uprobe;
mod usdt;

pub use early::{Early, EarlyEvent, expect_events_of_processes};
pub use kretprobe::remove_stale;
pub(crate) use pattern::is_regex;
pub use pattern::{Matcher, NamePattern};
pub use target::{Target, TargetError, TargetSpec, UsdtSite, UserPlace, UserPlaceKind, binary_and_rest};

/// What a program of a kind is handed, as rewriting needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// `struct pt_regs *`; bound arguments are the function's arguments in registers. On a return the arguments are
    /// gone, and the return value is there.
    Registers {
        /// Whether it is the function's return.
        returns: bool,
        /// Whose memory pointers among the arguments point to.
        memory: Memory,
    },
    /// `u64 *`: the arguments of a kernel function by number; on a return (fexit) the return value behind them.
    Arguments {
        /// Whether it is the function's return.
        returns: bool,
    },
    /// The record of a tracepoint: a struct with the fields of its format.
    Record,
    /// `struct bpf_raw_tracepoint_args *`: the arguments of a tracepoint's call by number.
    RawArguments,
    /// Something else: the context is passed on as it is.
    Opaque,
}

impl Context {
    /// Whether parameters behind the context can be bound to something.
    pub fn binds(self) -> bool {
        matches!(self, Self::Registers { .. } | Self::Arguments { .. } | Self::RawArguments)
    }
}

/// Whose memory a pointer points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The kernel's.
    Kernel,
    /// The traced process's.
    User,
}

/// An attach kind.
pub trait Kind: Sync {
    /// Its name, as in `--attach NAME:TARGET=FUNCTION`.
    fn name(&self) -> &'static str;

    /// Other names of it, those of bpftrace (its manual, "Probes") and of libbpf's sections and options among them.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// One line on what it attaches to.
    fn summary(&self) -> &'static str;

    /// How its target is written, as in `uprobe:[BINARY:]FUNCTION[+OFFSET]`.
    fn grammar(&self) -> &'static str;

    /// Prefixes of function names that mean this kind, as in `kprobe__`; what the rest of the name means is told by
    /// [`Self::target_of_name`].
    fn prefixes(&self) -> &'static [&'static str] {
        &[]
    }

    /// The target that the rest of a function's name behind the prefix stands for: `sock__inet_sock_set_state` of a
    /// tracepoint is `sock:inet_sock_set_state`.
    fn target_of_name(&self, rest: &str) -> String {
        rest.to_owned()
    }

    /// Names of the sections that libbpf gives this kind, as in `kprobe` for `SEC("kprobe/f")`; the first is the one
    /// to generate.
    fn sections(&self) -> &'static [&'static str];

    /// The section of a program for a target: `kprobe/tcp_sendmsg`. Only what libbpf understands stands in it; where that
    /// is not the target, the section's name alone.
    fn section(&self, target: &str) -> String {
        let name = self.sections().first().copied().unwrap_or_default();
        if is_plain(target) { format!("{name}/{target}") } else { name.to_owned() }
    }

    /// The target that stands in a section behind its name and the `/`.
    fn target_of_section(&self, rest: &str) -> Option<String> {
        let rest = rest.trim_start_matches('/');
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    /// Tags of the structs that programs of this kind alone get as context, as in `xdp_md`: they tell the kind of a
    /// function of which nothing else is said. One that ends in `__` is the start of tags.
    fn contexts(&self) -> &'static [&'static str] {
        &[]
    }

    /// What a program of this kind is handed.
    fn context(&self) -> Context;

    /// The C expression for the argument of that number, from 1, of what a program with registers is attached to.
    fn argument(&self, number: usize) -> String {
        format!("PT_REGS_PARM{number}(ctx)")
    }

    /// How many arguments there are at most that parameters can be bound to: those that are handed over in registers.
    fn most_arguments(&self) -> usize {
        6
    }

    /// What is missed when the kernel cannot run a program of this kind: `hits`, or `returns`. None where nothing is,
    /// beyond what the program itself counts.
    fn misses(&self) -> Option<&'static str> {
        None
    }

    /// The kind that serves the same function better where the kernel and the program allow it: fentry for kprobe,
    /// fexit for kretprobe.
    fn better(&self) -> Option<&'static str> {
        None
    }

    /// The type of its programs in the kernel.
    fn program_type(&self) -> ProgramType;

    /// Takes a target apart: what stands behind `NAME:`.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError>;

    /// Attaches a loaded program.
    ///
    /// # Errors
    /// The kernel's, with the target as subject; `EINVAL` for a target of another kind.
    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error>;
}

/// What attaching may need to know beside program and target.
#[derive(Debug, Clone, Copy)]
pub struct Options<'o> {
    /// Tracefs, or why it cannot be had. Tracepoints need it; kretprobes use it for more slots.
    pub tracefs: Result<&'o Tracefs, &'o std::io::Error>,
    /// How many threads may be inside of a probed function at once, as far as is known: sizes kretprobes.
    pub threads: u64,
    /// The traced processes; empty for all.
    pub pids: &'o [u32],
    /// The probe's maps: some programs are attached to one.
    pub maps: &'o [Map],
    /// Whether the program was loaded for one link to many functions.
    pub many: bool,
    /// Events that were opened ahead.
    pub early: &'o Early,
    /// Where arguments of USDT probes are noted for several versions of the probe; none where libbpf does that for one.
    pub usdt: Option<&'o Arc<Specs>>,
}

/// A program that is attached to one target. Dropping it detaches, and leaves nothing behind.
#[derive(Debug)]
#[must_use = "dropping an attachment detaches the program"]
pub struct Attachment {
    state: Arc<State>,
    /// What the user should know about it.
    note: Option<String>,
}

/// What an attachment missed: can be asked from any thread, and once more when it is detached. A definition in the
/// kernel that does the counting lives as long as this.
#[derive(Debug, Clone)]
pub struct Missed {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Empty when detached.
    links: Mutex<Vec<Held>>,
    /// What the link said last.
    missed: AtomicU64,
    definition: Option<kretprobe::Definition>,
}

/// What keeps a program attached at one place; dropping it detaches.
#[derive(Debug)]
enum Held {
    /// A link in libbpf's hands.
    Link(Link),
    /// A link, or a socket that the program is a filter of.
    Descriptor(OwnedFd),
    /// A filter of traffic control, of a kernel that has no links for it.
    Filter(#[expect(dead_code, reason = "it is held to be dropped")] TcFilter),
    /// An iterator, which runs when it is read.
    Iterator(KernelIterator),
    /// Where the arguments of a USDT probe are.
    Arguments(#[expect(dead_code, reason = "it is held to be dropped")] Entry),
    /// Another attachment.
    Other(Attachment),
}

impl Attachment {
    /// An attachment that is no more than its link.
    fn new(link: Link) -> Self {
        Self::with(link, None, None)
    }

    fn with(link: Link, definition: Option<kretprobe::Definition>, note: Option<String>) -> Self {
        Self::holding(vec![Held::Link(link)], definition, note)
    }

    fn holding(links: Vec<Held>, definition: Option<kretprobe::Definition>, note: Option<String>) -> Self {
        let state = State { links: Mutex::new(links), missed: AtomicU64::new(0), definition };
        Self { state: Arc::new(state), note }
    }

    /// What the user should know about how it was attached.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The iterator, if it is one.
    pub fn iterator(&self) -> Option<KernelIterator> {
        let links = self.state.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().find_map(|held| match held {
            Held::Iterator(iterator) => Some(iterator.clone()),
            _ => None,
        })
    }

    /// Pins what holds it, so that the program stays attached: at the path, or at `PATH_1` and so on for further links.
    ///
    /// # Errors
    /// The kernel's, and `EOPNOTSUPP` for what has no link, or more than it: a filter of traffic control before Linux 6.6, a USDT probe's arguments. What was pinned
    /// before stays pinned.
    pub fn pin(&self, path: &Path, pinned: &mut Vec<PathBuf>) -> Result<(), Error> {
        let links = self.state.links.lock().unwrap_or_else(PoisonError::into_inner);
        for held in links.iter() {
            let number = pinned.len();
            let mut name = path.as_os_str().to_owned();
            if number > 0 {
                name.push(format!("_{number}"));
            }
            let own = PathBuf::from(name);
            match held {
                Held::Link(link) => link.pin(&own)?,
                Held::Descriptor(link) => pin::pin(link.as_fd(), &own)?,
                Held::Iterator(iterator) => pin::pin(iterator.link(), &own)?,
                Held::Other(other) => {
                    other.pin(path, pinned)?;
                    continue;
                }
                // What is known of the arguments goes with this process.
                Held::Filter(_) | Held::Arguments(_) => {
                    return Err(Error::new(format!("pin at `{}`", own.display()), libc::EOPNOTSUPP));
                }
            }
            pinned.push(own);
        }
        Ok(())
    }

    /// One attachment for each of many names. Those that the kernel does not let be probed are left out and counted.
    fn each(
        names: &[String],
        what: impl Fn() -> String,
        attach: impl Fn(&str) -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        let mut held = Vec::new();
        let mut refused = None;
        let mut left_out = 0_usize;
        for name in names {
            match attach(name) {
                Ok(attachment) => held.push(Held::Other(attachment)),
                Err(error)
                    if matches!(error.errno, libc::EINVAL | libc::ENOENT | libc::EADDRNOTAVAIL | libc::EILSEQ) =>
                {
                    left_out += 1;
                    refused = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        if held.is_empty() {
            return Err(refused.unwrap_or_else(|| Error::new(what(), libc::ENOENT)));
        }
        let mut note = format!("{} functions, one link each", held.len());
        if left_out > 0 {
            note.push_str(&format!("; {left_out} more fit, and the kernel does not let them be probed"));
        }
        Ok(Self::holding(held, None, Some(note)))
    }

    /// What it missed.
    pub fn missed(&self) -> Missed {
        Missed { state: Arc::clone(&self.state) }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Not counting is no reason not to detach.
        let _ = self.missed().count();
        drop(std::mem::take(&mut *self.state.links.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

impl Missed {
    /// How many hits of a kprobe or returns of a function were missed since it was attached, as far as the kernel
    /// counts them.
    ///
    /// # Errors
    /// When the kernel's count cannot be read.
    pub fn count(&self) -> Result<u64, Error> {
        if let Some(definition) = &self.state.definition {
            return definition.missed();
        }
        let links = self.state.links.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missed = 0_u64;
        for held in links.iter() {
            let more = match held {
                Held::Link(link) => link.missed()?.unwrap_or(0),
                Held::Other(attachment) => attachment.missed().count()?,
                Held::Descriptor(_) | Held::Filter(_) | Held::Iterator(_) | Held::Arguments(_) => 0,
            };
            missed = missed.saturating_add(more);
        }
        if !links.is_empty() {
            self.state.missed.store(missed, Ordering::Relaxed);
        }
        Ok(self.state.missed.load(Ordering::Relaxed))
    }
}

/// The rows. A test walks them.
pub static KINDS: &[&dyn Kind] = &[
    &kprobe::Kprobe,
    &kretprobe::Kretprobe,
    &fentry::Fentry,
    &fentry::Fexit,
    &uprobe::Uprobe,
    &uprobe::Uretprobe,
    &usdt::Usdt,
    &tracepoint::Tracepoint,
    &raw_tracepoint::RawTracepoint,
    &traced::TP_BTF,
    &traced::LSM,
    &traced::FMOD_RET,
    &iter::Iter,
    &perf_event::Row,
    &network::XDP,
    &network::TC,
    &network::SOCKET,
    &network::FLOW_DISSECTOR,
    &network::SK_LOOKUP,
    &cgroup::SKB,
    &cgroup::SOCK,
    &cgroup::SOCK_ADDR,
    &cgroup::SOCK_OPS,
    &cgroup::SOCKOPT,
    &cgroup::DEVICE,
    &cgroup::SYSCTL,
    &sockmap::SK_SKB,
    &sockmap::SK_MSG,
    &loaded::SCHED_ACT,
    &loaded::LWT_IN,
    &loaded::LWT_OUT,
    &loaded::LWT_XMIT,
    &loaded::LWT_SEG6LOCAL,
    &loaded::SK_REUSEPORT,
];

/// The row of that name.
pub fn by_name(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// The row that a person means by a word: its name, or another one of it.
pub fn by_word(word: &str) -> Option<&'static dyn Kind> {
    by_name(word).or_else(|| KINDS.iter().copied().find(|kind| kind.aliases().contains(&word)))
}

/// The row of a kind, of a section, or of the type of programs that users of libbpf name: `raw_tracepoint`, `classifier`,
/// `socket_filter`.
pub fn by_type(name: &str) -> Option<&'static dyn Kind> {
    let of_type = || KINDS.iter().copied().find(|kind| kind.program_type().name() == name);
    by_word(name).or_else(|| by_section(name).map(|(kind, _)| kind)).or_else(of_type)
}

/// The kind that the name of a function means, and its target: `kprobe__tcp_sendmsg` is a kprobe of `tcp_sendmsg`. The
/// longest prefix counts.
pub fn by_function(function: &str) -> Option<(&'static dyn Kind, String)> {
    let fitting = KINDS.iter().copied().flat_map(|kind| kind.prefixes().iter().map(move |prefix| (kind, *prefix)));
    let fitting = fitting.filter_map(|(kind, prefix)| Some((kind, prefix, function.strip_prefix(prefix)?)));
    let (kind, _, rest) = fitting.filter(|(_, _, rest)| !rest.is_empty()).max_by_key(|(_, prefix, _)| prefix.len())?;
    Some((kind, kind.target_of_name(rest)))
}

/// The kind that a section means, and its target: `kprobe/tcp_sendmsg`, `tp/sched/sched_switch`, `cgroup/connect4`.
pub fn by_section(section: &str) -> Option<(&'static dyn Kind, Option<String>)> {
    let section = section.strip_prefix('?').unwrap_or(section);
    let of = |name: &str| KINDS.iter().copied().find(|kind| kind.sections().contains(&name));
    if let Some(kind) = of(section) {
        return Some((kind, None));
    }
    let (name, rest) = section.split_once('/')?;
    of(name).map(|kind| (kind, kind.target_of_section(rest)))
}

/// The kind that the context's type means, and its target where the type tells it: `bpf_iter__task` is an iterator over
/// tasks. `tag` is the struct's name.
pub fn by_context(tag: &str) -> Option<(&'static dyn Kind, Option<String>)> {
    let tags = KINDS.iter().copied().flat_map(|kind| kind.contexts().iter().map(move |known| (kind, *known)));
    let fitting = tags.filter_map(|(kind, known)| match known.ends_with("__") {
        true => tag.strip_prefix(known).map(|rest| (kind, Some(kind.target_of_name(rest)))),
        false => (tag == known).then_some((kind, None)),
    });
    fitting.into_iter().next()
}

/// Whether a target may stand in the name of a section.
fn is_plain(target: &str) -> bool {
    target.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':'))
}

/// The error for a target that resolution made for another kind.
fn wrong_target(kind: &dyn Kind, target: &Target) -> Error {
    Error::new(format!("attach a {} to `{target}`, which is another kind of target", kind.name()), libc::EINVAL)
}

/// Makes a [`TargetError`] of a reason.
fn target_error(kind: &dyn Kind, text: &str) -> impl FnOnce(String) -> TargetError {
    let (kind, grammar, target) = (kind.name(), kind.grammar(), text.to_owned());
    move |why| TargetError { kind, target, why, grammar }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_whole() {
        let mut names = std::collections::BTreeSet::new();
        for kind in KINDS {
            for name in kind.aliases().iter().chain([&kind.name()]) {
                assert!(names.insert(*name), "{name} is there twice");
            }
            assert!(kind.grammar().starts_with(&format!("{}:", kind.name())), "{}", kind.grammar());
            assert!(!kind.summary().is_empty() && !kind.sections().is_empty(), "{}", kind.name());
            let error = kind.parse_target("").unwrap_err().to_string();
            assert!(error.contains(kind.grammar()), "{error}");
            if let Some(better) = kind.better() {
                assert!(by_name(better).is_some(), "{better}");
            }
        }
    }

    #[test]
    fn names_of_functions_mean_kinds() {
        let check = |function: &str, expect: Option<(&str, &str)>| {
            let found = by_function(function);
            let found = found.as_ref().map(|(kind, target)| (kind.name(), target.as_str()));
            assert_eq!(found, expect, "{function}");
        };
        check("kprobe__tcp_sendmsg", Some(("kprobe", "tcp_sendmsg")));
        check("kretprobe__tcp_sendmsg", Some(("kretprobe", "tcp_sendmsg")));
        #[cfg(target_arch = "x86_64")]
        check("kprobe__sys_clone", Some(("kprobe", "__x64_sys_clone")));
        check("tracepoint__sock__inet_sock_set_state", Some(("tracepoint", "sock:inet_sock_set_state")));
        check("raw_tracepoint__sched_switch", Some(("raw_tracepoint", "sched_switch")));
        check("kfunc__vmlinux__vfs_read", Some(("fentry", "vfs_read")));
        check("kfunc__vfs_read", Some(("fentry", "vfs_read")));
        check("kretfunc__vmlinux__vfs_read", Some(("fexit", "vfs_read")));
        check("kprobe__", None);
        check("hello", None);
    }
}
