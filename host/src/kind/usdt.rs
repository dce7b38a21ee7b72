//! usdt: the probes that a program's authors put into it (`DTRACE_PROBE`, `<sys/sdt.h>`), by breakpoints at all places
//! where one stands.

use std::path::Path;

use super::{Attachment, Context, Kind, Memory, Options, Target, TargetError, TargetSpec};
use super::{target, target_error, wrong_target};
use crate::bpf::program::ProgramType;
use crate::bpf::{Error, Program};

/// What the kernel shows where it counts semaphores up (Linux 4.20, "trace_uprobe: support reference counter in fd-based
/// uprobe").
const COUNTS_SEMAPHORES: &str = "/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset";

/// The most arguments that libbpf hands over (`BPF_USDT_MAX_ARG_CNT` of usdt.bpf.h); `<sys/sdt.h>` knows as many.
const MOST_ARGUMENTS: usize = 12;

/// The row.
pub(super) struct Usdt;

impl Kind for Usdt {
    fn name(&self) -> &'static str {
        "usdt"
    }

    fn summary(&self) -> &'static str {
        "a USDT probe of a program or library, wherever it stands in the code"
    }

    fn grammar(&self) -> &'static str {
        "usdt:[BINARY:][PROVIDER:]NAME"
    }

    fn sections(&self) -> &'static [&'static str] {
        &["usdt", "usdt.s"]
    }

    fn section(&self, _target: &str) -> String {
        "usdt".to_owned()
    }

    fn target_of_section(&self, rest: &str) -> Option<String> {
        target::user_section(rest)
    }

    fn context(&self) -> Context {
        Context::Registers { returns: false, memory: Memory::User }
    }

    fn argument(&self, number: usize) -> String {
        format!("dbcc_usdt_value(ctx, {number})")
    }

    fn most_arguments(&self) -> usize {
        MOST_ARGUMENTS
    }

    fn program_type(&self) -> ProgramType {
        ProgramType::Kprobe
    }

    fn parse_target(&self, text: &str) -> Result<TargetSpec, TargetError> {
        target::usdt(text).map_err(target_error(self, text))
    }

    fn attach(&self, program: Program<'_>, target: &Target, _: &Options<'_>) -> Result<Attachment, Error> {
        let Target::Usdt { open, provider, name, semaphore, pid, .. } = target else {
            return Err(wrong_target(self, target));
        };
        if *semaphore && !Path::new(COUNTS_SEMAPHORES).exists() {
            let mut error = Error::new(format!("attach to usdt `{target}`"), libc::EOPNOTSUPP);
            error.said =
                "the probe has a semaphore, without which the program leaves it out, and this kernel cannot count it \
                          up: that needs Linux 4.20"
                    .to_owned();
            return Err(error);
        }
        program.attach_usdt(open, provider, name, *pid).map(Attachment::new).map_err(|mut error| {
            error.what = format!("attach to usdt `{target}`");
            match error.errno {
                libc::ESRCH if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) => {
                    error.said = format!("process {} ended", pid.unwrap_or_default());
                }
                // libbpf, of a shared library on a kernel without attach cookies.
                libc::ENOTSUP if pid.is_none() && error.said.contains("without specific PID") => {
                    error.said =
                        "kernels before Linux 5.15 tell sites of a library apart in one process only: give --pid"
                            .to_owned();
                }
                _ => {}
            }
            error
        })
    }
}
