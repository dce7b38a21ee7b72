//! tracepoint: a place that the kernel's authors provided, with a record of named fields.

use super::{Attachment, Context, Kind, Options, Target, TargetError, TargetSpec};
use super::{is_plain, target, target_error, wrong_target};
use crate::bpf::perf_event;
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};
use crate::kernel::tracepoint::nearest_event;

/// The row.
pub(super) struct Tracepoint;

impl Kind for Tracepoint {
    fn name(&self) -> &'static str {
        "tracepoint"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["t", "tp"]
    }

    fn summary(&self) -> &'static str {
        "a tracepoint of the kernel, with the fields of its record"
    }

    fn grammar(&self) -> &'static str {
        "tracepoint:CATEGORY:EVENT|PATTERN"
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["tracepoint__"]
    }

    fn target_of_name(&self, rest: &str) -> String {
        rest.replacen("__", ":", 1)
    }

    fn sections(&self) -> &'static [&'static str] {
        &["tracepoint", "tp"]
    }

    fn section(&self, target: &str) -> String {
        if is_plain(target) { format!("tracepoint/{}", target.replacen(':', "/", 1)) } else { "tracepoint".to_owned() }
    }

    fn target_of_section(&self, rest: &str) -> Option<String> {
        (!rest.is_empty()).then(|| rest.replacen('/', ":", 1))
    }

    fn contexts(&self) -> &'static [&'static str] {
        &["tracepoint__"]
    }

    fn context(&self) -> Context {
        Context::Record
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Tracepoint
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        target::tracepoint(text).map_err(target_error(self, text))
    }

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        let Target::Tracepoint { category, name } = target else { return Err(wrong_target(self, target)) };
        let subject = format!("tracepoint `{target}`");
        let what = || format!("attach to {subject}");
        let tracefs = options.tracefs.map_err(|error| Error::from_io(what(), error))?;
        let id = tracefs.read(&format!("events/{category}/{name}/id")).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let near = nearest_event(tracefs, category, name).map(|near| format!("; did you mean {near}?"));
                let said = format!("the kernel has no such tracepoint{}", near.unwrap_or_default());
                Error { said, ..Error::new(what(), libc::ENOENT) }
            }
            _ => Error::from_io(what(), &error),
        })?;
        let id = id.trim().parse().map_err(|_| Error::new(what(), libc::EINVAL))?;
        let event = perf_event::tracepoint(id).map_err(|error| Error::from_io(what(), &error))?;
        program.attach_perf_event(event, &subject).map(Attachment::new)
    }
}
