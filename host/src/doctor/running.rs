//! What this process may do.

use std::fs;

use rustix::process::{Resource, geteuid, getrlimit};

use crate::kernel;
use crate::kernel::capability::{self, Capability};
use crate::kernel::namespaces::{self, Namespace};

use super::finding::Finding;
use super::host::{Host, RIGHTS, SEE_RIGHTS};

pub(super) fn load(host: &Host) -> Finding {
    let error = match host.program() {
        Ok(_) => return Finding::ok("the kernel takes a program"),
        Err(error) => error,
    };
    let costs = "no probe runs";
    if !error.is_permission() {
        let mend = "use a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_BPF_EVENTS=y";
        return Finding::missing(error.to_string(), costs, mend);
    }
    let missing = capability::missing();
    let (why, mend) = if !missing.is_empty() {
        (format!("this process lacks {}", missing.join(" and ")), SEE_RIGHTS)
    } else if !namespaces::is_first(Namespace::User) {
        let why = "this process is root in a user namespace of its own only, which counts for nothing in BPF";
        (why.to_owned(), "run it outside of that namespace (of a rootless container: on the host)")
    } else if has_seccomp() {
        ("a seccomp filter is on".to_owned(), "allow the call bpf (Docker: `--cap-add BPF --cap-add PERFMON`)")
    } else {
        ("a security module or the kernel's configuration".to_owned(), "ask the kernel's log: `dmesg | tail`")
    };
    Finding::missing(format!("{error}: {why}"), costs, mend)
}

/// Whether system calls are filtered (`Seccomp` of proc_pid_status(5)).
fn has_seccomp() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// Who does not need a capability.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instead {
    /// Nobody.
    Nobody,
    /// Who has CAP_SYS_ADMIN.
    Admin,
    /// The user root, to whom the files belong.
    Root,
}

/// What each capability is for: what it costs not to have it.
const USES: [(&str, Capability, Instead, &str); 7] = [
    ("CAP_BPF", Capability::BPF, Instead::Admin, "no probe runs"),
    ("CAP_PERFMON", Capability::PERFMON, Instead::Admin, "no probe runs"),
    (
        "CAP_SYS_ADMIN",
        Capability::SYS_ADMIN,
        Instead::Nobody,
        "uprobes are refused, tracefs is not mounted where it is missing, runs of programs are not counted",
    ),
    ("CAP_DAC_READ_SEARCH", Capability::DAC_READ_SEARCH, Instead::Root, "tracefs cannot be read: no tracepoints"),
    ("CAP_SYS_PTRACE", Capability::SYS_PTRACE, Instead::Nobody, "no --pid of other users' processes"),
    ("CAP_NET_ADMIN", Capability::NET_ADMIN, Instead::Admin, "nothing is attached to interfaces, sockets and cgroups"),
    ("CAP_SYSLOG", Capability::SYSLOG, Instead::Admin, "addresses of the kernel are hidden"),
];

pub(super) fn capabilities(host: &Host) -> Finding {
    let Some(own) = host.rights else {
        return Finding::unknown("/proc/self/status does not tell them", "mount /proc");
    };
    let lacks = |capability, instead| match instead {
        Instead::Nobody => !own.has(capability),
        Instead::Admin => !own.allows(capability),
        Instead::Root => !own.has(capability) && !geteuid().is_root(),
    };
    let lacking: Vec<_> = USES.iter().filter(|(_, capability, instead, _)| lacks(*capability, *instead)).collect();
    if lacking.is_empty() {
        return Finding::ok("all that dbcc uses");
    }
    let names: Vec<&str> = lacking.iter().map(|(name, ..)| *name).collect();
    let mut costs: Vec<&str> = lacking.iter().map(|(.., costs)| *costs).collect();
    costs.dedup();
    let (seen, costs) = (format!("without {}", names.join(", ")), costs.join("; "));
    match capability::missing().is_empty() {
        true => Finding::limited(seen, costs, RIGHTS),
        false => Finding::missing(seen, costs, RIGHTS),
    }
}

pub(super) fn memlock(host: &Host) -> Finding {
    let limit = getrlimit(Resource::Memlock).current;
    let shown = limit.map_or("unlimited".to_owned(), |bytes| format!("{} KiB", bytes >> 10));
    // "bpf: Eliminate rlimit-based memory accounting", Linux 5.11.
    if kernel::is_at_least(5, 11) {
        return Finding::ok(format!("{shown}; this kernel does not count BPF in it"));
    }
    if limit.is_none() || host.rights.is_some_and(|rights| rights.has(Capability::SYS_RESOURCE)) {
        return Finding::ok(format!("{shown}; dbcc may raise it"));
    }
    let costs = "maps and programs that need more than that cannot be loaded";
    Finding::limited(format!("{shown}, and this process may not raise it"), costs, "`ulimit -l unlimited`, as root")
}

/// A number that the kernel shows below `/proc/sys`.
fn sysctl(path: &str) -> Option<i64> {
    fs::read_to_string(format!("/proc/sys/{path}")).ok()?.trim().parse().ok()
}

/// Whether the capabilities of this process count, and one is among them.
fn allows(host: &Host, capability: Capability) -> bool {
    host.rights.is_some_and(|rights| rights.allows(capability)) && namespaces::is_first(Namespace::User)
}

pub(super) fn unprivileged_bpf(host: &Host) -> Finding {
    let seen = match sysctl("kernel/unprivileged_bpf_disabled") {
        Some(0) => {
            "0: every user may load programs that filter sockets (`sysctl -w kernel.unprivileged_bpf_disabled=2` ends that)"
        }
        Some(1) => "1: only with rights, until the next boot",
        Some(2) => "2: only with rights",
        _ => "this kernel does not have the setting",
    };
    if allows(host, Capability::BPF) {
        return Finding::ok(seen);
    }
    Finding::limited(
        seen,
        "programs that trace are never for users without rights, whatever this setting is",
        SEE_RIGHTS,
    )
}

pub(super) fn perf_event_paranoid(host: &Host) -> Finding {
    let Some(level) = sysctl("kernel/perf_event_paranoid") else {
        return Finding::missing(
            "the kernel has no perf events",
            "no probe can be attached but raw tracepoints",
            "use another kernel",
        );
    };
    if allows(host, Capability::PERFMON) {
        return Finding::ok(format!("{level}; it does not bind this process"));
    }
    if level < 0 {
        return Finding::ok(format!("{level}: every user may trace"));
    }
    Finding::limited(
        level.to_string(),
        "events of the kernel and of all processes are for users with CAP_PERFMON",
        SEE_RIGHTS,
    )
}

pub(super) fn kernel_pointers(_: &Host) -> Finding {
    let level = sysctl("kernel/kptr_restrict").map_or("no setting".to_owned(), |level| level.to_string());
    // Addresses that are hidden are shown as 0 (Documentation/admin-guide/sysctl/kernel.rst).
    let symbols = fs::File::open("/proc/kallsyms").and_then(|file| {
        let mut start = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, 4096), &mut start)?;
        Ok(start)
    });
    let shown = |line: &str| line.split(' ').next().is_some_and(|address| address.bytes().any(|digit| digit != b'0'));
    match symbols {
        Ok(start) if start.lines().any(shown) => Finding::ok(format!("{level}; addresses of the kernel are shown")),
        Ok(_) => {
            let costs = "objects that use variables of the kernel (ksyms) do not load";
            let mend = "run it as root with `sysctl -w kernel.kptr_restrict=1` or 0";
            Finding::limited(format!("{level}; addresses of the kernel are hidden"), costs, mend)
        }
        Err(error) => {
            Finding::limited(format!("/proc/kallsyms: {error}"), "no patterns of kernel functions", "mount /proc")
        }
    }
}

pub(super) fn ptrace(host: &Host) -> Finding {
    let yama = match sysctl("kernel/yama/ptrace_scope") {
        Some(level) => {
            format!("kernel.yama.ptrace_scope is {level}, which dbcc does not need: it reads, and attaches to nothing")
        }
        None => "this kernel has no Yama".to_owned(),
    };
    if allows(host, Capability::SYS_PTRACE) && host.rights.is_some_and(|rights| rights.has(Capability::SYS_PTRACE)) {
        return Finding::ok(yama);
    }
    let costs = "binaries and libraries of processes of other users are not found by --pid";
    Finding::limited(format!("only own processes can be looked into; {yama}"), costs, SEE_RIGHTS)
}

pub(super) fn jit(host: &Host) -> Finding {
    let hardened = matches!(sysctl("net/core/bpf_jit_harden"), Some(1 | 2));
    match host.program() {
        Ok(taken) if taken.compiled && hardened => {
            Finding::ok("programs become code of this processor, hardened (net.core.bpf_jit_harden)")
        }
        Ok(taken) if taken.compiled => Finding::ok("programs become code of this processor"),
        Ok(_) => {
            let costs = "programs are interpreted, and every hit takes several times as long";
            Finding::limited("off", costs, "`sysctl -w net.core.bpf_jit_enable=1`")
        }
        Err(_) => match sysctl("net/core/bpf_jit_enable") {
            Some(1 | 2) => Finding::ok("on"),
            _ => Finding::unknown("this process may not load programs, and so cannot try", SEE_RIGHTS),
        },
    }
}
