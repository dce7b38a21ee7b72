//! `dbcc doctor`: what this machine lets dbcc do, what is missing, what that costs, and how to mend it.

use std::io::{self, Write};

use crate::cli::DoctorArgs;
use crate::kernel::mounts::Mountable;

mod attaching;
mod compiler;
mod files;
mod finding;
mod host;
mod place;
mod placed;
mod running;
mod show;
mod system;
mod traced;

pub use finding::{Finding, State};
use host::Host;

/// What a check decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Without it no probe runs.
    Running,
    /// Without all of these no probe runs.
    Attaching,
    /// Without it no probe is compiled.
    Compiling,
    /// Something less.
    Other,
}

/// One thing that is looked at.
struct Check {
    group: &'static str,
    name: &'static str,
    part: Part,
    look: fn(&Host) -> Finding,
    /// The attach kinds that it decides about.
    kinds: &'static [&'static str],
}

const fn row(group: &'static str, name: &'static str, part: Part, look: fn(&Host) -> Finding) -> Check {
    Check { group, name, part, look, kinds: &[] }
}

/// A row that decides about attach kinds.
const fn attach(name: &'static str, part: Part, look: fn(&Host) -> Finding, kinds: &'static [&'static str]) -> Check {
    Check { group: "attach", name, part, look, kinds }
}

impl Check {
    fn decides_compiling(&self) -> bool {
        self.part == Part::Compiling
    }
}

/// The rows, in the order in which they are shown.
static CHECKS: &[Check] = &[
    row("kernel", "version", Part::Other, system::version),
    row("kernel", "architecture", Part::Compiling, system::architecture),
    row("kernel", "btf", Part::Running, system::btf),
    row("kernel", "jit", Part::Other, running::jit),
    row("kernel", "lockdown", Part::Other, system::lockdown),
    row("rights", "load", Part::Running, running::load),
    row("rights", "capabilities", Part::Other, running::capabilities),
    row("rights", "memlock", Part::Other, running::memlock),
    row("rights", "unprivileged_bpf_disabled", Part::Other, running::unprivileged_bpf),
    row("rights", "perf_event_paranoid", Part::Other, running::perf_event_paranoid),
    row("rights", "kptr_restrict", Part::Other, running::kernel_pointers),
    row("rights", "ptrace", Part::Other, running::ptrace),
    attach("kprobe", Part::Attaching, attaching::kprobe, &["kprobe", "kretprobe"]),
    attach("kprobe_multi", Part::Other, attaching::kprobe_multi, &[]),
    attach("fentry", Part::Attaching, attaching::fentry, &["fentry", "fexit"]),
    attach("fmod_ret", Part::Other, traced::fmod_ret, &["fmod_ret"]),
    attach("lsm", Part::Other, traced::lsm, &["lsm"]),
    attach("uprobe", Part::Attaching, attaching::uprobe, &["uprobe", "uretprobe", "usdt"]),
    attach("uprobe_multi", Part::Other, attaching::uprobe_multi, &[]),
    attach("usdt_semaphores", Part::Other, attaching::usdt_semaphores, &[]),
    attach("tracepoint", Part::Attaching, attaching::tracepoint, &["tracepoint"]),
    attach("raw_tracepoint", Part::Attaching, attaching::raw_tracepoint, &["raw_tracepoint"]),
    attach("tp_btf", Part::Other, traced::tp_btf, &["tp_btf"]),
    attach("iterator", Part::Other, attaching::iterator, &["iter"]),
    attach("software_events", Part::Other, attaching::software_events, &["perf_event"]),
    attach("hardware_events", Part::Other, attaching::hardware_events, &["perf_event"]),
    attach("xdp", Part::Other, placed::xdp, &["xdp"]),
    attach("tc", Part::Other, placed::tc, &["tc"]),
    attach("packet_socket", Part::Other, placed::packet_socket, &["socket"]),
    attach("flow_dissector", Part::Other, placed::flow_dissector, &["flow_dissector"]),
    attach("sk_lookup", Part::Other, placed::sk_lookup, &["sk_lookup"]),
    attach("cgroup", Part::Other, placed::cgroup, placed::CGROUP),
    attach("socket_map", Part::Other, placed::socket_map, placed::SOCKET_MAP),
    attach("verified_only", Part::Other, placed::verified_only, placed::VERIFIED),
    row("output", "ring_buffer", Part::Other, attaching::ring_buffer),
    row("output", "statistics", Part::Other, attaching::statistics),
    row("files", "tracefs", Part::Other, files::tracefs),
    row("files", "traceable_functions", Part::Other, files::traceable_functions),
    row("files", "bpffs", Part::Other, files::bpffs),
    row("files", "cgroup2", Part::Other, files::cgroup2),
    row("files", "cache", Part::Other, files::cache),
    row("place", "container", Part::Other, place::container),
    row("place", "pid_namespace", Part::Other, place::pid_namespace),
    row("place", "user_namespace", Part::Other, place::user_namespace),
    row("compiler", "clang", Part::Compiling, compiler::clang),
    row("compiler", "libclang", Part::Compiling, compiler::libclang),
    row("compiler", "compile", Part::Compiling, compiler::compile),
];

/// What probes can do on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are compiled and run.
    Runs,
    /// Those that were compiled elsewhere run.
    RunsObjects,
    /// None runs.
    RunsNothing,
}

/// Looks at everything, shows it, in lines of at most `width` columns where there is a terminal, and says what probes can do here.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &DoctorArgs, width: Option<usize>, out: &mut dyn Write) -> io::Result<Verdict> {
    let mounted = if args.mount { [Mountable::TRACEFS, Mountable::BPFFS].map(host::mount).into() } else { Vec::new() };
    let host = Host::new(mounted);
    let findings: Vec<(&Check, Finding)> = CHECKS.iter().map(|check| (check, (check.look)(&host))).collect();
    let verdict = verdict(&findings);
    if args.json {
        show::json(&findings, verdict, out)?
    } else {
        show::text(&findings, verdict, width, out)?
    }
    Ok(verdict)
}

fn verdict(findings: &[(&Check, Finding)]) -> Verdict {
    let of = |part: Part| findings.iter().filter(move |(check, _)| check.part == part).map(|(_, finding)| finding);
    let lacks = |part: Part| of(part).any(|finding| finding.state == State::Missing);
    let attaches = of(Part::Attaching).any(|finding| matches!(finding.state, State::Ok | State::Limited));
    if lacks(Part::Running) || !attaches {
        Verdict::RunsNothing
    } else if lacks(Part::Compiling) {
        Verdict::RunsObjects
    } else {
        Verdict::Runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(missing: &[&str], expect: Verdict) {
        let finding = |check: &Check| match missing.contains(&check.name) {
            true => Finding::missing("", "", ""),
            false => Finding::ok(""),
        };
        let findings: Vec<_> = CHECKS.iter().map(|check| (check, finding(check))).collect();
        assert_eq!(verdict(&findings), expect, "{missing:?}");
    }

    #[test]
    fn one_way_to_attach_is_enough_and_a_compiler_is_not_needed_for_objects() {
        check(&[], Verdict::Runs);
        check(&["kprobe", "fentry", "tracepoint", "raw_tracepoint", "uprobe_multi", "tracefs"], Verdict::Runs);
        check(&["kprobe", "fentry", "tracepoint", "raw_tracepoint", "uprobe"], Verdict::RunsNothing);
        check(&["libclang"], Verdict::RunsObjects);
        check(&["clang", "compile", "load"], Verdict::RunsNothing);
        check(&["btf"], Verdict::RunsNothing);
    }

    #[test]
    fn every_kind_has_a_row() {
        let kinds = crate::kind::KINDS.iter().map(|kind| kind.name());
        let lacking: Vec<_> = kinds.filter(|kind| !CHECKS.iter().any(|check| check.kinds.contains(kind))).collect();
        assert!(lacking.is_empty(), "the doctor does not try {lacking:?}");
        let unknown = CHECKS.iter().flat_map(|check| check.kinds).filter(|kind| crate::kind::by_name(kind).is_none());
        assert_eq!(unknown.count(), 0);
    }

    #[test]
    fn every_check_has_a_name_of_its_own_and_is_documented() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut names = std::collections::BTreeSet::new();
        for check in CHECKS {
            assert!(names.insert(check.name), "{} is there twice", check.name);
            assert!(text.contains(&format!("| `{}` |", check.name)), "docs/doctor.md does not have {}", check.name);
        }
    }
}
