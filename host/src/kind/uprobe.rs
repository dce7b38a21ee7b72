//! uprobe and uretprobe: an instruction of a program or library, and a function's return, by a breakpoint in the
//! memory of the processes that run it.

use super::{Attachment, Context, Kind, Memory, Options, Target, TargetError, TargetSpec};
use super::{target, target_error, wrong_target};
use crate::bpf::perf_event::Pmu;
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// The row for entries.
pub(super) struct Uprobe;

/// The row for returns.
pub(super) struct Uretprobe;

impl Kind for Uprobe {
    fn name(&self) -> &'static str {
        "uprobe"
    }

    fn summary(&self) -> &'static str {
        "a function of a program or library, at its entry or an offset behind it"
    }

    fn grammar(&self) -> &'static str {
        "uprobe:[BINARY:]FUNCTION[+OFFSET]"
    }

    fn sections(&self) -> &'static [&'static str] {
        &["uprobe", "uprobe.s"]
    }

    /// The target names a file, which may not be where the object is loaded.
    fn section(&self, _target: &str) -> String {
        "uprobe".to_owned()
    }

    fn target_of_section(&self, rest: &str) -> Option<String> {
        target::user_section(rest)
    }

    fn context(&self) -> Context {
        Context::Registers { returns: false, memory: Memory::User }
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Kprobe
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        target::user_function(text).map_err(target_error(self, text))
    }

    fn attach(&self, program: Program<'_>, target: &Target, _: &Options<'_>) -> Result<Attachment, Error> {
        attach(self, program, target, false)
    }
}

impl Kind for Uretprobe {
    fn name(&self) -> &'static str {
        "uretprobe"
    }

    fn summary(&self) -> &'static str {
        "a function of a program or library, at its return"
    }

    fn grammar(&self) -> &'static str {
        "uretprobe:[BINARY:]FUNCTION"
    }

    fn sections(&self) -> &'static [&'static str] {
        &["uretprobe", "uretprobe.s"]
    }

    fn section(&self, _target: &str) -> String {
        "uretprobe".to_owned()
    }

    fn target_of_section(&self, rest: &str) -> Option<String> {
        target::user_section(rest)
    }

    fn context(&self) -> Context {
        Context::Registers { returns: true, memory: Memory::User }
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Kprobe
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        match target::user_function(text) {
            Ok(TargetSpec::UserFunction { offset, .. }) if offset != 0 => {
                Err(target_error(self, text)("it has an offset, and only a whole function has a return".into()))
            }
            other => other.map_err(target_error(self, text)),
        }
    }

    fn attach(&self, program: Program<'_>, target: &Target, _: &Options<'_>) -> Result<Attachment, Error> {
        attach(self, program, target, true)
    }
}

fn attach(kind: &dyn Kind, program: Program<'_>, target: &Target, returns: bool) -> Result<Attachment, Error> {
    let Target::UserFunction { open, offset, pid, .. } = target else { return Err(wrong_target(kind, target)) };
    let subject = format!("{} `{target}`", kind.name());
    let event = Pmu::uprobe().and_then(|pmu| pmu.user_function(open, *offset, *pid, returns)).map_err(|error| {
        let mut error = Error::from_io(format!("attach to {subject}"), &error);
        error.said = match error.errno {
            libc::ENOENT if Pmu::uprobe().is_err() => "this kernel was built without uprobes".to_owned(),
            libc::ENOENT => format!("{} is not there any more", open.display()),
            libc::ESRCH => format!("process {} ended", pid.unwrap_or_default()),
            libc::EINVAL => "there is no instruction that the kernel can probe".to_owned(),
            _ => error.said,
        };
        error
    })?;
    program.attach_perf_event(event, &subject).map(Attachment::new)
}
