//! Where a link attaches its program.

use std::os::fd::BorrowedFd;

use libbpf_sys as sys;

use super::{address, ask};
use crate::bpf::errno::Error;
use crate::bpf::program::text;

/// The longest path or name that is asked for.
const MOST_TEXT: usize = 4096;

/// What the kernel says of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its type, as libbpf names it.
    pub kind: String,
    /// The number of its program.
    pub program: u32,
    /// Where the program is attached.
    pub place: Place,
}

/// Where a program is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A raw tracepoint.
    RawTracepoint(String),
    /// A function or another program, by its number in a BTF.
    Traced {
        /// How: `trace_fentry` and its like.
        hook: String,
        /// The number of the BTF, or of the program.
        object: u32,
        /// The number of the function in it.
        function: u32,
    },
    /// A cgroup.
    Cgroup {
        /// Its number.
        id: u64,
        /// The hook.
        hook: String,
    },
    /// Objects of the kernel of this kind.
    Iterator(String),
    /// A network namespace.
    Namespace {
        /// The inode of the namespace.
        inode: u32,
        /// The hook.
        hook: String,
    },
    /// A network interface.
    Interface {
        /// Its number.
        index: u32,
        /// The hook; empty where the type of the link says it.
        hook: String,
    },
    /// Functions of the kernel.
    Functions {
        /// How many.
        count: u32,
        /// Whether their returns.
        returns: bool,
    },
    /// Places of a file.
    UserFunctions {
        /// The file.
        path: String,
        /// How many.
        count: u32,
        /// Whether the returns of functions.
        returns: bool,
        /// The process, or 0 for all.
        pid: u32,
    },
    /// An event of perf.
    Event {
        /// What it is: `kprobe`, `uprobe`, `tracepoint`, `event` and their like.
        what: &'static str,
        /// The function, the file, or the tracepoint.
        name: String,
        /// Offset in it.
        offset: u64,
    },
    /// Something that is not told, or not known here.
    Other,
}

/// What the kernel says of a link.
pub(super) fn info(fd: BorrowedFd<'_>) -> Result<LinkInfo, Error> {
    // SAFETY: nothing is asked for that the answer would point to.
    let first = unsafe { ask(fd, sys::bpf_link_info::default(), "link")? };
    // SAFETY: the function takes any number; what it returns is null or a constant string.
    let kind = match unsafe { text(sys::libbpf_bpf_link_type_str(first.type_)) } {
        name if name.is_empty() => format!("type {}", first.type_),
        name => name,
    };
    Ok(LinkInfo { kind, program: first.prog_id, place: place(fd, &first)? })
}

fn place(fd: BorrowedFd<'_>, first: &sys::bpf_link_info) -> Result<Place, Error> {
    let known = first.__bindgen_anon_1;
    // SAFETY (of each arm): the answer began as zeroes, so each of its integers is initialised, whichever the kernel wrote; the
    // type says which that was.
    Ok(match first.type_ {
        sys::BPF_LINK_TYPE_RAW_TRACEPOINT => Place::RawTracepoint(named(fd, |info, to, room| {
            info.__bindgen_anon_1.raw_tracepoint.tp_name = to;
            info.__bindgen_anon_1.raw_tracepoint.tp_name_len = room;
        })?),
        sys::BPF_LINK_TYPE_TRACING => {
            // SAFETY: as above.
            let traced = unsafe { known.tracing };
            let (object, function) = (traced.target_obj_id, traced.target_btf_id);
            Place::Traced { hook: hook(traced.attach_type), object, function }
        }
        sys::BPF_LINK_TYPE_CGROUP => {
            // SAFETY: as above.
            let cgroup = unsafe { known.cgroup };
            Place::Cgroup { id: cgroup.cgroup_id, hook: hook(cgroup.attach_type) }
        }
        sys::BPF_LINK_TYPE_ITER => Place::Iterator(named(fd, |info, to, room| {
            info.__bindgen_anon_1.iter.target_name = to;
            info.__bindgen_anon_1.iter.target_name_len = room;
        })?),
        sys::BPF_LINK_TYPE_NETNS => {
            // SAFETY: as above.
            let netns = unsafe { known.netns };
            Place::Namespace { inode: netns.netns_ino, hook: hook(netns.attach_type) }
        }
        // SAFETY: as above.
        sys::BPF_LINK_TYPE_XDP => Place::Interface { index: unsafe { known.xdp.ifindex }, hook: String::new() },
        sys::BPF_LINK_TYPE_TCX => {
            // SAFETY: as above.
            let tcx = unsafe { known.tcx };
            Place::Interface { index: tcx.ifindex, hook: hook(tcx.attach_type) }
        }
        sys::BPF_LINK_TYPE_KPROBE_MULTI => {
            // SAFETY: as above.
            let multi = unsafe { known.kprobe_multi };
            Place::Functions { count: multi.count, returns: multi.flags & sys::BPF_F_KPROBE_MULTI_RETURN != 0 }
        }
        sys::BPF_LINK_TYPE_UPROBE_MULTI => {
            let path = named(fd, |info, to, room| {
                info.__bindgen_anon_1.uprobe_multi.path = to;
                info.__bindgen_anon_1.uprobe_multi.path_size = room;
            })?;
            // SAFETY: as above.
            let multi = unsafe { known.uprobe_multi };
            let returns = multi.flags & sys::BPF_F_UPROBE_MULTI_RETURN != 0;
            Place::UserFunctions { path, count: multi.count, returns, pid: multi.pid }
        }
        sys::BPF_LINK_TYPE_PERF_EVENT => event(fd, first)?,
        _ => Place::Other,
    })
}

/// The event behind a link; kernels before Linux 6.6 do not tell it.
fn event(fd: BorrowedFd<'_>, first: &sys::bpf_link_info) -> Result<Place, Error> {
    // SAFETY: the type of the link says that it is this one, and all of it began as zeroes.
    let event = unsafe { first.__bindgen_anon_1.perf_event };
    let inner = event.__bindgen_anon_1;
    Ok(match event.type_ {
        sys::BPF_PERF_EVENT_UPROBE | sys::BPF_PERF_EVENT_URETPROBE => {
            let name = named(fd, |info, to, room| {
                info.__bindgen_anon_1.perf_event.__bindgen_anon_1.uprobe.file_name = to;
                info.__bindgen_anon_1.perf_event.__bindgen_anon_1.uprobe.name_len = room;
            })?;
            let what = if event.type_ == sys::BPF_PERF_EVENT_UPROBE { "uprobe" } else { "uretprobe" };
            // SAFETY: the type of the event says that it is this one.
            Place::Event { what, name, offset: u64::from(unsafe { inner.uprobe.offset }) }
        }
        sys::BPF_PERF_EVENT_KPROBE | sys::BPF_PERF_EVENT_KRETPROBE => {
            let name = named(fd, |info, to, room| {
                info.__bindgen_anon_1.perf_event.__bindgen_anon_1.kprobe.func_name = to;
                info.__bindgen_anon_1.perf_event.__bindgen_anon_1.kprobe.name_len = room;
            })?;
            let what = if event.type_ == sys::BPF_PERF_EVENT_KPROBE { "kprobe" } else { "kretprobe" };
            // SAFETY: the type of the event says that it is this one.
            Place::Event { what, name, offset: u64::from(unsafe { inner.kprobe.offset }) }
        }
        sys::BPF_PERF_EVENT_TRACEPOINT => {
            let name = named(fd, |info, to, room| {
                info.__bindgen_anon_1.perf_event.__bindgen_anon_1.tracepoint.tp_name = to;
                info.__bindgen_anon_1.perf_event.__bindgen_anon_1.tracepoint.name_len = room;
            })?;
            Place::Event { what: "tracepoint", name, offset: 0 }
        }
        sys::BPF_PERF_EVENT_EVENT => {
            // SAFETY: the type of the event says that it is this one.
            let counted = unsafe { inner.event };
            let name = format!("type {} configuration {:#x}", counted.type_, counted.config);
            Place::Event { what: "event", name, offset: 0 }
        }
        _ => Place::Other,
    })
}

/// Asks once more, with room for a text: `set` puts its address and its length into the question.
fn named(fd: BorrowedFd<'_>, set: impl FnOnce(&mut sys::bpf_link_info, u64, u32)) -> Result<String, Error> {
    let mut room = vec![0_u8; MOST_TEXT];
    let mut asked = sys::bpf_link_info::default();
    set(&mut asked, address(room.as_mut_ptr()), u32::try_from(room.len()).unwrap_or(0));
    // SAFETY: the room is as long as said, and outlives the call.
    unsafe { ask(fd, asked, "link")? };
    let length = room.iter().position(|byte| *byte == 0).unwrap_or(room.len());
    Ok(String::from_utf8_lossy(room.get(..length).unwrap_or_default()).into_owned())
}

/// The name of a hook.
fn hook(number: u32) -> String {
    // SAFETY: the function takes any number; what it returns is null or a constant string.
    match unsafe { text(sys::libbpf_bpf_attach_type_str(number)) } {
        name if name.is_empty() => format!("hook {number}"),
        name => name,
    }
}
