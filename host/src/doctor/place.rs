//! Where this process runs: containers and namespaces.

use crate::kernel::namespaces::{self, Namespace};

use super::finding::Finding;
use super::host::Host;

pub(super) fn container(_: &Host) -> Finding {
    let own: Vec<&str> = [(Namespace::Pid, "pid"), (Namespace::User, "user"), (Namespace::Cgroup, "cgroup")]
        .into_iter()
        .filter(|(kind, _)| !namespaces::is_first(*kind))
        .map(|(_, name)| name)
        .collect();
    let spaces = match own.as_slice() {
        [] => "the host's namespaces".to_owned(),
        names => format!("namespaces of its own: {}", names.join(", ")),
    };
    match namespaces::container() {
        Some(maker) => Finding::ok(format!("{maker}; {spaces}")),
        None => Finding::ok(format!("none is known; {spaces}")),
    }
}

pub(super) fn pid_namespace(_: &Host) -> Finding {
    if namespaces::is_first(Namespace::Pid) {
        return Finding::ok("the first: process ids are those that programs see");
    }
    let costs = "programs see the ids of the host, and FILTER_PID compares with those of this namespace: it lets nothing, or the \
                 wrong process, through";
    let mend = "run dbcc on the host, or in a container with the host's processes (Docker: `--pid=host`; Kubernetes: `hostPID: true`)";
    Finding::limited("one of its own", costs, mend)
}

pub(super) fn user_namespace(_: &Host) -> Finding {
    if namespaces::is_first(Namespace::User) {
        return Finding::ok("the first: capabilities count");
    }
    let costs = "capabilities that this process has here count for nothing in BPF: no probe runs";
    Finding::missing(
        "one of its own",
        costs,
        "run dbcc on the host, not in a rootless container or under `unshare --user`",
    )
}
