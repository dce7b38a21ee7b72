//! Where readers of buffers put what they find: one block of bytes for many records, so that none is allocated by itself.

use std::ops::Range;

/// Records one behind the other.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// When it was written: nanoseconds of CLOCK_MONOTONIC; 0 where nobody has said so.
    pub time: u64,
    /// On which CPU; none where nobody tells.
    pub cpu: Option<u32>,
    /// Where it was found, as who gathers records numbers that.
    pub source: usize,
    range: Range<usize>,
}

impl Records {
    /// Appends a record.
    pub fn push(&mut self, time: u64, cpu: Option<u32>, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.places.push(Place { time, cpu, source: 0, range: start..self.bytes.len() });
    }

    /// Appends a record that has a place already.
    pub fn push_of(&mut self, place: &Place, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.places.push(Place { range: start..self.bytes.len(), ..*place });
    }

    /// Appends records that were found at one source.
    pub fn extend(&mut self, source: usize, records: &Self) {
        for (place, bytes) in records.iter() {
            self.push_of(&Place { source, ..place.clone() }, bytes);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many bytes they have.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all of them and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// A record by its number.
    pub fn get(&self, index: usize) -> Option<(&Place, &[u8])> {
        let place = self.places.get(index)?;
        Some((place, self.bytes.get(place.range.clone())?))
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&Place, &[u8])> {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// How many of those that are ordered by time were written up to one.
    pub fn until(&self, time: u64) -> usize {
        self.places.partition_point(|place| place.time <= time)
    }

    /// Orders them by time; those of one time stay as they are.
    pub fn sort_by_time(&mut self) {
        self.places.sort_by_key(|place| place.time);
    }
}
