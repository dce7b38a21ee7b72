//! What was lost, from the counters that programs and the kernel keep.

use std::sync::Arc;

use super::Record;
use crate::attach::Counter;
use crate::bpf::Map;
use crate::facts::{Facts, MapRole};
use crate::load::Loaded;

/// Name of the array in which rewritten programs count what they could not write: entry 0 for trace lines, entry i + 1
/// for the map of index i in [`Facts::maps`] (templates/dbcc/methods.h).
const LOSSES_MAP: &str = "dbcc_losses";

/// All counters, and what they said last.
#[derive(Debug)]
pub(super) struct Losses {
    map: Option<Map>,
    entries: Vec<Entry>,
    counters: Vec<Counter>,
    /// Whether a failure to read was said already.
    said: bool,
}

#[derive(Debug)]
struct Entry {
    what: &'static str,
    from: Arc<str>,
    help: &'static str,
    before: u64,
}

impl Losses {
    pub(super) fn new(loaded: &Loaded, facts: &Facts) -> Self {
        let help = "the ring buffer for trace lines was full: print less often";
        let lines = Entry { what: "lines", from: "".into(), help, before: 0 };
        let maps = facts.maps.iter().map(|map| {
            let (what, help) = match map.role {
                MapRole::PerfEvents(_) | MapRole::RingEvents(_) => {
                    ("events", "the buffer was full: make it larger with --buffer, or submit less often")
                }
                MapRole::Table | MapRole::Histogram | MapRole::Stacks | MapRole::Other => {
                    ("updates", "the map was full: give it more entries")
                }
            };
            Entry { what, from: map.name.as_str().into(), help, before: 0 }
        });
        let entries = std::iter::once(lines).chain(maps).collect();
        Self { map: loaded.map(LOSSES_MAP).cloned(), entries, counters: Vec::new(), said: false }
    }

    pub(super) fn watch(&mut self, counters: Vec<Counter>) {
        self.counters.extend(counters);
    }

    /// What was lost since the last look.
    pub(super) fn look(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        let mut failure = None;
        if let Some(map) = &self.map {
            for (index, entry) in (0_u32..).zip(&mut self.entries) {
                match map.lookup(&index.to_ne_bytes()) {
                    Ok(value) => {
                        let value = value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_ne_bytes);
                        let count = value.saturating_sub(entry.before);
                        entry.before = value;
                        let (what, from, help) = (entry.what, Arc::clone(&entry.from), entry.help);
                        records.push(Record::Lost { what, from, count, help });
                    }
                    Err(error) => failure = Some(error),
                }
            }
        }
        for counter in &mut self.counters {
            match counter.more() {
                Ok(count) => {
                    let (what, from, help) = (counter.what(), Arc::clone(counter.from()), counter.help());
                    records.push(Record::Lost { what, from, count, help });
                }
                Err(error) => failure = Some(error),
            }
        }
        records.retain(|record| !matches!(record, Record::Lost { count: 0, .. }));
        if let Some(error) = failure.filter(|_| !self.said) {
            self.said = true;
            records.push(Record::Note { message: format!("what was lost may be incomplete: {error}") });
        }
        records
    }
}
