//! Stage 11: what programs report, read on a thread of its own and handed on as owned records.
//!
//! **Order.** Records of one ring buffer come in the order in which programs reserved them. Events of perf buffers
//! come such that one that was written completely before another began comes first, whatever their CPUs and maps; so a
//! thread's events and causes and effects are in order. Between perf buffers and ring buffers there is no order.
//!
//! **Nothing is dropped here, and the thread does not wait for the consumer.** The channel is bounded: where the consumer is
//! slow, events stay in the kernel's buffers, these fill up, and what they cannot take is counted and reported as lost.
//!
//! **Wake-ups.** A buffer wakes the thread when it has filled to a quarter; a lone event is found by the thread itself, which
//! looks every `reader::LOOK` while the probe runs. Looking at a ring buffer is a read of shared memory, without a system call.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::attach::Counter;
use crate::bpf;
use crate::bpf::map::possible_cpus;
use crate::directive::{Buffer, BufferSize};
use crate::facts::Facts;
use crate::load::Loaded;

mod batch;
mod losses;
mod outlet;
mod reader;

pub use batch::{Batch, Event};
use losses::Losses;
use outlet::Outlet;
use reader::{Buffers, Reader};

/// Batches and other records that may wait for the consumer.
const WAITING: usize = 64;

/// One thing that a running probe reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Events of one map that were read together.
    Events(Batch),
    /// Records of `bpf_trace_printk`: `struct dbcc_print` of `templates/dbcc/print.h`. Their time is when they were read; they
    /// say themselves when they were written.
    Prints(Batch),
    /// Something was lost since this was said before.
    Lost {
        /// What: `events`, `lines`, `updates`, `returns`, …
        what: &'static str,
        /// Where: the name of a map or of a function of the probe; empty for trace lines.
        from: Arc<str>,
        /// How many.
        count: u64,
        /// Why that happens, or what to do against it.
        help: &'static str,
    },
    /// Something that the user should know and that ends nothing.
    Note {
        /// Its text.
        message: String,
    },
}

/// The thread that reads, and the end of the channel. Dropping it ends the thread; what was not received is gone.
#[derive(Debug)]
pub struct Events {
    records: Receiver<Record>,
    counters: Sender<Vec<Counter>>,
    /// Closing it stops the thread when it has read everything.
    stop: Option<OwnedFd>,
    /// Closing it stops the thread at once.
    abandon: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// How events are read.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Size of the perf buffers of each map; none chooses by the machine.
    pub buffer: Option<BufferSize>,
    /// Sizes of those of single maps.
    pub buffers: Vec<Buffer>,
}

impl Settings {
    /// Pages of each CPU's perf buffer of a map; none if nobody says.
    fn pages(&self, map: &str) -> Result<Option<usize>, bpf::Error> {
        let named = self.buffers.iter().find(|buffer| buffer.map == map).map(|buffer| buffer.size);
        let cpus = possible_cpus()?;
        Ok(named.or(self.buffer).map(|size| size.pages(cpus)))
    }
}

impl Events {
    /// Starts to read the buffers of a loaded probe. To be called before attaching: an event that is written before
    /// there is a perf buffer goes nowhere.
    ///
    /// # Errors
    /// When the kernel does not give buffers, or the system no thread.
    pub fn start(loaded: &Loaded, facts: &Facts, settings: Settings) -> Result<Self, bpf::Error> {
        let buffers = Buffers::open(loaded, facts, &settings)?;
        let losses = Losses::new(loaded, facts);
        let thread = |error: io::Error| bpf::Error::from_io("start a thread that reads events", &error);
        let (stopped, stop) = io::pipe().map_err(thread)?;
        let (send, records) = bounded(WAITING);
        let (counters, new_counters) = unbounded();
        let (abandon, abandoned) = bounded(0);
        let outlet = Outlet::new(send, abandoned);
        let reader = Reader::new(buffers, losses, new_counters, outlet, stopped.into()).map_err(thread)?;
        let handle =
            std::thread::Builder::new().name("dbcc-events".to_owned()).spawn(|| reader.run()).map_err(thread)?;
        Ok(Self { records, counters, stop: Some(stop.into()), abandon: Some(abandon), thread: Some(handle) })
    }

    /// Has these counters asked about every second, and once more at the end.
    pub fn watch(&self, counters: Vec<Counter>) {
        // The thread is gone only when reading failed, which the end of the channel tells.
        let _ = self.counters.send(counters);
    }

    /// The records. The channel ends when reading fails, or after [`Self::stop`] when everything is read.
    pub fn records(&self) -> &Receiver<Record> {
        &self.records
    }

    /// Ends reading after one more look at everything; the records that are left, losses included, can still be
    /// received until the channel ends.
    pub fn stop(&mut self) {
        self.stop = None;
    }

    /// Ends reading and returns all that is left. To be called when the programs are detached: then it is all there
    /// will ever be.
    pub fn finish(mut self) -> Vec<Record> {
        self.stop();
        let rest = self.records.iter().collect();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has ended the channel; there is nothing more to be had from it.
            let _ = thread.join();
        }
        rest
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // Others may hold the channel's end and not receive: the thread is not to wait for them.
            self.abandon = None;
            let _ = thread.join();
        }
    }
}

/// What the thread waits for.
fn readable(fds: &[BorrowedFd<'_>], timeout: std::time::Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the other end of the pipe is closed.
fn is_closed(pipe: &OwnedFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut fds, Some(&now)), Ok(0) | Err(rustix::io::Errno::INTR))
}

#[cfg(test)]
mod tests;
