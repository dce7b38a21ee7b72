//! fentry and fexit: entry and return of a kernel function, by a trampoline that knows the function's BTF. They cost a
//! fraction of a kprobe, and fexit misses no return.

use super::{Attachment, Context, Kind, Options, Target, TargetError, TargetSpec};
use super::{target, target_error, wrong_target};
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// The row for entries.
pub(super) struct Fentry;

/// The row for returns.
pub(super) struct Fexit;

impl Kind for Fentry {
    fn name(&self) -> &'static str {
        "fentry"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["f", "kfunc"]
    }

    fn summary(&self) -> &'static str {
        "a function of the kernel at its entry, with typed arguments"
    }

    fn grammar(&self) -> &'static str {
        "fentry:[MODULE:]FUNCTION"
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["kfunc__", "fentry__"]
    }

    fn target_of_name(&self, rest: &str) -> String {
        target::module_function(rest)
    }

    fn sections(&self) -> &'static [&'static str] {
        &["fentry", "fentry.s"]
    }

    fn context(&self) -> Context {
        Context::Arguments { returns: false }
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Fentry
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        parse(self, text)
    }

    fn attach(&self, program: Program<'_>, target: &Target, _: &Options<'_>) -> Result<Attachment, Error> {
        attach(self, program, target)
    }
}

impl Kind for Fexit {
    fn name(&self) -> &'static str {
        "fexit"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["fr", "kretfunc"]
    }

    fn summary(&self) -> &'static str {
        "a function of the kernel at its return, with typed arguments and return value"
    }

    fn grammar(&self) -> &'static str {
        "fexit:[MODULE:]FUNCTION"
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["kretfunc__", "fexit__"]
    }

    fn target_of_name(&self, rest: &str) -> String {
        target::module_function(rest)
    }

    fn sections(&self) -> &'static [&'static str] {
        &["fexit", "fexit.s"]
    }

    fn context(&self) -> Context {
        Context::Arguments { returns: true }
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Fexit
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        parse(self, text)
    }

    fn attach(&self, program: Program<'_>, target: &Target, _: &Options<'_>) -> Result<Attachment, Error> {
        attach(self, program, target)
    }
}

fn parse(kind: &dyn Kind, text: &str) -> Result<TargetSpec, TargetError> {
    target::whole_function(text).map_err(target_error(kind, text))
}

fn attach(kind: &dyn Kind, program: Program<'_>, target: &Target) -> Result<Attachment, Error> {
    match target {
        // The function was chosen when the program was loaded.
        Target::KernelFunction { name, offset: 0 } => {
            program.attach_traced(&format!("the entry or return of `{name}`")).map(Attachment::new)
        }
        _ => Err(wrong_target(kind, target)),
    }
}
