//! uprobe and uretprobe: an instruction of a program or library, and a function's return, by a breakpoint in the
//! memory of the processes that run it.

use std::path::Path;

use super::{Attachment, Context, Held, Kind, Memory, Options, Target, TargetError, TargetSpec, UserPlace};
use super::{target, target_error, wrong_target};
use crate::bpf::multi;
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

    fn aliases(&self) -> &'static [&'static str] {
        &["u"]
    }

    fn summary(&self) -> &'static str {
        "a function of a program or library, at its entry and all inlined copies, or an instruction of one"
    }

    fn grammar(&self) -> &'static str {
        "uprobe:[BINARY:]FUNCTION[+OFFSET]|ADDRESS|FILE:LINE|PATTERN"
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

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        attach(self, program, target, options, false)
    }
}

impl Kind for Uretprobe {
    fn name(&self) -> &'static str {
        "uretprobe"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ur"]
    }

    fn summary(&self) -> &'static str {
        "a function of a program or library, at its return"
    }

    fn grammar(&self) -> &'static str {
        "uretprobe:[BINARY:]FUNCTION|PATTERN"
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
            Ok(TargetSpec::UserFunction { function, .. }) if target::is_instruction(&function) => {
                Err(target_error(self, text)("it is an instruction, and only a whole function has a return".into()))
            }
            other => other.map_err(target_error(self, text)),
        }
    }

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        attach(self, program, target, options, true)
    }
}

fn attach(
    kind: &dyn Kind,
    program: Program<'_>,
    target: &Target,
    options: &Options<'_>,
    returns: bool,
) -> Result<Attachment, Error> {
    let subject = format!("{} `{target}`", kind.name());
    let what = || format!("attach to {subject}");
    match target {
        Target::UserFunction { open, places, pid, .. } if options.many => {
            let fd = program.fd().ok_or_else(|| Error::new(what(), libc::EBADF))?;
            let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
            let link = multi::user_functions(fd, open, &offsets, *pid, returns)
                .map_err(|error| explain(Error::from_io(what(), &error), open, *pid))?;
            Ok(Attachment::holding(vec![Held::Descriptor(link)], None, note(places, "one link")))
        }
        Target::UserFunction { open, shown, function, places, pid } => {
            // All places or none: what is attached already is dropped with the error.
            let attached = places.iter().map(|place| {
                let subject = match places.len() {
                    1 => subject.clone(),
                    _ => format!("{} `{shown}:{function} {place}`", kind.name()),
                };
                one(program, &subject, open, place.offset, *pid, returns, options)
            });
            let mut attached = attached.collect::<Result<Vec<Attachment>, Error>>()?;
            match attached.pop() {
                Some(only) if attached.is_empty() => Ok(only),
                Some(last) => {
                    attached.push(last);
                    let held = attached.into_iter().map(Held::Other).collect();
                    Ok(Attachment::holding(held, None, note(places, "one link each")))
                }
                None => Err(Error::new(what(), libc::ENOENT)),
            }
        }
        Target::UserFunctions { open, functions, pid, .. } if options.many => {
            let fd = program.fd().ok_or_else(|| Error::new(what(), libc::EBADF))?;
            let offsets: Vec<u64> = functions.iter().map(|(_, offset)| *offset).collect();
            let link = multi::user_functions(fd, open, &offsets, *pid, returns)
                .map_err(|error| explain(Error::from_io(what(), &error), open, *pid))?;
            let note = format!("{} functions, one link", functions.len());
            Ok(Attachment::holding(vec![Held::Descriptor(link)], None, Some(note)))
        }
        Target::UserFunctions { open, functions, pid, shown, .. } => {
            let names: Vec<String> = functions.iter().map(|(name, _)| name.clone()).collect();
            let offset =
                |name: &str| functions.iter().find(|(known, _)| known == name).map_or(0, |(_, offset)| *offset);
            Attachment::each(&names, what, |name| {
                one(program, &format!("{} `{shown}:{name}`", kind.name()), open, offset(name), *pid, returns, options)
            })
        }
        _ => Err(wrong_target(kind, target)),
    }
}

/// The places, where they are more than the target's text tells.
fn note(places: &[UserPlace], how: &str) -> Option<String> {
    let list: Vec<String> = places.iter().map(UserPlace::to_string).collect();
    (list.len() > 1).then(|| format!("at {}, {how}", list.join(", ")))
}

fn one(
    program: Program<'_>,
    subject: &str,
    open: &Path,
    offset: u64,
    pid: Option<u32>,
    returns: bool,
    options: &Options<'_>,
) -> Result<Attachment, Error> {
    let event = options.early.take(open, offset, pid, returns);
    let event = event
        .unwrap_or_else(|| Pmu::uprobe().and_then(|pmu| pmu.user_function(open, offset, pid, returns)))
        .map_err(|error| explain(Error::from_io(format!("attach to {subject}"), &error), open, pid))?;
    program.attach_perf_event(event, subject).map(Attachment::new)
}

fn explain(mut error: Error, open: &Path, pid: Option<u32>) -> Error {
    error.said = match error.errno {
        libc::ENOENT if Pmu::uprobe().is_err() => "this kernel was built without uprobes".to_owned(),
        libc::ENOENT => format!("{} is not there any more", open.display()),
        libc::ESRCH => format!("process {} ended", pid.unwrap_or_default()),
        libc::EINVAL => "there is no instruction that the kernel can probe".to_owned(),
        _ => error.said,
    };
    error
}
