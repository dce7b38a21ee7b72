//! A running probe as a stream of records, until something ends it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, at, never, select, tick};

use crate::attach::{Attached, Iterating};
use crate::bpf::map::Map;
use crate::decode::{self, EventType, Print, Value, decode_print};
use crate::directive::{Cell, Layout as Columns, Measure};
use crate::event::{self, Batch, Record};
use crate::facts::PrintFact;
use crate::output::{Body, Events, MapRow, Output, Scale};
use crate::watch::{Happening, Watch};

mod follow;
mod top;

pub use follow::{Following, Next, Successor};
pub use top::Top;

/// What ends a run, besides the end of all traced processes and of the output's reader.
#[derive(Debug)]
pub struct Endings {
    /// How long it may take.
    pub duration: Option<Duration>,
    /// How many events, trace lines and interval reports may come.
    pub count: Option<u64>,
    /// Requests to end, each with its reason, such as a signal's name.
    pub stop: Receiver<String>,
    /// What is watched from outside.
    pub watch: Watch,
    /// The traced processes: the run ends with the last of them. Empty where all processes are traced.
    pub pids: Vec<u32>,
}

/// A map that is printed at the interval and at the end.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The map.
    pub map: Map,
    /// Layout of its keys.
    pub key: decode::Layout,
    /// Layout of its values; of a per-CPU map, of one of them.
    pub value: decode::Layout,
    /// What its slots count, of a histogram.
    pub histogram: Option<Scale>,
    /// Which columns are printed.
    pub columns: Option<Columns>,
    /// Which entries are printed, where not all are.
    pub top: Option<Top>,
    /// What was in it the last time: value by key.
    before: HashMap<Vec<u8>, Vec<u8>>,
}

impl Table {
    /// A map that was not printed yet: a plain one, all of whose fields are printed.
    pub fn new(map: Map, key: decode::Layout, value: decode::Layout) -> Self {
        let name = map.name().to_string();
        Self { name, map, key, value, histogram: None, columns: None, top: None, before: HashMap::new() }
    }
}

/// The iterators of a probe: read at the start, and again at each interval where one was asked for.
#[derive(Debug, Default)]
pub struct Iterators {
    /// The iterators.
    pub all: Vec<Iterating>,
    /// Whether they are read again.
    pub again: bool,
    /// Whether there is nothing else to wait for.
    pub alone: bool,
}

/// How events are understood.
#[derive(Debug, Default)]
pub struct Meaning {
    /// For each map that carries events: the kinds of its events.
    pub events: HashMap<String, Arc<[EventType]>>,
    /// The formats of trace lines.
    pub prints: Vec<PrintFact>,
}

impl Meaning {
    fn kinds(&self, map: &str) -> Arc<[EventType]> {
        self.events.get(map).cloned().unwrap_or_default()
    }
}

/// Decodes an event that is not whole, or of no known kind.
fn decode_event(map: &str, kinds: &[EventType], bytes: &[u8]) -> (Body, Option<String>) {
    let (name, decoded) = match EventType::choose(kinds, bytes.len()) {
        Some(kind) => (kind.name.clone(), kind.layout.decode(bytes)),
        None => (String::new(), decode::Layout::opaque(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).decode(bytes)),
    };
    let fields = match decoded.value {
        Value::Struct(fields) => fields,
        value => vec![("value".to_owned(), value)],
    };
    (Body::Event { map: map.to_owned(), kind: name, fields }, decoded.mismatch)
}

/// An attached probe, and what is needed to understand it. In a run that follows a file, one version of it.
#[derive(Debug)]
pub struct Version {
    /// Its programs.
    pub attached: Attached,
    /// The thread that reads its events; none once they are read to the end.
    pub events: Option<event::Events>,
    /// The maps that are printed.
    pub tables: Vec<Table>,
    /// Its iterators.
    pub iterators: Iterators,
    /// How its events are understood.
    pub meaning: Meaning,
    /// How often maps are printed.
    pub interval: Duration,
}

impl Version {
    fn records(&self) -> Receiver<Record> {
        self.events.as_ref().map_or_else(never, |events| events.records().clone())
    }

    /// Whether anything is printed at the interval.
    fn ticks_at_all(&self) -> bool {
        !self.tables.is_empty() || self.iterators.again
    }

    fn ticks(&self) -> Receiver<Instant> {
        if self.ticks_at_all() { tick(self.interval) } else { never() }
    }
}

/// A running probe, as a stream of records.
#[derive(Debug)]
pub struct Session {
    version: Version,
    /// Where the next versions come from; none where the run follows no file.
    following: Option<Following>,
    records: Receiver<Record>,
    endings: Endings,
    ticks: Receiver<Instant>,
    deadline: Receiver<Instant>,
    /// When that is.
    ends_at: Option<Instant>,
    shown_at: Instant,
    ready: VecDeque<Output>,
    lost: BTreeMap<(String, String), (u64, String)>,
    counted: u64,
}

impl Session {
    /// Starts to deliver what an attached probe reports, and its next versions where there is somewhere that they come
    /// from.
    pub fn new(version: Version, endings: Endings, following: Option<Following>) -> Self {
        let now = Instant::now();
        let ends_at = endings.duration.and_then(|duration| now.checked_add(duration));
        let mut session = Self {
            records: version.records(),
            ticks: version.ticks(),
            deadline: ends_at.map_or_else(never, at),
            ends_at,
            version,
            following,
            endings,
            shown_at: now,
            ready: VecDeque::new(),
            lost: BTreeMap::new(),
            counted: 0,
        };
        session.begin();
        session
    }

    /// Reads iterators, which ends a run that has nothing else to wait for.
    fn begin(&mut self) {
        self.iterate();
        let Iterators { alone, again, .. } = self.version.iterators;
        if alone && !again && self.following.is_none() {
            self.end("all iterators were read".to_owned(), true);
        }
    }
}

impl Iterator for Session {
    type Item = Output;

    /// The next record; waits for it. After the record [`Body::End`] comes none.
    fn next(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Some(output);
            }
            self.version.events.as_ref()?;
            self.wait();
        }
    }
}

impl Session {
    /// Waits for one thing to happen, and makes its records.
    fn wait(&mut self) {
        let nexts = self.following.as_ref().map_or_else(never, |following| following.nexts.clone());
        select! {
            recv(nexts) -> next => match next {
                Ok(next) => self.follow(next),
                Err(_) => self.following = None,
            },
            recv(self.records) -> record => match record {
                Ok(record) => self.take(record),
                Err(_) => self.end("the kernel's buffers cannot be read any more".to_owned(), true),
            },
            recv(self.ticks) -> _ => self.tick(),
            recv(self.endings.watch.happenings()) -> happening => match happening {
                Ok(Happening::Exited(pid)) => self.exited(pid),
                Ok(Happening::ReaderGone) => self.end("nobody reads the output any more".to_owned(), true),
                Err(_) => self.end("the traced processes cannot be watched any more".to_owned(), true),
            },
            recv(self.endings.stop) -> reason => self.end(reason.unwrap_or_else(|_| "asked to end".to_owned()), true),
            recv(self.deadline) -> _ => {
                let duration = self.endings.duration.unwrap_or_default();
                self.end(format!("{duration:?} are over"), true);
            }
        }
    }

    fn exited(&mut self, pid: u32) {
        self.endings.pids.retain(|traced| *traced != pid);
        match self.endings.pids.len() {
            0 => self.end(format!("process {pid} ended"), true),
            left => self.note(format!("process {pid} ended; {left} more are traced")),
        }
    }

    /// Makes records of what the kernel delivered.
    fn take(&mut self, record: Record) {
        match record {
            Record::Events(batch) => self.events(batch),
            Record::Prints(batch) => self.prints(&batch),
            Record::Lost { what, from, count, help } => {
                let total = self.lost.entry((what.to_owned(), from.to_string())).or_insert((0, help.to_owned()));
                total.0 = total.0.saturating_add(count);
                let (what, from, help) = (what.to_owned(), from.to_string(), Some(help.to_owned()));
                self.say(Body::Lost { what, from, count, help, total: false });
            }
            Record::Note { message } => self.note(message),
        }
    }

    /// Makes one record of all whole events that follow one another, and one of each other event.
    fn events(&mut self, batch: Batch) {
        let (kinds, batch) = (self.version.meaning.kinds(batch.map()), Arc::new(batch));
        let is_whole =
            |bytes: &[u8]| EventType::choose(&kinds, bytes.len()).is_some_and(|kind| kind.is_whole(bytes.len()));
        let mut index = 0;
        while let Some(event) = batch.get(index).filter(|_| !self.is_enough()) {
            let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
            let whole = batch.iter().skip(index).take(left).take_while(|event| is_whole(event.bytes)).count();
            if whole > 0 {
                let range = index..index + whole;
                let body = Body::Events(Events::new(Arc::clone(&batch), range, Arc::clone(&kinds)));
                self.ready.push_back(Output { time: event.time, body });
                index += whole;
                self.count(whole);
                continue;
            }
            let (body, mismatch) = decode_event(batch.map(), &kinds, event.bytes);
            self.ready.push_back(Output { time: event.time, body });
            if let Some(mismatch) = mismatch {
                self.note(format!("an event of `{}` is not what its type says: {mismatch}", batch.map()));
            }
            index += 1;
            self.count(1);
        }
    }

    fn prints(&mut self, batch: &Batch) {
        for event in batch.iter() {
            if self.is_enough() {
                break;
            }
            match decode_print(event.bytes, &self.version.meaning.prints) {
                Ok(print) => {
                    let time = event.time.checked_sub(age(print.ns)).unwrap_or(event.time);
                    let Print { pid, tid, comm, cpu, message, .. } = print;
                    self.ready.push_back(Output { time, body: Body::Print { message, pid, tid, comm, cpu } });
                }
                Err(error) => self.note(error.to_string()),
            }
            self.count(1);
        }
    }

    /// How many more records `--count` lets through.
    fn left(&self) -> u64 {
        self.endings.count.map_or(u64::MAX, |count| count.saturating_sub(self.counted))
    }

    /// Whether `--count` is reached.
    fn is_enough(&self) -> bool {
        self.endings.count.is_some_and(|count| self.counted >= count)
    }

    /// Counts events or lines against `--count`.
    fn count(&mut self, more: usize) {
        self.counted = self.counted.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        if self.is_enough() {
            self.end(format!("{} records were asked for", self.counted), true);
        }
    }

    /// Whether the run is over in less than a tenth of the interval.
    fn is_about_to_end(&self) -> bool {
        let left = self.ends_at.map(|end| end.saturating_duration_since(Instant::now()));
        left.is_some_and(|left| left < self.version.interval / 10)
    }

    /// Prints all maps at an interval, which counts as one record. Where the last report follows at once, it would say the same
    /// twice.
    fn tick(&mut self) {
        self.counted += 1;
        let last = self.is_enough();
        if self.version.iterators.again {
            self.iterate();
        }
        if last || !self.is_about_to_end() {
            self.report(last);
        }
        if last {
            self.end(format!("{} records were asked for", self.counted), false);
        }
    }

    /// Runs all iterators, and makes records of what they write.
    fn iterate(&mut self) {
        for index in 0..self.version.iterators.all.len() {
            let Some(Iterating { function, iterator }) = self.version.iterators.all.get(index) else { continue };
            let from = function.clone();
            match iterator.read() {
                Ok(reading) => {
                    self.ready.push_back(Output {
                        time: SystemTime::now(),
                        body: Body::Text { from: from.clone(), bytes: reading.bytes },
                    });
                    if reading.cut {
                        self.note(format!("`{from}` wrote more than 16 MiB; the rest is not shown"));
                    }
                }
                Err(error) => self.note(format!("iterator `{from}` cannot be read: {error}")),
            }
        }
    }

    fn report(&mut self, last: bool) {
        let elapsed = self.shown_at.elapsed().as_secs_f64();
        self.shown_at = Instant::now();
        for table in &mut self.version.tables {
            let body = table.report(elapsed, last);
            self.ready.push_back(Output { time: SystemTime::now(), body });
        }
    }

    /// Detaches, then says everything that is left to say: what is still in the buffers (but for what `--count` cuts
    /// off), the maps if `report`, and the losses.
    fn end(&mut self, reason: String, report: bool) {
        let Some(events) = self.version.events.take() else { return };
        self.version.attached.detach();
        for record in events.finish() {
            if !self.is_enough() || matches!(record, Record::Lost { .. } | Record::Note { .. }) {
                self.take(record);
            }
        }
        if report {
            self.report(true);
        }
        for ((what, from), (count, help)) in std::mem::take(&mut self.lost) {
            self.say(Body::Lost { what, from, count, help: Some(help), total: true });
        }
        self.say(Body::End { reason });
    }

    fn note(&mut self, message: String) {
        self.say(Body::Note { message });
    }

    fn say(&mut self, body: Body) {
        self.ready.push_back(Output { time: SystemTime::now(), body });
    }
}

/// How long ago a moment of `bpf_ktime_get_ns` (CLOCK_MONOTONIC) was.
fn age(ns: u64) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default().saturating_sub(Duration::from_nanos(ns))
}

impl Table {
    fn report(&mut self, elapsed: f64, last: bool) -> Body {
        let (mut entries, mut incomplete) = match self.map.entries() {
            Ok(entries) => (entries.rows, entries.incomplete),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let stride = self.map.is_per_cpu().then(|| self.map.value_stride());
        // An entry may come among the top ones later, and its growth is asked for then.
        let mut now: HashMap<_, _> =
            if self.top.is_some() && self.has_rates() { entries.iter().cloned().collect() } else { HashMap::new() };
        let more = self.top.as_ref().map(|top| top.pick(&mut entries, stride));
        let mut rows = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let before = self.before.get(&key).map(|bytes| self.decode(bytes).value);
            let decoded_key = self.key.decode(&key);
            let decoded = self.decode(&value);
            if incomplete.is_none() {
                incomplete = decoded_key.mismatch.or(decoded.mismatch);
            }
            rows.push(MapRow { key: decoded_key.value, value: decoded.value, before });
            now.insert(key, value);
        }
        self.before = now;
        Body::Map {
            map: self.name.clone(),
            rows,
            histogram: self.histogram,
            layout: self.columns.clone(),
            elapsed,
            last,
            more,
            incomplete,
        }
    }

    /// Whether a column shows how much something grew.
    fn has_rates(&self) -> bool {
        let columns = self.columns.iter().flat_map(|layout| &layout.columns);
        let mut cells = columns.map(|column| &column.cell);
        cells.any(|cell| matches!(cell, Cell::Field { measure: Measure::PerSecond, .. }))
    }

    fn decode(&self, bytes: &[u8]) -> decode::Decoded {
        if !self.map.is_per_cpu() {
            return self.value.decode(bytes);
        }
        let each: Vec<decode::Decoded> =
            bytes.chunks(self.map.value_stride().max(1)).map(|bytes| self.value.decode(bytes)).collect();
        let mismatch = each.iter().find_map(|decoded| decoded.mismatch.clone());
        decode::Decoded { value: Value::PerCpu(each.into_iter().map(|decoded| decoded.value).collect()), mismatch }
    }
}
