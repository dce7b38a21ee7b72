//! Kinds that are compiled and verified, and that others than dbcc attach: what each message says to use instead.

use super::placed::{Place, Placed};
use crate::bpf::program::ProgramType;

const fn row(
    name: &'static str,
    grammar: &'static str,
    summary: &'static str,
    program_type: ProgramType,
    sections: &'static [&'static str],
    contexts: &'static [&'static str],
    why: &'static str,
) -> Placed {
    Placed { name, summary, grammar, program_type, sections, contexts, place: Place::Nothing(why), hooks: &[] }
}

const ROUTES: &str = "such programs belong to a route, which `ip route add … encap bpf` makes; dbcc verifies them with \
                      `check --load` and cannot attach them; use tc:INTERFACE:ingress|egress to see packets";

/// The row for actions of traffic control.
pub(super) static SCHED_ACT: Placed = row(
    "sched_act",
    "sched_act:",
    "an action of traffic control; verified only",
    ProgramType::SchedAct,
    &["action"],
    &[],
    "an action needs a filter of its own, which `tc filter add … action bpf` makes; dbcc verifies it with `check --load`; \
     attach the function as tc:INTERFACE:ingress|egress, which acts by itself",
);

/// The row for incoming packets of a route.
pub(super) static LWT_IN: Placed = row(
    "lwt_in",
    "lwt_in:",
    "packets that a route receives; verified only",
    ProgramType::LwtIn,
    &["lwt_in"],
    &[],
    ROUTES,
);

/// The row for outgoing packets of a route.
pub(super) static LWT_OUT: Placed = row(
    "lwt_out",
    "lwt_out:",
    "packets that a route sends; verified only",
    ProgramType::LwtOut,
    &["lwt_out"],
    &[],
    ROUTES,
);

/// The row for packets of a route on their way out.
pub(super) static LWT_XMIT: Placed = row(
    "lwt_xmit",
    "lwt_xmit:",
    "packets that a route passes to an interface; verified only",
    ProgramType::LwtXmit,
    &["lwt_xmit"],
    &[],
    ROUTES,
);

/// The row for segment routing.
pub(super) static LWT_SEG6LOCAL: Placed = row(
    "lwt_seg6local",
    "lwt_seg6local:",
    "packets of segment routing; verified only",
    ProgramType::LwtSeg6local,
    &["lwt_seg6local"],
    &[],
    ROUTES,
);

/// The row for groups of sockets that share a port.
pub(super) static SK_REUSEPORT: Placed = row(
    "sk_reuseport",
    "sk_reuseport:",
    "which of the sockets that share a port gets a packet; verified only",
    ProgramType::SkReuseport,
    &["sk_reuseport"],
    &["sk_reuseport_md"],
    "the server itself attaches it to its socket (SO_ATTACH_REUSEPORT_EBPF); dbcc verifies it with `check --load`; use \
     sk_lookup:/proc/PID/ns/net to choose among sockets from outside",
);
