//! What a run of a probe has to say, between decoding and rendering: one value a record.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use crate::attach::Beside;
pub use crate::carry::Reset;
use crate::decode::{EventType, Value};
pub use crate::directive::{Cell, Column, Layout, Measure, Unit};
use crate::event::{Batch, Event};

/// One record of output. Renderers turn each into text or into one JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// When it was read from the kernel, or when it happened where the record itself says so (wall clock).
    pub time: SystemTime,
    /// What it is.
    pub body: Body,
}

/// The kinds of records.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// All programs are attached; what follows is data.
    Attached {
        /// What was attached where, one entry a program.
        programs: Vec<AttachedProgram>,
    },
    /// Events from a perf buffer or a ring buffer that were read together and are whole; each has its own time.
    Events(Events),
    /// One event that is not of a type of fixed size, or of which there is only a part.
    Event {
        /// Name of the map that carried it.
        map: String,
        /// Name of its C type without `struct`; empty where it is unknown.
        kind: String,
        /// Its fields; a value that is no struct is one field called `value`.
        fields: Vec<(String, Value)>,
    },
    /// The content of a map at an interval or at the end.
    Map {
        /// Name of the map.
        map: String,
        /// Its rows.
        rows: Vec<MapRow>,
        /// Which columns to print; none means every field of key and value.
        layout: Option<Layout>,
        /// What its slots mean, of a histogram; none for other maps. A layout goes before it.
        histogram: Option<Scale>,
        /// Seconds since the last time this map was shown or, at first, since the probe was attached.
        elapsed: f64,
        /// Whether this is the last time.
        last: bool,
        /// How many entries there are besides, where only the top ones are shown; the rows are in their order then.
        more: Option<usize>,
        /// Why rows are missing, if any are: a map that changed while it was read, a decoding failure.
        incomplete: Option<String>,
    },
    /// A line of `bpf_trace_printk`.
    Print {
        /// The formatted text, without a line end.
        message: String,
        /// Process id (thread group) in whose context it was printed.
        pid: u32,
        /// Thread id.
        tid: u32,
        /// Command name of the thread.
        comm: String,
        /// The CPU.
        cpu: u32,
    },
    /// What an iterator wrote.
    Text {
        /// The C function of the iterator.
        from: String,
        /// The text, as the program wrote it.
        bytes: Vec<u8>,
    },
    /// Something was lost: said when it is noticed and again as a total at the end.
    Lost {
        /// What was lost: `events` of a perf buffer, `returns` of a kretprobe, `updates` of a full map, …
        what: String,
        /// Where: the name of a map or of a function; empty where that says nothing.
        from: String,
        /// How many since the last such record; the total in the record at the end.
        count: u64,
        /// What to do against it.
        help: Option<String>,
        /// Whether `count` is the total at the end of the run.
        total: bool,
    },
    /// The next version of the probe runs in place of the one before.
    Swapped(Box<Swap>),
    /// The next version of the probe cannot run; the one before goes on.
    Refused {
        /// Why, as lines for people.
        message: String,
    },
    /// Why the run ended.
    End {
        /// Such as `interrupted`, `process 4711 exited`, `duration of 10s is over`.
        reason: String,
    },
    /// A message that is not fatal.
    Note {
        /// Its text.
        message: String,
    },
}

/// How a version of a probe took the place of the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct Swap {
    /// From the save to the moment from which the new version runs.
    pub live: Duration,
    /// What that was spent on.
    pub steps: Steps,
    /// The maps that it goes on with.
    pub carried: Vec<String>,
    /// The maps that it starts empty.
    pub reset: Vec<Reset>,
    /// The maps that it does not have any more.
    pub gone: Vec<String>,
    /// The programs that are not behind the switch: both versions of them ran for a moment.
    pub beside: Vec<Beside>,
    /// For how long they did.
    pub ran_beside: Duration,
    /// Warnings about the text, as lines for people.
    pub warnings: String,
}

/// What the time from a save to a running version was spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps {
    /// Compiling, or taking it from the cache.
    pub compile: Duration,
    /// Finding what it is to be attached to.
    pub resolve: Duration,
    /// Loading, the verifier included.
    pub load: Duration,
    /// Putting its programs behind the switch, and attaching them to new places.
    pub attach: Duration,
}

/// Events of one map, still as bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    batch: Arc<Batch>,
    range: Range<usize>,
    kinds: Arc<[EventType]>,
}

impl Events {
    /// Those events of a batch that are of these kinds, each of them whole ([`EventType::is_whole`]).
    pub fn new(batch: Arc<Batch>, range: Range<usize>, kinds: Arc<[EventType]>) -> Self {
        Self { batch, range, kinds }
    }

    /// Name of the map that carried them.
    pub fn map(&self) -> &str {
        self.batch.map()
    }

    /// The events and their kinds, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Event<'_>, &EventType)> {
        let events = self.range.clone().filter_map(|index| self.batch.get(index));
        events.filter_map(|event| Some((event, EventType::choose(&self.kinds, event.bytes.len())?)))
    }
}

/// A program and where it is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedProgram {
    /// The C function as the user named it.
    pub function: String,
    /// Kind of attach point that was chosen, such as `fexit`.
    pub kind: String,
    /// Target, such as `tcp_sendmsg` or `/usr/sbin/mariadbd:login_connection(THD*) +0x1234`.
    pub target: String,
    /// Why this kind was chosen; shown with `-v`.
    pub why: String,
}

/// One entry of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct MapRow {
    /// The decoded key.
    pub key: Value,
    /// The decoded value; [`Value::PerCpu`] for per-CPU maps.
    pub value: Value,
    /// The same value the last time that this map was read; none for a new entry.
    pub before: Option<Value>,
}

impl MapRow {
    /// What a path such as `["key", "pid"]` or `["value"]` leads to.
    pub fn at(&self, path: &[String]) -> Option<Cow<'_, Value>> {
        let (side, rest) = path.split_first()?;
        match side.as_str() {
            "key" => self.key.at(rest),
            "value" => self.value.at(rest),
            _ => None,
        }
    }

    /// How much the number at a path grew a second, over `elapsed` seconds. A number that shrank was set back or
    /// belongs to a new entry: it grew from 0. None for what is no number, and where no time passed.
    pub fn per_second(&self, path: &[String], elapsed: f64) -> Option<f64> {
        let (side, rest) = path.split_first()?;
        let now = self.at(path)?.integer()?;
        let before = match &self.before {
            Some(before) if side == "value" => before.at(rest).and_then(|before| before.integer()).unwrap_or(0),
            _ => 0,
        };
        let growth = if now < before { now } else { now.saturating_sub(before) };
        (elapsed > 0.0).then(|| growth as f64 / elapsed)
    }
}

/// What the slots of a histogram count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Slot n counts the values from 2^(n-1) up to 2^n - 1, as `bpf_log2l` numbers them; 0 is in slot 1.
    Log2,
    /// Slot n counts the value n.
    Linear,
}
