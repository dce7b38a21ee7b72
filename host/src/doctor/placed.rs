//! Programs of interfaces, namespaces, cgroups and maps of sockets: attached where nobody else is, to an interface of a network
//! namespace and to an empty cgroup that are made for it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, Mode, mkdirat, unlinkat};

use crate::bpf::link::{self, Place};
use crate::bpf::program::{AttachType, ProgramType};
use crate::bpf::{Error, sys, trial};
use crate::kernel::capability::Capability;
use crate::kind;

use super::finding::Finding;
use super::host::{Host, SEE_RIGHTS, words};

/// What became of programs in a network namespace.
pub(super) struct Network {
    xdp: Result<(), Error>,
    traffic_control: Result<(), Error>,
    packets: Result<(), Error>,
    flow_dissector: Result<(), Error>,
    sk_lookup: Result<(), Error>,
}

/// Tries all that belongs to a network, in one of its own.
pub(super) fn network() -> io::Result<Network> {
    sys::in_network_namespace(|| {
        let interface = link::interface("lo")?;
        let namespace = File::open("/proc/thread-self/ns/net")?;
        let namespace = Place::File(namespace.as_fd());
        Ok(Network {
            xdp: trial::place(ProgramType::Xdp, interface),
            traffic_control: trial::traffic_control(interface),
            packets: trial::packets(interface),
            flow_dissector: trial::place(ProgramType::FlowDissector, namespace),
            sk_lookup: trial::place(ProgramType::SkLookup, namespace),
        })
    })?
}

pub(super) fn xdp(host: &Host) -> Finding {
    let costs = "no xdp: tc sees the packets that an interface receives, a little later";
    of_network(host, |network| &network.xdp, costs, "use Linux 5.9 or later")
}

pub(super) fn tc(host: &Host) -> Finding {
    let costs = "no tc: packets that an interface sends are seen by no program of its own";
    let mend = "use Linux 6.6 or later, or `modprobe -a sch_ingress cls_bpf` (Debian's kernels have them)";
    of_network(host, |network| &network.traffic_control, costs, mend)
}

pub(super) fn packet_socket(host: &Host) -> Finding {
    let costs = "no socket: xdp and tc see packets too";
    of_network(host, |network| &network.packets, costs, "use a kernel with CONFIG_PACKET; it needs CAP_NET_RAW")
}

pub(super) fn flow_dissector(host: &Host) -> Finding {
    of_network(host, |network| &network.flow_dissector, "no flow_dissector", "use Linux 5.7 or later")
}

pub(super) fn sk_lookup(host: &Host) -> Finding {
    let costs = "no sk_lookup: no probe can choose the socket of a connection";
    of_network(host, |network| &network.sk_lookup, costs, "use Linux 5.9 or later")
}

fn of_network(host: &Host, of: impl Fn(&Network) -> &Result<(), Error>, costs: &str, mend: &str) -> Finding {
    let network = match host.network() {
        Ok(network) => network,
        Err(error) => {
            let seen = format!("not tried: the kernel refuses a network namespace to try it in: {}", words(error));
            return Finding::unknown(seen, SEE_RIGHTS);
        }
    };
    match of(network) {
        Ok(()) => Finding::ok("a program was attached in a network namespace of its own"),
        Err(error) => host.refused(error, costs, remedy(host, error, mend)),
    }
}

/// Another kernel does not help those who lack a right.
fn remedy<'m>(host: &Host, error: &Error, mend: &'m str) -> &'m str {
    let may = host.rights.is_none_or(|rights| rights.allows(Capability::NET_ADMIN));
    if error.is_permission() && !may { SEE_RIGHTS } else { mend }
}

/// Those of cgroups.
pub(super) const CGROUP: &[&str] =
    &["cgroup_skb", "cgroup_sock", "cgroup_sock_addr", "sock_ops", "cgroup_sockopt", "cgroup_device", "cgroup_sysctl"];

pub(super) fn cgroup(host: &Host) -> Finding {
    let group = match EmptyCgroup::new() {
        Ok(group) => group,
        Err(error) => {
            let seen = format!("not tried: no cgroup can be made to try it in: {}", words(&error));
            return Finding::unknown(seen, "run it as root, who may make one");
        }
    };
    let place = Place::File(group.folder.as_fd());
    let seen = "each kind was attached to an empty cgroup, and taken away";
    of_each(
        host,
        CGROUP,
        |kind| trial::place(kind, place),
        seen,
        "use Linux 5.7 or later, built with CONFIG_CGROUP_BPF",
    )
}

/// Those of maps of sockets.
pub(super) const SOCKET_MAP: &[&str] = &["sk_skb", "sk_msg"];

pub(super) fn socket_map(host: &Host) -> Finding {
    let attach = |kind| match kind {
        ProgramType::SkSkb => trial::socket_map(kind, AttachType::SK_SKB_STREAM_VERDICT),
        _ => trial::socket_map(kind, AttachType::SK_MSG_VERDICT),
    };
    let seen = "each kind was attached to an empty map of sockets";
    of_each(host, SOCKET_MAP, attach, seen, "use a kernel with CONFIG_NET_SOCK_MSG and CONFIG_BPF_STREAM_PARSER")
}

/// Those that others than dbcc attach.
pub(super) const VERIFIED: &[&str] = &["sched_act", "lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "sk_reuseport"];

pub(super) fn verified_only(host: &Host) -> Finding {
    let seen = "each kind is loaded; others than dbcc attach them";
    of_each(host, VERIFIED, trial::loads, seen, "use a kernel with CONFIG_LWTUNNEL_BPF and CONFIG_IPV6_SEG6_BPF")
}

/// One finding about several kinds.
fn of_each(
    host: &Host,
    names: &[&str],
    attempt: impl Fn(ProgramType) -> Result<(), Error>,
    seen: &str,
    mend: &str,
) -> Finding {
    let kinds = names.iter().filter_map(|name| kind::by_name(name));
    let refused = |kind: &dyn kind::Kind| Some((kind.name(), attempt(kind.program_type()).err()?));
    let refused: Vec<(&str, Error)> = kinds.filter_map(refused).collect();
    let Some((_, first)) = refused.first() else { return Finding::ok(seen) };
    let refused_names: Vec<&str> = refused.iter().map(|(name, _)| *name).collect();
    let costs = format!("no {}", refused_names.join(", no "));
    if refused.len() == names.len() {
        return host.refused(first, &costs, remedy(host, first, mend));
    }
    Finding::limited(format!("{} refused: {first}", refused_names.join(", ")), costs, remedy(host, first, mend))
}

/// A cgroup without processes, which is seen through its descriptor whether or not the file system is mounted.
struct EmptyCgroup {
    parent: OwnedFd,
    name: String,
    folder: File,
}

impl EmptyCgroup {
    fn new() -> io::Result<Self> {
        let parent = sys::detached_mount(c"cgroup2")?;
        // Processes of other namespaces may have the same id.
        let name = format!("dbcc-doctor-{}-{}", std::process::id(), sys::monotonic());
        mkdirat(&parent, &name, Mode::RWXU)?;
        match sys::open_at(parent.as_fd(), &name, libc::O_RDONLY | libc::O_DIRECTORY) {
            Ok(folder) => Ok(Self { parent, name, folder }),
            Err(error) => {
                let _ = unlinkat(&parent, &name, AtFlags::REMOVEDIR);
                Err(error)
            }
        }
    }
}

impl Drop for EmptyCgroup {
    fn drop(&mut self) {
        // Nothing is in it, so that nothing but its absence keeps it from going.
        let _ = unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
    }
}
