//! Attach kinds: one file each, one row each in [`KINDS`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Link, Program};
use crate::kernel::tracefs::Tracefs;

mod fentry;
mod kprobe;
mod kretprobe;
mod raw_tracepoint;
pub mod target;
mod tracepoint;
mod uprobe;
mod usdt;

pub use kretprobe::remove_stale;
pub use target::{Target, TargetError, TargetSpec};

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
    /// Something else: the context is passed on as it is.
    Opaque,
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
    /// None when detached.
    link: Mutex<Option<Link>>,
    /// What the link said last.
    missed: AtomicU64,
    definition: Option<kretprobe::Definition>,
}

impl Attachment {
    /// An attachment that is no more than its link.
    fn new(link: Link) -> Self {
        Self::with(link, None, None)
    }

    fn with(link: Link, definition: Option<kretprobe::Definition>, note: Option<String>) -> Self {
        let state = State { link: Mutex::new(Some(link)), missed: AtomicU64::new(0), definition };
        Self { state: Arc::new(state), note }
    }

    /// What the user should know about how it was attached.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
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
        drop(self.state.link.lock().unwrap_or_else(PoisonError::into_inner).take());
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
        if let Some(link) = self.state.link.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            self.state.missed.store(link.missed()?.unwrap_or(0), Ordering::Relaxed);
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
];

/// The row of that name.
pub fn by_name(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// The kind that the name of a function means, and its target: `kprobe__tcp_sendmsg` is a kprobe of `tcp_sendmsg`. The
/// longest prefix counts.
pub fn by_function(function: &str) -> Option<(&'static dyn Kind, String)> {
    let fitting = KINDS.iter().copied().flat_map(|kind| kind.prefixes().iter().map(move |prefix| (kind, *prefix)));
    let fitting = fitting.filter_map(|(kind, prefix)| Some((kind, prefix, function.strip_prefix(prefix)?)));
    let (kind, _, rest) = fitting.filter(|(_, _, rest)| !rest.is_empty()).max_by_key(|(_, prefix, _)| prefix.len())?;
    Some((kind, kind.target_of_name(rest)))
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
            assert!(names.insert(kind.name()), "{} is there twice", kind.name());
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
