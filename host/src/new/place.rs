//! From a place as it is named on the command line to what is known of it.

use std::cell::OnceCell;

use crate::kernel::Kernel;
use crate::kernel::tracepoint::Tracepoint;
use crate::kind::{self, TargetSpec};
use crate::prototype::{self, KernelPrototypes, Prototype};
use crate::resolve::{Finder, Missing};

use super::Wrong;

/// A place to be probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The name of its kind.
    pub(super) kind: &'static str,
    /// Its target as it stands in the probe.
    pub(super) target: String,
    /// What it is, for people.
    pub(super) title: String,
    /// What it takes and returns; else why that is not known.
    pub(super) prototype: Result<Prototype, String>,
    /// Whether the binary is that of the process which is given when the probe is run.
    pub(super) needs_pid: bool,
    /// What is to be known before it is probed.
    pub(super) notes: Vec<String>,
}

/// Looks places up.
pub(super) struct Places<'a> {
    finder: Finder<'a>,
    kernel: &'a Kernel,
    /// The binary of places that name none, as it is to stand in the probe; none where the process is given when it is run.
    binary: Option<&'a str>,
    prototypes: OnceCell<Option<KernelPrototypes<'a>>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(finder: Finder<'a>, kernel: &'a Kernel, binary: Option<&'a str>) -> Self {
        Self { finder, kernel, binary, prototypes: OnceCell::new() }
    }

    /// What is known of `KIND:TARGET`.
    pub(super) fn look_up(&mut self, kind: &'static str, target: &str) -> Result<Place, Wrong> {
        let row = kind::by_name(kind).ok_or_else(|| Wrong::new(format!("there is no kind `{kind}`")))?;
        let spec = row.parse_target(target).map_err(|error| Wrong::new(error.to_string()))?;
        let is_return = matches!(kind, "uretprobe" | "kretprobe" | "fexit");
        match spec {
            TargetSpec::UserFunction { binary, function, offset } => {
                self.user_function(kind, (binary, &function, offset), is_return)
            }
            TargetSpec::KernelFunction { name, offset } => self.kernel_function(kind, &name, offset),
            TargetSpec::Tracepoint { category, name } => self.tracepoint(&category, &name),
            TargetSpec::RawTracepoint { name } => self.raw_tracepoint(&name),
            TargetSpec::Usdt { binary, provider, name } => self.usdt(binary, provider.as_deref(), &name),
            _ => Err(Wrong::new(format!("`{kind}:{target}` may be many places, and each has arguments of its own"))
                .help("name one of them; `dbcc symbols --list` and `dbcc check --targets` show what a pattern fits")),
        }
    }

    fn user_function(
        &mut self,
        kind: &'static str,
        (binary, function, offset): (Option<String>, &str, u64),
        is_return: bool,
    ) -> Result<Place, Wrong> {
        if binary.is_none() && !self.finder.knows_binary() {
            return Err(Wrong::new(format!("`{kind}:{function}` names no binary"))
                .help(format!("write --{kind} BINARY:{function}, or give --binary or --pid")));
        }
        let written = binary.as_deref().or(self.binary).map(|binary| format!("{binary}:")).unwrap_or_default();
        let found = self.finder.user_function(binary.clone(), function, is_return)?;
        // A mangled name is written as people read it, unless that is the name of several.
        let mut name = symres::demangle(function);
        if name != function && self.finder.user_function(binary, &name, is_return).is_err() {
            function.clone_into(&mut name);
        }
        let inside = || "inside of a function its arguments are no longer where its caller put them".to_owned();
        let needs_pid = written.is_empty();
        let place = |target: String, title: String, prototype, notes| Place {
            kind,
            target,
            title,
            prototype,
            needs_pid,
            notes,
        };
        let Some(found) = found else {
            let target = format!("{written}{function}");
            return Ok(place(target.clone(), target, Err(inside()), Vec::new()));
        };
        let title = format!("{} in {}", found.function.name, found.shown);
        if offset != 0 {
            return Ok(place(
                format!("{written}{name}+{offset:#x}"),
                format!("{offset:#x} bytes behind the start of {title}"),
                Err(inside()),
                found.notes,
            ));
        }
        let prototype = prototype::user_function(&found.function, found.machine).ok_or_else(|| {
            "the binary has no debug information for it, and its name does not tell its parameters".to_owned()
        });
        Ok(place(format!("{written}{name}"), title, prototype, found.notes))
    }

    fn prototypes(&self) -> Option<&KernelPrototypes<'a>> {
        let make = || self.kernel.btf().ok().map(KernelPrototypes::new);
        self.prototypes.get_or_init(make).as_ref()
    }

    fn kernel_function(&self, kind: &'static str, name: &str, offset: u64) -> Result<Place, Wrong> {
        let in_module = name.contains(':');
        if !in_module {
            self.finder.kernel_function(name)?;
        }
        let known = self.prototypes().and_then(|prototypes| prototypes.function(name));
        let prototype = match known {
            _ if offset != 0 => {
                Err("behind its start its arguments are no longer where its caller put them".to_owned())
            }
            Some(prototype) => Ok(prototype),
            None if in_module => Err("it is a function of a module".to_owned()),
            None => Err("the kernel's types (BTF) do not have it".to_owned()),
        };
        if let (Err(why), "fentry" | "fexit", false) = (&prototype, kind, in_module) {
            return Err(Wrong::new(format!("`{kind}:{name}` cannot be attached: {why}"))
                .help(format!("probe it with --{}", if kind == "fexit" { "kretprobe" } else { "kprobe" })));
        }
        let offset = if offset == 0 { String::new() } else { format!("+{offset:#x}") };
        let title = format!("the kernel's {name}{offset}");
        Ok(Place { kind, target: format!("{name}{offset}"), title, prototype, needs_pid: false, notes: Vec::new() })
    }

    fn tracepoint(&self, category: &str, name: &str) -> Result<Place, Wrong> {
        let tracefs = self.kernel.tracefs().map_err(|error| Wrong::new(error.to_string()))?;
        let record = Tracepoint::read(tracefs, category, name).map_err(|error| Wrong::new(error.to_string()))?;
        let target = format!("{category}:{name}");
        Ok(Place {
            kind: "tracepoint",
            title: format!("the tracepoint {target}"),
            target,
            prototype: Ok(prototype::tracepoint(&record)),
            needs_pid: false,
            notes: Vec::new(),
        })
    }

    fn raw_tracepoint(&self, name: &str) -> Result<Place, Wrong> {
        let prototypes = match self.kernel.btf() {
            Ok(_) => self.prototypes(),
            Err(error) => return Err(Wrong::new(error.to_string())),
        };
        let prototype = prototypes.and_then(|prototypes| prototypes.raw_tracepoint(name));
        let Some(prototype) = prototype else {
            let all: Vec<String> = prototypes
                .into_iter()
                .flat_map(KernelPrototypes::tracepoints)
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect();
            let near = crate::diag::nearest(name, all.iter().map(String::as_str));
            let wrong = Wrong::new(format!("the kernel has no tracepoint `{name}`"));
            return Err(near.map_or(wrong.clone(), |near| wrong.note(format!("a name like it: {near}"))));
        };
        Ok(Place {
            kind: "raw_tracepoint",
            target: name.to_owned(),
            title: format!("the tracepoint {name}"),
            prototype: Ok(prototype),
            needs_pid: false,
            notes: Vec::new(),
        })
    }

    fn usdt(&mut self, binary: Option<String>, provider: Option<&str>, name: &str) -> Result<Place, Wrong> {
        let (shown, probe) = self.finder.usdt(binary.as_deref(), provider, name)?;
        let written = binary.as_deref().or(self.binary).map(|binary| format!("{binary}:")).unwrap_or_default();
        Ok(Place {
            kind: "usdt",
            target: format!("{written}{probe}"),
            title: format!("the USDT probe {probe} of {shown}"),
            prototype: Ok(prototype::usdt(&probe)),
            needs_pid: written.is_empty(),
            notes: Vec::new(),
        })
    }
}

impl From<Missing> for Wrong {
    fn from(missing: Missing) -> Self {
        let Missing { message, notes, help } = missing;
        Self { message, notes, help }
    }
}
