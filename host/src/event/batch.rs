//! Events that were read together.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::Sender;

use crate::bpf::sink::{Place, Records};
use crate::bpf::sys;

/// Events of one map, in their order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    map: Arc<str>,
    records: Records,
    read: Moment,
    /// Where the memory of the records goes when nobody needs them any more.
    home: Option<Sender<Records>>,
}

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'b> {
    /// When it was written; when it was read where nobody tells (a ring buffer that the probe writes to itself).
    pub time: SystemTime,
    /// The CPU that wrote it; none for a ring buffer, which does not tell.
    pub cpu: Option<u32>,
    /// Its bytes; the kernel pads those of a perf buffer with up to 7 bytes.
    pub bytes: &'b [u8],
}

/// A moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    wall: SystemTime,
    /// Nanoseconds of CLOCK_MONOTONIC.
    monotonic: u64,
}

impl Moment {
    /// The same moment on both clocks, also where something else runs between the two looks at them.
    pub(super) fn now() -> Self {
        let look = || {
            let (before, wall, monotonic) = (sys::monotonic(), SystemTime::now(), sys::monotonic());
            (monotonic.saturating_sub(before), Self { wall, monotonic })
        };
        let (mut took, mut best) = look();
        for _ in 0..3 {
            if took < 10_000 {
                break;
            }
            let (next, moment) = look();
            if next < took {
                (took, best) = (next, moment);
            }
        }
        best
    }

    fn of(self, place: &Place) -> SystemTime {
        if place.time == 0 {
            return self.wall;
        }
        let age = Duration::from_nanos(self.monotonic.saturating_sub(place.time));
        self.wall.checked_sub(age).unwrap_or(self.wall)
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self { wall: SystemTime::UNIX_EPOCH, monotonic: 0 }
    }
}

impl Batch {
    pub(super) fn new(map: &Arc<str>, records: Records, read: Moment, home: Sender<Records>) -> Self {
        Self { map: Arc::clone(map), records, read, home: Some(home) }
    }

    /// Events of a map that were not read from a buffer, with the wall-clock time of all of them.
    pub fn of<'e>(map: &str, time: SystemTime, events: impl IntoIterator<Item = &'e [u8]>) -> Self {
        let mut records = Records::default();
        for event in events {
            records.push(0, None, event);
        }
        Self { map: map.into(), records, read: Moment { wall: time, monotonic: 0 }, home: None }
    }

    /// The map that carried them.
    pub fn map(&self) -> &Arc<str> {
        &self.map
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// An event by its number.
    pub fn get(&self, index: usize) -> Option<Event<'_>> {
        let (place, bytes) = self.records.get(index)?;
        Some(Event { time: self.read.of(place), cpu: place.cpu, bytes })
    }

    /// All events.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        (0..self.len()).map_while(|index| self.get(index))
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map && self.iter().eq(other.iter())
    }
}

impl Eq for Batch {}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            // Where there is enough memory at home, or nobody there any more, it is freed.
            let _ = home.try_send(std::mem::take(&mut self.records));
        }
    }
}
