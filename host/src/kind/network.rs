//! Programs that see packets: xdp at the driver, tc at the queueing layer, socket at a packet socket, and those of a network
//! namespace.

use super::placed::{Hook, Place, Placed, hook};
use crate::bpf::program::{AttachType, ProgramType};

/// The row for programs in the driver. The flags are those of include/uapi/linux/if_link.h.
pub(super) static XDP: Placed = Placed {
    name: "xdp",
    summary: "packets as an interface receives them, before the kernel looks at them",
    grammar: "xdp:INTERFACE[:generic|:native|:offload]",
    program_type: ProgramType::Xdp,
    sections: &["xdp", "xdp.frags", "xdp/devmap", "xdp/cpumap"],
    contexts: &["xdp_md"],
    place: Place::Interface,
    hooks: &[
        hook("", "xdp", AttachType::XDP),
        Hook { name: "generic", section: "xdp", attach_type: AttachType::XDP, flags: 1 << 1 },
        Hook { name: "native", section: "xdp", attach_type: AttachType::XDP, flags: 1 << 2 },
        Hook { name: "offload", section: "xdp", attach_type: AttachType::XDP, flags: 1 << 3 },
    ],
};

/// The row for traffic control.
pub(super) static TC: Placed = Placed {
    name: "tc",
    summary: "packets that an interface receives or sends, by traffic control (a classifier that acts itself)",
    grammar: "tc:INTERFACE:ingress|egress",
    program_type: ProgramType::SchedCls,
    sections: &["tc", "classifier", "tcx/ingress", "tcx/egress", "tc/ingress", "tc/egress"],
    contexts: &[],
    place: Place::Traffic,
    hooks: &[
        hook("ingress", "tcx/ingress", AttachType::TCX_INGRESS),
        hook("egress", "tcx/egress", AttachType::TCX_EGRESS),
    ],
};

/// The row for packet sockets.
pub(super) static SOCKET: Placed = Placed {
    name: "socket",
    summary: "packets that pass an interface, as a packet socket sees them",
    grammar: "socket:INTERFACE",
    program_type: ProgramType::SocketFilter,
    sections: &["socket"],
    contexts: &["__sk_buff"],
    place: Place::Packets,
    hooks: &[hook("", "socket", AttachType::NONE)],
};

/// The row for flow dissectors.
pub(super) static FLOW_DISSECTOR: Placed = Placed {
    name: "flow_dissector",
    summary: "how packets are sorted into flows, in a network namespace",
    grammar: "flow_dissector:/proc/PID/ns/net",
    program_type: ProgramType::FlowDissector,
    sections: &["flow_dissector"],
    contexts: &[],
    place: Place::NetNamespace,
    hooks: &[hook("", "flow_dissector", AttachType::FLOW_DISSECTOR)],
};

/// The row for socket lookup.
pub(super) static SK_LOOKUP: Placed = Placed {
    name: "sk_lookup",
    summary: "which listening socket gets a connection, in a network namespace",
    grammar: "sk_lookup:/proc/PID/ns/net",
    program_type: ProgramType::SkLookup,
    sections: &["sk_lookup"],
    contexts: &["bpf_sk_lookup"],
    place: Place::NetNamespace,
    hooks: &[hook("", "sk_lookup", AttachType::SK_LOOKUP)],
};
