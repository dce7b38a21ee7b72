//! The thread that reads.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, select};

use super::losses::Losses;
use super::{Record, Settings, is_closed, readable};
use crate::attach::Counter;
use crate::bpf::map::MapType;
use crate::bpf::perf::{PerfBuffer, Sample};
use crate::bpf::ring::RingBuffer;
use crate::bpf::{self, sys};
use crate::facts::{Facts, MapRole, PRINT_MAP};
use crate::load::Loaded;

/// Records of one ring buffer that are read at one look, so that no buffer keeps the others waiting.
const AT_ONCE: u32 = 1024;

/// How long the thread sleeps at most: losses have no descriptor to wait for, and a program may submit to a ring buffer
/// without waking anybody.
const SLEEP: Duration = Duration::from_secs(1);

const LOST_HELP: &str = "the perf buffer was full: submit less often";

/// The buffers that are read, with the names of their maps.
#[derive(Debug)]
pub(super) struct Buffers {
    perf: Vec<(Arc<str>, PerfBuffer)>,
    rings: Vec<(Arc<str>, RingBuffer)>,
}

impl Buffers {
    /// Opens the buffers of the maps that carry events, and of trace lines.
    pub(super) fn open(loaded: &Loaded, facts: &Facts, settings: Settings) -> Result<Self, bpf::Error> {
        let mut buffers = Self { perf: Vec::new(), rings: Vec::new() };
        for map in loaded.maps() {
            let name = map.name();
            let role = facts.maps.iter().find(|fact| *fact.name == **name).map(|fact| &fact.role);
            match (role, map.map_type()) {
                (Some(MapRole::PerfEvents(_)), _) | (None, MapType::PerfEventArray) => {
                    buffers.perf.push((Arc::clone(name), PerfBuffer::new(map, settings.perf_pages)?));
                }
                // A map that rewriting does not know is one of libbpf-style text, or carries trace lines.
                (Some(MapRole::RingEvents(_)), _) | (None, MapType::RingBuffer) => {
                    buffers.rings.push((Arc::clone(name), RingBuffer::new(map)?));
                }
                _ => {}
            }
        }
        Ok(buffers)
    }

    fn poll_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let perf = self.perf.iter().map(|(_, buffer)| buffer.poll_fd());
        perf.chain(self.rings.iter().map(|(_, ring)| ring.poll_fd()))
    }
}

/// All that the thread has.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) buffers: Buffers,
    pub(super) losses: Losses,
    pub(super) counters: Receiver<Vec<Counter>>,
    pub(super) outlet: Outlet,
    pub(super) stopped: OwnedFd,
    /// Events of perf buffers, by index, that were written while the buffers were being read: an earlier one may be in
    /// a buffer that was read before.
    pub(super) held: Vec<(usize, Sample)>,
}

/// Where records go.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) records: Sender<Record>,
    /// Closed when nobody wants what is left, even if somebody could still receive it.
    pub(super) abandoned: Receiver<Infallible>,
}

impl Outlet {
    /// Hands on a record, and waits as long as there is no room.
    fn send(&self, record: Record) -> Result<(), End> {
        select! {
            send(self.records, record) -> sent => sent.map_err(|_| End::Unheard),
            recv(self.abandoned) -> _ => Err(End::Unheard),
        }
    }
}

/// Why the thread ends before it was stopped.
enum End {
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

impl Reader {
    /// Reads until it is stopped, or nobody receives, or reading fails.
    pub(super) fn run(mut self) {
        if let Err(End::Failed(why)) = self.read() {
            let message = format!("events are not read any more: {why}");
            // If nobody receives, there is nobody to tell.
            let _ = self.outlet.send(Record::Note { message });
        }
    }

    fn read(&mut self) -> Result<(), End> {
        let mut looked = Instant::now();
        loop {
            let stopped = is_closed(&self.stopped);
            // What was written before it was stopped is there now.
            let ends: Vec<u64> = self.buffers.rings.iter().map(|(_, ring)| ring.positions().1).collect();
            let found = self.drain()?;
            if stopped {
                self.deliver(u64::MAX)?;
                return self.drain_rest(&ends);
            }
            if looked.elapsed() >= SLEEP {
                looked = Instant::now();
                self.look()?;
            }
            if !found {
                let fds: Vec<BorrowedFd<'_>> =
                    self.buffers.poll_fds().chain(std::iter::once(self.stopped.as_fd())).collect();
                readable(&fds, SLEEP.saturating_sub(looked.elapsed()))
                    .map_err(|error| End::Failed(error.to_string()))?;
            }
        }
    }

    /// Reads ring buffers up to where they were written when reading was stopped, and what was lost to the very last.
    fn drain_rest(&mut self, ends: &[u64]) -> Result<(), End> {
        for ((name, ring), end) in self.buffers.rings.iter_mut().zip(ends) {
            while ring.positions().0 < *end {
                let batch = ring.drain(AT_ONCE)?;
                // A record that was reserved and never submitted ends the reading.
                if batch.is_empty() {
                    break;
                }
                send_ring(&self.outlet, name, batch)?;
            }
        }
        for (name, buffer) in &self.buffers.perf {
            let count = buffer.unreported_losses()?;
            if count > 0 {
                self.outlet.send(Record::Lost { what: "events", from: Arc::clone(name), count, help: LOST_HELP })?;
            }
            if buffer.lost() > 0 && !buffer.counts_all_losses() {
                let message =
                    format!("events that `{name}` lost behind its last one are not counted: Linux 6.0 counts them");
                self.outlet.send(Record::Note { message })?;
            }
        }
        self.look()
    }

    /// Reads once what is in the buffers. Says whether there may be more without waiting.
    fn drain(&mut self) -> Result<bool, End> {
        let before = sys::monotonic();
        let mut lost = Vec::new();
        for (index, (name, buffer)) in self.buffers.perf.iter_mut().enumerate() {
            let drained = buffer.drain()?;
            self.held.extend(drained.samples.into_iter().map(|sample| (index, sample)));
            if drained.lost > 0 {
                let (from, count) = (Arc::clone(name), drained.lost);
                lost.push(Record::Lost { what: "events", from, count, help: LOST_HELP });
            }
        }
        self.deliver(before)?;
        for record in lost {
            self.outlet.send(record)?;
        }
        let mut more = !self.held.is_empty();
        for (name, ring) in &mut self.buffers.rings {
            let batch = ring.drain(AT_ONCE)?;
            more |= u32::try_from(batch.len()).is_ok_and(|length| length >= AT_ONCE);
            send_ring(&self.outlet, name, batch)?;
        }
        Ok(more)
    }

    /// Sends the events of perf buffers that were written up to a time, in the order of time.
    ///
    /// With the time before the buffers were read, every event that was complete before one of these began is among
    /// them or was sent before, so what one thing causes comes behind its cause, whatever CPUs they ran on.
    fn deliver(&mut self, until: u64) -> Result<(), End> {
        // The sort is stable, so events of one CPU with one time keep their order.
        self.held.sort_by_key(|(_, sample)| sample.time);
        let later = self.held.partition_point(|(_, sample)| sample.time <= until);
        let (now, clock) = (SystemTime::now(), sys::monotonic());
        for (index, sample) in self.held.drain(..later) {
            let Some((name, _)) = self.buffers.perf.get(index) else { continue };
            let age = Duration::from_nanos(clock.saturating_sub(sample.time));
            let time = now.checked_sub(age).unwrap_or(now);
            let (map, cpu) = (Arc::clone(name), Some(sample.cpu));
            self.outlet.send(Record::Event { map, cpu, bytes: sample.bytes, time })?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), End> {
        while let Ok(counters) = self.counters.try_recv() {
            self.losses.watch(counters);
        }
        for record in self.losses.look() {
            self.outlet.send(record)?;
        }
        Ok(())
    }
}

fn send_ring(outlet: &Outlet, name: &Arc<str>, batch: Vec<Vec<u8>>) -> Result<(), End> {
    let time = SystemTime::now();
    for bytes in batch {
        outlet.send(if **name == *PRINT_MAP {
            Record::Print { bytes, time }
        } else {
            Record::Event { map: Arc::clone(name), cpu: None, bytes, time }
        })?;
    }
    Ok(())
}
