//! usdt: the probes that a program's authors put into it (`DTRACE_PROBE`, `<sys/sdt.h>`), by breakpoints at all places
//! where one stands.

use std::path::Path;
use std::sync::Arc;

use super::{Attachment, Context, Kind, Memory, Options, Target, TargetError, TargetSpec};
use super::{Held, UsdtSite, target, target_error, wrong_target};
use crate::bpf::multi::{self, Site};
use crate::bpf::perf_event::Pmu;
use crate::bpf::program::ProgramType;
use crate::bpf::usdt::{Entry, Spec, Specs};
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

    fn aliases(&self) -> &'static [&'static str] {
        &["U"]
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

    fn attach(&self, program: Program<'_>, target: &Target, options: &Options<'_>) -> Result<Attachment, Error> {
        let Target::Usdt { open, provider, name, semaphore, pid, sites, .. } = target else {
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
        let attached = match options.usdt {
            Some(specs) => at_sites(program, specs, open, sites, *pid),
            None => program.attach_usdt(open, provider, name, *pid).map(Attachment::new),
        };
        attached.map_err(|mut error| {
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

/// Attaches a program to all sites, with what tells versions of a probe where the arguments are.
fn at_sites(
    program: Program<'_>,
    specs: &Arc<Specs>,
    open: &Path,
    sites: &[UsdtSite],
    pid: Option<u32>,
) -> Result<Attachment, Error> {
    let what = || "attach to its sites".to_owned();
    // Sites with the same arguments share a number.
    let mut entries: Vec<(&Spec, Entry)> = Vec::new();
    let mut places = Vec::new();
    for site in sites {
        let spec = site.spec.as_ref().ok_or_else(|| Error {
            said: format!("an argument, or the semaphore, of the site at +{:#x} is in no known place", site.offset),
            ..Error::new(what(), libc::EINVAL)
        })?;
        let known = entries.iter().find(|(known, _)| *known == spec).map(|(_, entry)| entry.number());
        let cookie = match known {
            Some(number) => number,
            None => {
                let entry = specs.enter(spec)?;
                let number = entry.number();
                entries.push((spec, entry));
                number
            }
        };
        places.push(Site { offset: site.offset, counter: site.semaphore, cookie });
    }
    let mut held = Vec::new();
    if program.attaches_to_many_places() {
        let fd = program.fd().ok_or_else(|| Error::new(what(), libc::EBADF))?;
        let link = multi::sites(fd, open, &places, pid).map_err(|error| Error::from_io(what(), &error))?;
        held.push(Held::Descriptor(link));
    } else {
        let pmu = Pmu::uprobe().map_err(|error| Error::from_io(what(), &error))?;
        for Site { offset, counter, cookie } in places {
            let event = pmu.site(open, offset, counter, pid).map_err(|error| Error::from_io(what(), &error))?;
            held.push(Held::Link(program.attach_perf_event_with(event, cookie, "its sites")?));
        }
    }
    // Numbers are free again when the links are gone.
    held.extend(entries.into_iter().map(|(_, entry)| Held::Arguments(entry)));
    Ok(Attachment::holding(held, None, None))
}
