//! What is known without following values: contexts, types, helpers.

use super::Origin;
use crate::clang::{Type, TypeKind};
use crate::kind::{Context, Kind, Memory};

/// Sections of programs that trace: these have the helper that reads by the address (kernel/trace/bpf_trace.c,
/// `bpf_tracing_func_proto`).
const TRACING: &[&str] = &[
    "kprobe",
    "kretprobe",
    "uprobe",
    "uretprobe",
    "usdt",
    "tracepoint",
    "tp",
    "raw_tracepoint",
    "raw_tp",
    "tp_btf",
    "perf_event",
    "fentry",
    "fexit",
    "fmod_ret",
    "lsm",
    "iter",
];

/// Whether programs of a kind trace.
pub(super) fn traces(kind: &dyn Kind) -> bool {
    kind.sections().iter().any(|section| TRACING.contains(section))
}

/// Whose memory pointers are in that a program finds in its context.
pub(super) fn reach(kind: &dyn Kind, targets: &[String]) -> Origin {
    match kind.context() {
        Context::Registers { memory: Memory::User, .. } => Origin::USER,
        // The arguments of system calls are the process's.
        Context::Record if targets.iter().any(|target| target.starts_with("syscalls:")) => Origin::USER,
        Context::Opaque if !traces(kind) => Origin::OWN,
        // Kernel functions take pointers of the process too.
        _ => Origin::FOREIGN,
    }
}

/// What a pointer of that type points to that the kernel hands over or keeps: its own structs are its own; what has no
/// type of the kernel's (a `char *`, a number) may be an address of the process.
pub(super) fn from_kernel(ty: Option<Type<'_>>) -> Origin {
    let pointee = ty.and_then(|ty| ty.canonical().pointee());
    if pointee.is_some_and(is_kernel_type) { Origin::KERNEL } else { Origin::FOREIGN }
}

/// What a pointer points to that is read from a context of that type; unknown where it depends on the program, none
/// where the type is no context.
pub(super) fn of_context(record: &str) -> Option<Origin> {
    match record {
        "struct pt_regs" | "struct user_pt_regs" | "struct bpf_perf_event_data" => Some(Origin::UNKNOWN),
        "struct bpf_raw_tracepoint_args" => Some(Origin::FOREIGN),
        "struct __sk_buff"
        | "struct xdp_md"
        | "struct sk_msg_md"
        | "struct sk_reuseport_md"
        | "struct bpf_sock_ops"
        | "struct bpf_sockopt"
        | "struct bpf_sock_addr"
        | "struct bpf_sk_lookup"
        | "struct bpf_sock"
        | "struct bpf_tcp_sock"
        | "struct bpf_sysctl"
        | "struct bpf_cgroup_dev_ctx"
        | "struct bpf_iter_meta" => Some(Origin::OWN),
        _ => None,
    }
}

/// Whether a type is a struct or union that a header declares: the slice of the kernel's types.
pub(super) fn is_kernel_type(ty: Type<'_>) -> bool {
    ty.kind() == TypeKind::Record
        && ty.canonical().declaration().is_some_and(|declaration| declaration.span().is_none())
        && of_context(&ty.canonical().unqualified().spelling()).is_none()
}

/// Whether a type is a context that programs read directly.
pub(super) fn is_own_context(ty: Type<'_>) -> bool {
    ty.kind() == TypeKind::Record && of_context(&ty.canonical().unqualified().spelling()) == Some(Origin::OWN)
}

/// Whether a type is that of registers.
pub(super) fn is_registers(ty: Type<'_>) -> bool {
    ty.unqualified().spelling() == "struct pt_regs"
}

pub(super) fn is_user(annotations: &[String]) -> bool {
    annotations.iter().any(|annotation| annotation == "dbcc:user")
}

/// What a helper's result points to; none where that is not known.
pub(super) fn returned(helper: &str) -> Option<Origin> {
    match helper {
        "bpf_get_current_task"
        | "bpf_get_current_task_btf"
        | "bpf_task_pt_regs"
        | "bpf_per_cpu_ptr"
        | "bpf_this_cpu_ptr"
        | "bpf_sock_from_file" => Some(Origin::KERNEL),
        "bpf_ringbuf_reserve"
        | "bpf_get_local_storage"
        | "bpf_sk_storage_get"
        | "bpf_inode_storage_get"
        | "bpf_task_storage_get"
        | "bpf_cgrp_storage_get"
        | "bpf_sk_fullsock"
        | "bpf_tcp_sock"
        | "bpf_sk_lookup_tcp"
        | "bpf_sk_lookup_udp"
        | "bpf_skc_lookup_tcp"
        | "bpf_get_listener_sock" => Some(Origin::OWN),
        _ => None,
    }
}

/// A call that copies memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copies {
    /// The argument that points to where it is copied to.
    pub(super) to: usize,
    /// The argument that points to what is copied.
    pub(super) from: usize,
    /// Whose memory that is; unknown where the argument itself tells.
    pub(super) memory: Origin,
}

/// What a function copies; none for those that do not.
pub(super) fn copies(name: &str) -> Option<Copies> {
    let (from, memory) = match name {
        "bpf_probe_read" => (2, Origin::UNKNOWN),
        "bpf_probe_read_kernel" | "bpf_core_read" => (2, Origin::KERNEL),
        "bpf_probe_read_user" | "bpf_copy_from_user" | "bpf_core_read_user" => (2, Origin::USER),
        "__builtin_memcpy" | "__builtin_memmove" | "memcpy" | "memmove" => (1, Origin::UNKNOWN),
        _ => return None,
    };
    Some(Copies { to: 0, from, memory })
}

/// The methods and helpers that keep a value in a map, and the arguments that point to it: of a method, and of a helper.
pub(super) fn keeps(name: &str) -> Option<usize> {
    match name {
        "update" | "insert" | "lookup_or_init" | "lookup_or_try_init" => Some(1),
        "push" => Some(0),
        "bpf_map_update_elem" => Some(2),
        "bpf_map_push_elem" => Some(1),
        _ => None,
    }
}

/// The methods and helpers that write a map's value where an argument points to.
pub(super) fn gives(name: &str) -> Option<usize> {
    match name {
        "pop" | "peek" => Some(0),
        "bpf_map_pop_elem" | "bpf_map_peek_elem" => Some(1),
        _ => None,
    }
}
