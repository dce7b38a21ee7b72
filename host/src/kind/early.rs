//! Events of user functions that are opened ahead, while programs are still being loaded.
//!
//! The kernel takes longer for the first of them than for all else of a start from the cache: it waits until no CPU can be
//! in the middle of copying a process (kernel/events/uprobes.c: `register_for_each_vma` takes `dup_mmap_sem` for writing, and
//! that waits for a grace period of RCU, 10 ms and more). For the first that is one process's it waits for another.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::bpf::perf_event::{self, Pmu};

/// Begins what the kernel waits for before it opens the first event that is one process's, beside which the places of events
/// are looked for. Without a thread, and after a refusal, whoever opens an event waits.
pub fn expect_events_of_processes() {
    let follow = || drop(perf_event::follow_processes());
    drop(std::thread::Builder::new().name("dbcc-processes".to_owned()).spawn(follow));
}

/// An event of a uprobe or uretprobe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyEvent {
    /// The file, as the kernel is to open it.
    pub file: PathBuf,
    /// The offset in it, in bytes.
    pub offset: u64,
    /// The process; none for all.
    pub pid: Option<u32>,
    /// Whether it is the return of the function that starts there.
    pub returns: bool,
}

/// Events that are being opened, or are open. Those that nobody takes are closed with this value, or when they are open.
#[derive(Debug, Default)]
pub struct Early(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Nothing,
    Opening(JoinHandle<Vec<Opened>>),
    Open(Vec<Opened>),
}

type Opened = (EarlyEvent, io::Result<OwnedFd>);

impl Early {
    /// Begins to open events, on a thread of its own. Without a thread they are opened when they are needed.
    pub fn open(events: Vec<EarlyEvent>) -> Self {
        if events.is_empty() {
            return Self::default();
        }
        let open = move || events.into_iter().map(|event| (event.clone(), event.open())).collect();
        let thread = std::thread::Builder::new().name("dbcc-uprobes".to_owned()).spawn(open);
        Self(Mutex::new(thread.map_or(State::Nothing, State::Opening)))
    }

    /// Takes an event, for which it waits; none for one that was not opened ahead, or was taken.
    pub(super) fn take(
        &self,
        file: &Path,
        offset: u64,
        pid: Option<u32>,
        returns: bool,
    ) -> Option<io::Result<OwnedFd>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut opened = match std::mem::take(&mut *state) {
            State::Nothing => return None,
            // A panic of the thread leaves nothing to take.
            State::Opening(thread) => thread.join().unwrap_or_default(),
            State::Open(opened) => opened,
        };
        let wanted = |event: &EarlyEvent| {
            event.file == file && event.offset == offset && event.pid == pid && event.returns == returns
        };
        let found = opened.iter().position(|(event, _)| wanted(event)).map(|index| opened.swap_remove(index).1);
        *state = State::Open(opened);
        found
    }
}

impl EarlyEvent {
    fn open(&self) -> io::Result<OwnedFd> {
        Pmu::uprobe()?.user_function(&self.file, self.offset, self.pid, self.returns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_taken_once_and_only_as_it_was_opened() {
        let event = |offset| EarlyEvent { file: "/nonexistent".into(), offset, pid: None, returns: false };
        // Where uprobes are not permitted, the refusal is taken as the event would be.
        let early = Early::open(vec![event(1), event(2), event(2)]);
        let take = |offset, returns| early.take(Path::new("/nonexistent"), offset, None, returns);
        assert!(take(1, true).is_none() && take(3, false).is_none());
        assert!(take(1, false).unwrap().is_err());
        assert!(take(1, false).is_none());
        assert!(take(2, false).is_some() && take(2, false).is_some() && take(2, false).is_none());
        assert!(Early::default().take(Path::new("/nonexistent"), 1, None, false).is_none());
    }
}
