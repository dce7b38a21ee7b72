//! Programs of a map of sockets (`BPF_SOCKMAP`, `BPF_SOCKHASH`): they see what its sockets receive and send.

use super::placed::{Place, Placed, hook};
use crate::bpf::program::{AttachType, ProgramType};

/// The row for what sockets receive.
pub(super) static SK_SKB: Placed = Placed {
    name: "sk_skb",
    summary: "what the sockets in a map of the probe receive: where messages end, and where they go",
    grammar: "sk_skb:MAP:parser|verdict|skb_verdict",
    program_type: ProgramType::SkSkb,
    sections: &["sk_skb", "sk_skb/stream_parser", "sk_skb/stream_verdict", "sk_skb/verdict"],
    contexts: &[],
    place: Place::Map,
    hooks: &[
        hook("parser", "sk_skb/stream_parser", AttachType::SK_SKB_STREAM_PARSER),
        hook("verdict", "sk_skb/stream_verdict", AttachType::SK_SKB_STREAM_VERDICT),
        hook("skb_verdict", "sk_skb/verdict", AttachType::SK_SKB_VERDICT),
    ],
};

/// The row for what sockets send.
pub(super) static SK_MSG: Placed = Placed {
    name: "sk_msg",
    summary: "what the sockets in a map of the probe send",
    grammar: "sk_msg:MAP",
    program_type: ProgramType::SkMsg,
    sections: &["sk_msg"],
    contexts: &["sk_msg_md"],
    place: Place::Map,
    hooks: &[hook("", "sk_msg", AttachType::SK_MSG_VERDICT)],
};
