//! kprobe: any instruction of the kernel, by a breakpoint.

use super::{Attachment, Context, Held, Kind, Memory, Options, Target, TargetError, TargetSpec};
use super::{target, target_error, wrong_target};
use crate::bpf::multi;
use crate::bpf::perf_event::Pmu;
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// The row.
pub(super) struct Kprobe;

impl Kind for Kprobe {
    fn name(&self) -> &'static str {
        "kprobe"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["k"]
    }

    fn summary(&self) -> &'static str {
        "a function of the kernel, at its entry or an offset behind it"
    }

    fn grammar(&self) -> &'static str {
        "kprobe:FUNCTION[+OFFSET]|PATTERN"
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["kprobe__"]
    }

    fn target_of_name(&self, rest: &str) -> String {
        target::system_call(rest)
    }

    fn sections(&self) -> &'static [&'static str] {
        &["kprobe"]
    }

    fn context(&self) -> Context {
        Context::Registers { returns: false, memory: Memory::Kernel }
    }

    fn misses(&self) -> Option<&'static str> {
        Some("hits")
    }

    fn better(&self) -> Option<&'static str> {
        Some("fentry")
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Kprobe
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        target::kernel_functions(text).map_err(target_error(self, text))
    }

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        match target {
            Target::KernelFunction { name, offset } => one(program, name, *offset),
            Target::KernelFunctions { names, .. } if options.many => many(self, program, target, names, false),
            Target::KernelFunctions { names, .. } => {
                Attachment::each(names, || format!("attach to kprobe `{target}`"), |name| one(program, name, 0))
            }
            _ => Err(wrong_target(self, target)),
        }
    }
}

fn one(program: Program<'_>, name: &str, offset: u64) -> Result<Attachment, Error> {
    let subject = match offset {
        0 => format!("kprobe `{name}`"),
        offset => format!("kprobe `{name}+{offset:#x}`"),
    };
    let event = Pmu::kprobe()
        .and_then(|pmu| pmu.kernel_function(name, offset, false))
        .map_err(|error| explain(Error::from_io(format!("attach to {subject}"), &error), name))?;
    program.attach_perf_event(event, &subject).map(Attachment::new)
}

/// Attaches to the entries or returns of many functions by one link.
pub(super) fn many(
    kind: &dyn Kind,
    program: Program<'_>,
    target: &Target,
    names: &[String],
    returns: bool,
) -> Result<Attachment, Error> {
    let what = || format!("attach to {} `{target}`", kind.name());
    let fd = program.fd().ok_or_else(|| Error::new(what(), libc::EBADF))?;
    let link = multi::kernel_functions(fd, names, returns).map_err(|error| Error::from_io(what(), &error))?;
    Ok(Attachment::holding(vec![Held::Descriptor(link)], None, Some(format!("{} functions, one link", names.len()))))
}

/// Adds what the error numbers of the kprobe PMU mean.
pub(super) fn explain(mut error: Error, function: &str) -> Error {
    if error.said.is_empty() {
        error.said = match error.errno {
            libc::ENOENT if Pmu::kprobe().is_err() => "this kernel was built without kprobes".to_owned(),
            libc::ENOENT => format!("the kernel has no function `{function}`"),
            libc::EADDRNOTAVAIL => format!("the kernel has several functions `{function}`"),
            libc::EINVAL => format!("the kernel does not let `{function}` be probed there"),
            _ => String::new(),
        };
    }
    error
}
