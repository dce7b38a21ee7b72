//! The thread that reads.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::event::{Timespec, epoll};

use super::batch::Moment;
use super::losses::Losses;
use super::outlet::{End, Outlet};
use super::{Batch, Record, Settings, is_closed, readable};
use crate::attach::Counter;
use crate::bpf::map::MapType;
use crate::bpf::perf::{Drained, PerfBuffer};
use crate::bpf::ring::RingBuffer;
use crate::bpf::sink::Records;
use crate::bpf::{self, sys};
use crate::facts::{Facts, MapRole, PRINT_MAP};
use crate::load::Loaded;

/// Records of one ring buffer that are read at one look, and bytes of them from which on no more are, so that no buffer keeps
/// the others waiting and no batch grows large.
const AT_ONCE: u32 = 1024;
const BATCH_BYTES: usize = 64 << 10;

/// How long the thread sleeps at most while there are buffers: programs wake it only when a buffer fills up.
pub(super) const LOOK: Duration = Duration::from_millis(25);

/// How often it is asked what was lost: losses have no descriptor to wait for.
const LOSSES: Duration = Duration::from_secs(1);

/// How long the thread sleeps when the consumer has enough to do: a short time, for the kernel's buffers fill up meanwhile.
const BREATH: Duration = Duration::from_millis(2);

const LOST_HELP: &str = "the perf buffer was full: make it larger with --buffer, or submit less often";

/// The buffers that are read, with the names of their maps.
#[derive(Debug)]
pub(super) struct Buffers {
    perf: Vec<(Arc<str>, PerfBuffer)>,
    rings: Vec<(Arc<str>, RingBuffer)>,
}

impl Buffers {
    /// Opens the buffers of the maps that carry events, and of trace lines.
    pub(super) fn open(loaded: &Loaded, facts: &Facts, settings: &Settings) -> Result<Self, bpf::Error> {
        let mut buffers = Self { perf: Vec::new(), rings: Vec::new() };
        for map in loaded.maps() {
            let name = map.name();
            let fact = facts.maps.iter().find(|fact| *fact.name == **name);
            let (role, stamped) = (fact.map(|fact| &fact.role), fact.is_some_and(|fact| fact.stamped));
            match (role, map.map_type()) {
                (Some(MapRole::PerfEvents(_)), _) | (None, MapType::PerfEventArray) => {
                    buffers.perf.push((Arc::clone(name), PerfBuffer::new(map, settings.pages(name)?)?));
                }
                // A map that rewriting does not know is one of libbpf-style text, or carries trace lines.
                (Some(MapRole::RingEvents(_)), _) | (None, MapType::RingBuffer) => {
                    buffers.rings.push((Arc::clone(name), RingBuffer::new(map, stamped)?));
                }
                _ => {}
            }
        }
        Ok(buffers)
    }

    fn is_empty(&self) -> bool {
        self.perf.is_empty() && self.rings.is_empty()
    }

    /// What the thread waits at: the buffers, and the pipe whose end means that it is to stop.
    ///
    /// Ring buffers are waited for by edges: a buffer that has something to read is not to wake the thread again before a
    /// program asks for it.
    fn waiting(&self, stopped: &OwnedFd) -> io::Result<OwnedFd> {
        let all = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let add = |fd: BorrowedFd<'_>, flags| epoll::add(&all, fd, epoll::EventData::new_u64(0), flags);
        add(stopped.as_fd(), epoll::EventFlags::IN)?;
        for (_, ring) in &self.rings {
            add(ring.poll_fd(), epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        }
        for (_, buffer) in &self.perf {
            add(buffer.poll_fd(), epoll::EventFlags::IN)?;
        }
        Ok(all)
    }
}

/// All that the thread has.
#[derive(Debug)]
pub(super) struct Reader {
    buffers: Buffers,
    losses: Losses,
    counters: Receiver<Vec<Counter>>,
    outlet: Outlet,
    stopped: OwnedFd,
    waiting: OwnedFd,
    /// Events of perf buffers that were written while the buffers were being read: an earlier one may be in a buffer that
    /// was read before. Their sources are indexes of perf buffers.
    held: Records,
    /// What the last round of a perf buffer found, for its memory.
    drained: Drained,
    /// Memory for records that nobody needs any more, and how it comes back.
    spare: Receiver<Records>,
    home: Sender<Records>,
}

/// What one round of reading found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// There may be more without waiting.
    More,
    /// Everything was read.
    All,
    /// The consumer has not taken what it was given.
    NoRoom,
}

impl Reader {
    pub(super) fn new(
        buffers: Buffers,
        losses: Losses,
        counters: Receiver<Vec<Counter>>,
        outlet: Outlet,
        stopped: OwnedFd,
    ) -> io::Result<Self> {
        let waiting = buffers.waiting(&stopped)?;
        let (home, spare) = bounded(super::WAITING);
        let (held, drained) = (Records::default(), Drained::default());
        Ok(Self { buffers, losses, counters, outlet, stopped, waiting, held, drained, spare, home })
    }

    /// Reads until it is stopped, or nobody receives, or reading fails.
    pub(super) fn run(mut self) {
        if let Err(End::Failed(why)) = self.read() {
            let message = format!("events are not read any more: {why}");
            self.outlet.patient = true;
            // If nobody receives, there is nobody to tell.
            let _ = self.outlet.send(Record::Note { message });
            let _ = self.outlet.flush();
        }
    }

    fn read(&mut self) -> Result<(), End> {
        let mut looked = Instant::now();
        loop {
            let stopped = is_closed(&self.stopped);
            self.outlet.patient = stopped;
            // What was written before it was stopped is there now.
            let ends: Vec<u64> = self.buffers.rings.iter().map(|(_, ring)| ring.positions().1).collect();
            let found = if self.outlet.flush()? { self.drain()? } else { Found::NoRoom };
            if stopped {
                self.deliver(u64::MAX)?;
                return self.drain_rest(&ends);
            }
            if looked.elapsed() >= LOSSES && found != Found::NoRoom {
                looked = Instant::now();
                self.look()?;
            }
            let waited = match found {
                Found::More => continue,
                Found::NoRoom => readable(&[self.stopped.as_fd()], BREATH),
                Found::All => {
                    let until_looked = LOSSES.saturating_sub(looked.elapsed());
                    let most = if self.buffers.is_empty() { until_looked } else { LOOK.min(until_looked) };
                    self.wait(most)
                }
            };
            waited.map_err(|error| End::Failed(error.to_string()))?;
        }
    }

    /// Sleeps until a buffer fills up or the thread is to stop, and so long at most.
    fn wait(&self, most: Duration) -> io::Result<()> {
        let most = Timespec::try_from(most).map_err(io::Error::other)?;
        let mut events = [MaybeUninit::uninit(); 8];
        match epoll::wait(&self.waiting, &mut events, Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads ring buffers up to where they were written when reading was stopped, and what was lost to the very last.
    fn drain_rest(&mut self, ends: &[u64]) -> Result<(), End> {
        for (index, end) in ends.iter().enumerate() {
            let read_to = |buffers: &Buffers| buffers.rings.get(index).map_or(u64::MAX, |(_, ring)| ring.positions().0);
            let mut before = read_to(&self.buffers);
            while before < *end {
                self.drain_ring(index)?;
                let after = read_to(&self.buffers);
                // A record that was reserved and never submitted ends the reading.
                if after == before {
                    break;
                }
                before = after;
            }
        }
        for (name, _) in self.buffers.perf.iter().filter(|(_, buffer)| buffer.may_have_lost_more()) {
            let message =
                format!("events that `{name}` lost behind its last one are not counted: Linux 6.0 counts them");
            self.outlet.send(Record::Note { message })?;
        }
        self.look()
    }

    /// Reads once what is in the buffers.
    fn drain(&mut self) -> Result<Found, End> {
        let before = sys::monotonic();
        for (index, (_, buffer)) in self.buffers.perf.iter_mut().enumerate() {
            self.drained = buffer.drain(std::mem::take(&mut self.drained))?;
            self.held.extend(index, &self.drained.samples);
        }
        self.deliver(before)?;
        let mut more = !self.held.is_empty();
        for index in 0..self.buffers.rings.len() {
            more |= self.drain_ring(index)?;
        }
        Ok(if more { Found::More } else { Found::All })
    }

    /// Reads a batch from a ring buffer. Says whether there may be more.
    fn drain_ring(&mut self, index: usize) -> Result<bool, End> {
        let Some((name, ring)) = self.buffers.rings.get_mut(index) else { return Ok(false) };
        let mut records = memory(&self.spare);
        let more = ring.drain(AT_ONCE, BATCH_BYTES, &mut records)?;
        if records.is_empty() {
            // The channel has room for all that there can be.
            let _ = self.home.try_send(records);
            return Ok(more);
        }
        let batch = Batch::new(name, records, Moment::now(), self.home.clone());
        self.outlet.send(if **name == *PRINT_MAP { Record::Prints(batch) } else { Record::Events(batch) })?;
        Ok(more)
    }

    /// Sends the events of perf buffers that were written up to a time, in the order of time.
    ///
    /// With the time before the buffers were read, every event that was complete before one of these began is among
    /// them or was sent before, so what one thing causes comes behind its cause, whatever CPUs they ran on.
    fn deliver(&mut self, until: u64) -> Result<(), End> {
        if self.held.is_empty() {
            return Ok(());
        }
        // The sort is stable, so events of one CPU with one time keep their order.
        self.held.sort_by_time();
        let (now, due) = (Moment::now(), self.held.until(until));
        let mut batch: Option<(usize, Records)> = None;
        let mut rest = Records::default();
        let held = std::mem::take(&mut self.held);
        for (number, (place, bytes)) in held.iter().enumerate() {
            if number >= due {
                rest.push_of(place, bytes);
                continue;
            }
            let full = |records: &Records| records.size() >= BATCH_BYTES;
            if let Some((source, records)) = batch.take_if(|(source, all)| *source != place.source || full(all)) {
                self.send_perf(source, records, now)?;
            }
            let (_, records) = batch.get_or_insert_with(|| (place.source, memory(&self.spare)));
            records.push(place.time, place.cpu, bytes);
        }
        if let Some((source, records)) = batch {
            self.send_perf(source, records, now)?;
        }
        self.held = rest;
        Ok(())
    }

    fn send_perf(&mut self, source: usize, records: Records, now: Moment) -> Result<(), End> {
        let Some((name, _)) = self.buffers.perf.get(source) else { return Ok(()) };
        self.outlet.send(Record::Events(Batch::new(name, records, now, self.home.clone())))
    }

    fn look(&mut self) -> Result<(), End> {
        while let Ok(counters) = self.counters.try_recv() {
            self.losses.watch(counters);
        }
        for (name, buffer) in &mut self.buffers.perf {
            let count = buffer.more_losses()?;
            if count > 0 {
                self.outlet.send(Record::Lost { what: "events", from: Arc::clone(name), count, help: LOST_HELP })?;
            }
        }
        for record in self.losses.look() {
            self.outlet.send(record)?;
        }
        Ok(())
    }
}

/// Memory for records, without any of those that were in it.
fn memory(spare: &Receiver<Records>) -> Records {
    let mut records = spare.try_recv().unwrap_or_default();
    records.clear();
    records
}
