//! Programs of a cgroup: what its processes send, receive, open and ask for.

use super::placed::{Place, Placed, hook};
use crate::bpf::program::{AttachType, ProgramType};

/// The row for packets.
pub(super) static SKB: Placed = Placed {
    name: "cgroup_skb",
    summary: "packets that the sockets of a cgroup receive or send",
    grammar: "cgroup_skb:/sys/fs/cgroup/PATH:ingress|egress",
    program_type: ProgramType::CgroupSkb,
    sections: &["cgroup/skb", "cgroup_skb/ingress", "cgroup_skb/egress"],
    contexts: &[],
    place: Place::Cgroup,
    hooks: &[
        hook("ingress", "cgroup_skb/ingress", AttachType::CGROUP_INET_INGRESS),
        hook("egress", "cgroup_skb/egress", AttachType::CGROUP_INET_EGRESS),
    ],
};

/// The row for sockets as they come and go.
pub(super) static SOCK: Placed = Placed {
    name: "cgroup_sock",
    summary: "sockets of a cgroup as they are made, bound and released",
    grammar: "cgroup_sock:/sys/fs/cgroup/PATH:create|release|post_bind4|post_bind6",
    program_type: ProgramType::CgroupSock,
    sections: &["cgroup/sock", "cgroup/sock_create", "cgroup/sock_release", "cgroup/post_bind4", "cgroup/post_bind6"],
    contexts: &["bpf_sock"],
    place: Place::Cgroup,
    hooks: &[
        hook("create", "cgroup/sock_create", AttachType::CGROUP_INET_SOCK_CREATE),
        hook("release", "cgroup/sock_release", AttachType::CGROUP_INET_SOCK_RELEASE),
        hook("post_bind4", "cgroup/post_bind4", AttachType::CGROUP_INET4_POST_BIND),
        hook("post_bind6", "cgroup/post_bind6", AttachType::CGROUP_INET6_POST_BIND),
    ],
};

/// The row for addresses.
pub(super) static SOCK_ADDR: Placed = Placed {
    name: "cgroup_sock_addr",
    summary: "addresses that the processes of a cgroup bind, connect and send to",
    grammar: "cgroup_sock_addr:/sys/fs/cgroup/PATH:bind4|bind6|connect4|connect6|sendmsg4|sendmsg6|recvmsg4|recvmsg6|\
              getpeername4|getpeername6|getsockname4|getsockname6",
    program_type: ProgramType::CgroupSockAddr,
    sections: &[
        "cgroup/connect4",
        "cgroup/connect6",
        "cgroup/bind4",
        "cgroup/bind6",
        "cgroup/sendmsg4",
        "cgroup/sendmsg6",
        "cgroup/recvmsg4",
        "cgroup/recvmsg6",
        "cgroup/getpeername4",
        "cgroup/getpeername6",
        "cgroup/getsockname4",
        "cgroup/getsockname6",
    ],
    contexts: &["bpf_sock_addr"],
    place: Place::Cgroup,
    hooks: &[
        hook("bind4", "cgroup/bind4", AttachType::CGROUP_INET4_BIND),
        hook("bind6", "cgroup/bind6", AttachType::CGROUP_INET6_BIND),
        hook("connect4", "cgroup/connect4", AttachType::CGROUP_INET4_CONNECT),
        hook("connect6", "cgroup/connect6", AttachType::CGROUP_INET6_CONNECT),
        hook("sendmsg4", "cgroup/sendmsg4", AttachType::CGROUP_UDP4_SENDMSG),
        hook("sendmsg6", "cgroup/sendmsg6", AttachType::CGROUP_UDP6_SENDMSG),
        hook("recvmsg4", "cgroup/recvmsg4", AttachType::CGROUP_UDP4_RECVMSG),
        hook("recvmsg6", "cgroup/recvmsg6", AttachType::CGROUP_UDP6_RECVMSG),
        hook("getpeername4", "cgroup/getpeername4", AttachType::CGROUP_INET4_GETPEERNAME),
        hook("getpeername6", "cgroup/getpeername6", AttachType::CGROUP_INET6_GETPEERNAME),
        hook("getsockname4", "cgroup/getsockname4", AttachType::CGROUP_INET4_GETSOCKNAME),
        hook("getsockname6", "cgroup/getsockname6", AttachType::CGROUP_INET6_GETSOCKNAME),
    ],
};

/// The row for what happens to TCP connections.
pub(super) static SOCK_OPS: Placed = Placed {
    name: "sock_ops",
    summary: "TCP connections of a cgroup: what happens to them, and their parameters",
    grammar: "sock_ops:/sys/fs/cgroup/PATH",
    program_type: ProgramType::SockOps,
    sections: &["sockops"],
    contexts: &["bpf_sock_ops"],
    place: Place::Cgroup,
    hooks: &[hook("", "sockops", AttachType::CGROUP_SOCK_OPS)],
};

/// The row for socket options.
pub(super) static SOCKOPT: Placed = Placed {
    name: "cgroup_sockopt",
    summary: "socket options that the processes of a cgroup read or set",
    grammar: "cgroup_sockopt:/sys/fs/cgroup/PATH:get|set",
    program_type: ProgramType::CgroupSockopt,
    sections: &["cgroup/getsockopt", "cgroup/setsockopt"],
    contexts: &["bpf_sockopt"],
    place: Place::Cgroup,
    hooks: &[
        hook("get", "cgroup/getsockopt", AttachType::CGROUP_GETSOCKOPT),
        hook("set", "cgroup/setsockopt", AttachType::CGROUP_SETSOCKOPT),
    ],
};

/// The row for devices.
pub(super) static DEVICE: Placed = Placed {
    name: "cgroup_device",
    summary: "device files that the processes of a cgroup open or make",
    grammar: "cgroup_device:/sys/fs/cgroup/PATH",
    program_type: ProgramType::CgroupDevice,
    sections: &["cgroup/dev"],
    contexts: &["bpf_cgroup_dev_ctx"],
    place: Place::Cgroup,
    hooks: &[hook("", "cgroup/dev", AttachType::CGROUP_DEVICE)],
};

/// The row for settings of the kernel.
pub(super) static SYSCTL: Placed = Placed {
    name: "cgroup_sysctl",
    summary: "settings in /proc/sys that the processes of a cgroup read or write",
    grammar: "cgroup_sysctl:/sys/fs/cgroup/PATH",
    program_type: ProgramType::CgroupSysctl,
    sections: &["cgroup/sysctl"],
    contexts: &["bpf_sysctl"],
    place: Place::Cgroup,
    hooks: &[hook("", "cgroup/sysctl", AttachType::CGROUP_SYSCTL)],
};
