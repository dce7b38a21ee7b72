//! Whether this process is in the namespaces that the kernel began with.

use std::fs;

use crate::escape::harmless;

/// A kind of namespace whose first one has a fixed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Process ids.
    Pid,
    /// Users and capabilities.
    User,
    /// The view of the cgroups.
    Cgroup,
}

/// Whether this process is in the first namespace of a kind. In the first of process ids they mean what they mean to
/// `bpf_get_current_pid_tgid`; capabilities of another than the first of users count for nothing in BPF. Where it cannot be
/// read, nothing is claimed, and the answer is yes.
pub fn is_first(kind: Namespace) -> bool {
    // `PROC_PID_INIT_INO` and its like of include/linux/proc_ns.h.
    let (name, number) = match kind {
        Namespace::Pid => ("pid", 0xEFFF_FFFC_u32),
        Namespace::User => ("user", 0xEFFF_FFFD),
        Namespace::Cgroup => ("cgroup", 0xEFFF_FFFB),
    };
    let own = fs::read_link(format!("/proc/self/ns/{name}"));
    own.map_or(true, |own| own.as_os_str().to_str() == Some(&format!("{name}:[{number}]")))
}

/// What made the container that this process runs in, and how that is known; none where nothing tells.
pub fn container() -> Option<String> {
    // The first two are made by Docker and by Podman; the third is systemd's, with the name in it (Container Interface).
    for (file, maker) in [("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman")] {
        if fs::exists(file).unwrap_or(false) {
            return Some(format!("made by {maker} ({file})"));
        }
    }
    let file = "/run/systemd/container";
    let maker = fs::read_to_string(file).ok()?;
    Some(format!("made by {} ({file})", harmless(maker.trim())))
}
