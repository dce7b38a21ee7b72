//! Which processes hold objects: their open files in `/proc` (proc_pid_fd(5)).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::bpf::inventory::{self, Event, ObjectId};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its command name.
    pub comm: String,
}

/// A program on an event that a process has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The process.
    pub holder: Holder,
    /// The event.
    pub event: Event,
}

/// Who holds what.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    objects: BTreeMap<ObjectId, Vec<Holder>>,
    pub(crate) attached: Vec<Attached>,
}

impl Holders {
    /// The event that a program is on, if all that is known of are the same: kernels that do not tell the places of links tell those of
    /// events.
    pub(super) fn only_event(&self, program: u32) -> Option<&Event> {
        let mut events = self.attached.iter().map(|attached| &attached.event).filter(|event| event.program == program);
        let first = events.next()?;
        events.all(|event| event == first).then_some(first)
    }

    /// Who holds an object.
    pub(super) fn of(&self, id: ObjectId) -> &[Holder] {
        self.objects.get(&id).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Looks through the open files of all processes that may be looked into.
pub(crate) fn holders() -> Holders {
    let mut found = Holders::default();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let comm = fs::read(entry.path().join("comm")).unwrap_or_default();
        let comm = String::from_utf8_lossy(&comm).trim_end().to_owned();
        process(&entry.path(), &Holder { pid, comm }, &mut found);
    }
    found
}

fn process(folder: &Path, holder: &Holder, found: &mut Holders) {
    for entry in fs::read_dir(folder.join("fd")).into_iter().flatten().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let Some(target) = target.to_str().and_then(|target| target.strip_prefix("anon_inode:")) else { continue };
        if target.starts_with("bpf") {
            let Ok(text) = fs::read_to_string(folder.join("fdinfo").join(entry.file_name())) else { continue };
            let Some(id) = inventory::identify_by(&text) else { continue };
            let holders = found.objects.entry(id).or_default();
            if !holders.contains(holder) {
                holders.push(holder.clone());
            }
        } else if target == "[perf_event]" {
            let fd = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let event = fd.and_then(|fd| inventory::event(holder.pid, fd));
            found.attached.extend(event.map(|event| Attached { holder: holder.clone(), event }));
        }
    }
}
