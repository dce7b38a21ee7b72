//! raw_tracepoint: a tracepoint whose program gets the arguments of the call, before a record is made of them.

use super::{Attachment, Context, Kind, Options, Target, TargetError, TargetSpec};
use super::{target, target_error, wrong_target};
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// The row.
pub(super) struct RawTracepoint;

impl Kind for RawTracepoint {
    fn name(&self) -> &'static str {
        "raw_tracepoint"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["rt", "rawtp", "raw_tp", "rawtracepoint"]
    }

    fn summary(&self) -> &'static str {
        "a tracepoint of the kernel, with the arguments of its call"
    }

    fn grammar(&self) -> &'static str {
        "raw_tracepoint:EVENT"
    }

    fn prefixes(&self) -> &'static [&'static str] {
        &["raw_tracepoint__"]
    }

    fn sections(&self) -> &'static [&'static str] {
        &["raw_tracepoint", "raw_tp", "raw_tracepoint.w", "raw_tp.w"]
    }

    fn contexts(&self) -> &'static [&'static str] {
        &["bpf_raw_tracepoint_args"]
    }

    fn context(&self) -> Context {
        Context::RawArguments
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::RawTracepoint
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        target::raw_tracepoint(text).map_err(target_error(self, text))
    }

    fn attach(&self, program: Program<'_>, target: &Target, _: &Options<'_>) -> Result<Attachment, Error> {
        match target {
            Target::RawTracepoint { name } => program.attach_raw_tracepoint(name).map(Attachment::new),
            _ => Err(wrong_target(self, target)),
        }
    }
}
