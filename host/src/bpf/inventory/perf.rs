//! Programs that are attached to perf events of processes without a link.

use libbpf_sys as sys;

use crate::bpf::log;

/// What an event of perf is (`enum bpf_task_fd_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A raw tracepoint.
    RawTracepoint,
    /// A tracepoint.
    Tracepoint,
    /// A kprobe.
    Kprobe,
    /// A kretprobe.
    Kretprobe,
    /// A uprobe.
    Uprobe,
    /// A uretprobe.
    Uretprobe,
}

impl EventKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RawTracepoint => "raw_tracepoint",
            Self::Tracepoint => "tracepoint",
            Self::Kprobe => "kprobe",
            Self::Kretprobe => "kretprobe",
            Self::Uprobe => "uprobe",
            Self::Uretprobe => "uretprobe",
        }
    }
}

/// A program on an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The number of the program.
    pub program: u32,
    /// What the event is.
    pub kind: EventKind,
    /// The function, the file, or the tracepoint.
    pub name: String,
    /// Offset in it.
    pub offset: u64,
}

/// The program on an event that a process has open; none where there is none, or it cannot be told (BPF_TASK_FD_QUERY,
/// Linux 4.18).
pub fn event(process: u32, fd: u32) -> Option<Event> {
    let mut room = vec![0_u8; 4096];
    let mut length = u32::try_from(room.len()).ok()?;
    let (mut program, mut kind, mut offset, mut address) = (0, 0, 0, 0);
    let (process, fd) = (i32::try_from(process).ok()?, i32::try_from(fd).ok()?);
    let (done, _) = log::capture(|| {
        // SAFETY: the room is as long as said, and all answers are valid places to write to.
        unsafe {
            sys::bpf_task_fd_query(
                process,
                fd,
                0,
                room.as_mut_ptr().cast(),
                &raw mut length,
                &raw mut program,
                &raw mut kind,
                &raw mut offset,
                &raw mut address,
            )
        }
    });
    let kind = match kind {
        _ if done < 0 => return None,
        sys::BPF_FD_TYPE_RAW_TRACEPOINT => EventKind::RawTracepoint,
        sys::BPF_FD_TYPE_TRACEPOINT => EventKind::Tracepoint,
        sys::BPF_FD_TYPE_KPROBE => EventKind::Kprobe,
        sys::BPF_FD_TYPE_KRETPROBE => EventKind::Kretprobe,
        sys::BPF_FD_TYPE_UPROBE => EventKind::Uprobe,
        sys::BPF_FD_TYPE_URETPROBE => EventKind::Uretprobe,
        _ => return None,
    };
    let end = room.iter().position(|byte| *byte == 0)?;
    let name = String::from_utf8_lossy(room.get(..end)?).into_owned();
    Some(Event { program, kind, name, offset })
}
