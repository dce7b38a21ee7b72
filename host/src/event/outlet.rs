//! Where records go, without waiting for those who take them.

use std::collections::VecDeque;
use std::convert::Infallible;

use crossbeam_channel::{Receiver, Sender, TrySendError, select};

use super::Record;
use crate::bpf;

/// The end of the channel that the thread has.
#[derive(Debug)]
pub(super) struct Outlet {
    records: Sender<Record>,
    /// Closed when nobody wants what is left, even if somebody could still receive it.
    abandoned: Receiver<Infallible>,
    /// What there was no room for. Nothing more is read before it is gone, so it is at most what one round of reading finds.
    pending: VecDeque<Record>,
    /// Whether to wait for room.
    pub(super) patient: bool,
}

/// Why the thread ends before it was stopped.
pub(super) enum End {
    /// Nobody receives.
    Unheard,
    /// Reading failed.
    Failed(String),
}

impl From<bpf::Error> for End {
    fn from(error: bpf::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Outlet {
    pub(super) fn new(records: Sender<Record>, abandoned: Receiver<Infallible>) -> Self {
        Self { records, abandoned, pending: VecDeque::new(), patient: false }
    }

    /// Hands on a record, behind those that wait.
    pub(super) fn send(&mut self, record: Record) -> Result<(), End> {
        self.pending.push_back(record);
        self.flush().map(drop)
    }

    /// Hands on what waits, as far as there is room. Says whether nothing waits any more.
    pub(super) fn flush(&mut self) -> Result<bool, End> {
        while let Some(record) = self.pending.pop_front() {
            if self.patient {
                select! {
                    send(self.records, record) -> sent => sent.map_err(|_| End::Unheard)?,
                    recv(self.abandoned) -> _ => return Err(End::Unheard),
                }
                continue;
            }
            match self.records.try_send(record) {
                Ok(()) => {}
                Err(TrySendError::Full(record)) => {
                    self.pending.push_front(record);
                    return Ok(false);
                }
                Err(TrySendError::Disconnected(_)) => return Err(End::Unheard),
            }
        }
        Ok(true)
    }
}
