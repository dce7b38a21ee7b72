//! File systems and folders.

use crate::cache::Cache;
use crate::kernel::capability::Capability;
use crate::kernel::mounts::{self, Mountable};

use super::finding::Finding;
use super::host::{Host, SEE_RIGHTS, words};

pub(super) fn tracefs(host: &Host) -> Finding {
    let command = Mountable::TRACEFS.command();
    let mend = format!("`{command}`, or `dbcc doctor --mount`");
    let costs = "no tracepoints, and no `dbcc trace`";
    let tracefs = match host.kernel.tracefs() {
        Ok(tracefs) => tracefs,
        Err(error) if Mountable::TRACEFS.is_mounted() => {
            return Finding::missing(error.to_string(), costs, SEE_RIGHTS);
        }
        Err(error) => return Finding::missing(error.to_string(), costs, with_error(host, Mountable::TRACEFS, mend)),
    };
    if let Err(error) = tracefs.read("events/sched/sched_switch/id") {
        let mend = if tracefs.is_mounted() { SEE_RIGHTS } else { &mend };
        return Finding::missing(error.to_string(), costs, mend);
    }
    if tracefs.is_mounted() {
        return Finding::ok("mounted, and can be read");
    }
    let costs = "nothing to root: dbcc opens one of its own while it runs; other tools and other users have none";
    Finding::limited("not mounted", costs, with_error(host, Mountable::TRACEFS, mend))
}

pub(super) fn traceable_functions(host: &Host) -> Finding {
    let costs = "patterns of kernel functions try each name, and leave out what is refused";
    let Ok(tracefs) = host.kernel.tracefs() else {
        return Finding::unknown("there is no tracefs to read", "see tracefs");
    };
    match tracefs.read("available_filter_functions") {
        Ok(list) => Finding::ok(format!("{} functions can be traced", list.lines().count())),
        Err(error) => {
            Finding::limited(error.to_string(), costs, "use a kernel that lets root read it (not locked down)")
        }
    }
}

pub(super) fn bpffs(host: &Host) -> Finding {
    if Mountable::BPFFS.is_mounted() {
        return Finding::ok(format!("mounted at {}", Mountable::BPFFS.place));
    }
    let mend = format!("`{}`, or `dbcc doctor --mount`", Mountable::BPFFS.command());
    let costs = "nothing can be pinned: no maps that outlive their probe, and no `dbcc load --pin`";
    Finding::limited("not mounted", costs, with_error(host, Mountable::BPFFS, mend))
}

/// How to mend it, with what became of trying.
fn with_error(host: &Host, what: Mountable, mend: String) -> String {
    match host.mount_error(what) {
        Some(error) => format!("{mend}; mounting failed just now: {}", words(error)),
        None => mend,
    }
}

pub(super) fn cgroup2(host: &Host) -> Finding {
    let costs = "nothing can be attached to cgroups";
    match mounts::places("cgroup2").first() {
        Some(_) if !host.rights.is_some_and(|rights| rights.allows(Capability::NET_ADMIN)) => {
            Finding::unknown("this process may not attach to cgroups", SEE_RIGHTS)
        }
        Some(place) => Finding::ok(format!("mounted at {}", crate::escape::harmless(place))),
        None => Finding::limited("not mounted", costs, "`mount -t cgroup2 none /sys/fs/cgroup`"),
    }
}

pub(super) fn cache(_: &Host) -> Finding {
    match Cache::open() {
        Ok(cache) => Finding::ok(format!("compiled probes are kept in {}", cache.path().display())),
        Err(error) => {
            let mend = "set XDG_CACHE_HOME to a folder that only you can write to";
            Finding::limited(error.to_string(), "every start compiles, 0.1 s each", mend)
        }
    }
}
