//! One JSON object a line.
//!
//! Every record has `kind` (`attached`, `event`, `map`, `entry`, `print`, `text`, `lost`, `note`,
//! `swapped`, `refused`, `end`) and `time` (RFC 3339,
//! nanoseconds, offset of the zone). A report of a map is a record `map` that says how many entries follow, and a record
//! `entry` for each. Values:
//!
//! - integers are numbers, exact over all 64 bits; larger ones are strings of decimal digits;
//! - an enum is the enumerator's name, or its number where it has no name;
//! - text is a string, in which bytes that are no UTF-8 are written `\xNN`;
//! - a pointer is a string, `0x…`; bytes of unknown meaning are a string of hexadecimal digits;
//! - a float is a number, or one of the strings `NaN`, `inf`, `-inf`;
//! - structs are objects and arrays are arrays; a union is an object with all its readings;
//! - of a per-CPU map, a value is an object: `cpus` has the values by CPU, and `sum` their sum where they can be added.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value as JsonValue, json};

use super::clock::Clock;
use super::{Renderer, Settings};
use crate::decode::{Members, Value, View};
use crate::escape::readable;
use crate::output::{
    AttachedProgram, Beside, Body, Cell, Events, Layout, MapRow, Measure, Output, Reset, Scale, Steps, Swap,
};

/// Writes each record as one line of JSON to the data writer; nothing to the other.
pub(super) struct Json {
    clock: Clock,
    /// What is written next, and its time: kept for their memory.
    lines: Vec<u8>,
    time: String,
}

impl Json {
    pub(super) fn new(settings: Settings) -> Self {
        let clock = Clock::new(settings.zone, "%Y-%m-%dT%H:%M:%S", "%:z");
        Self { clock, lines: Vec::new(), time: String::new() }
    }

    /// Events that are still bytes. Nothing is allocated for one, but for text that is no UTF-8.
    fn events(&mut self, events: &Events) -> io::Result<()> {
        for (event, kind) in events.iter() {
            self.time.clear();
            self.clock.write(event.time, 9, &mut self.time);
            let (time, map, fields) = (&self.time, events.map(), kind.members(event.bytes));
            serde_json::to_writer(&mut self.lines, &Line { time, map, event: &kind.name, fields })?;
            self.lines.push(b'\n');
        }
        Ok(())
    }
}

impl Renderer for Json {
    fn record(&mut self, output: &Output, out: &mut dyn Write, _err: &mut dyn Write) -> io::Result<()> {
        self.lines.clear();
        if let Body::Events(events) = &output.body {
            self.events(events)?;
            return out.write_all(&self.lines);
        }
        self.time.clear();
        self.clock.write(output.time, 9, &mut self.time);
        object_line(&mut self.lines, object(&output.body, &self.time))?;
        if let Body::Map { map, rows, layout, elapsed, .. } = &output.body {
            for row in rows {
                object_line(&mut self.lines, entry(map, row, layout.as_ref(), *elapsed, &self.time))?;
            }
        }
        out.write_all(&self.lines)
    }
}

/// One object on a line of its own.
///
/// # Errors
/// The writer's.
pub(crate) fn object_line(out: &mut dyn Write, object: impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

fn object(body: &Body, time: &str) -> Map<String, JsonValue> {
    let mut object = Object(Map::new());
    let kind = match body {
        Body::Attached { .. } => "attached",
        Body::Events(_) | Body::Event { .. } => "event",
        Body::Map { .. } => "map",
        Body::Print { .. } => "print",
        Body::Text { .. } => "text",
        Body::Lost { .. } => "lost",
        Body::Note { .. } => "note",
        Body::Swapped(_) => "swapped",
        Body::Refused { .. } => "refused",
        Body::End { .. } => "end",
    };
    object.put("kind", kind);
    object.put("time", time);
    match body {
        Body::Attached { programs } => {
            let program = |program: &AttachedProgram| {
                let AttachedProgram { function, kind, target, why } = program;
                json!({ "function": function, "kind": kind, "target": target, "why": why })
            };
            object.put("programs", programs.iter().map(program).collect::<JsonValue>());
        }
        // Each is a line of its own.
        Body::Events(_) => {}
        Body::Event { map, kind, fields } => {
            object.put("map", map.as_str());
            object.put("event", kind.as_str());
            object.put("fields", object_of(fields));
        }
        Body::Map { map, rows, layout: _, histogram, elapsed, last, more, incomplete } => {
            object.put("map", map.as_str());
            object.put("last", *last);
            object.put("elapsed", float(*elapsed));
            let scale = |scale| if scale == Scale::Log2 { "log2" } else { "linear" };
            object.put_some("histogram", histogram.map(scale));
            object.put_some("incomplete", incomplete.as_deref());
            object.put("entries", rows.len());
            object.put_some("more", *more);
        }
        Body::Print { message, pid, tid, comm, cpu } => {
            object.put("message", message.as_str());
            object.put("pid", *pid);
            object.put("tid", *tid);
            object.put("comm", comm.as_str());
            object.put("cpu", *cpu);
        }
        Body::Text { from, bytes } => {
            object.put("from", from.as_str());
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            object.put(
                "lines",
                lines.map(|line| readable(line.strip_suffix(b"\n").unwrap_or(line)).into()).collect::<Vec<JsonValue>>(),
            );
        }
        Body::Lost { what, from, count, help, total } => {
            object.put("what", what.as_str());
            object.put("from", from.as_str());
            object.put("count", *count);
            object.put("total", *total);
            object.put_some("help", help.as_deref());
        }
        Body::Swapped(swap) => swapped(&mut object, swap),
        Body::Refused { message } => object.put("message", message.as_str()),
        Body::End { reason } => object.put("reason", reason.as_str()),
        Body::Note { message } => object.put("message", message.as_str()),
    }
    object.0
}

fn swapped(object: &mut Object, swap: &Swap) {
    let Swap { live, steps, carried, reset, gone, beside, ran_beside, warnings } = swap;
    let seconds = |time: &Duration| float(time.as_secs_f64());
    object.put("seconds", seconds(live));
    let Steps { compile, resolve, load, attach } = steps;
    let steps = [("compile", compile), ("resolve", resolve), ("load", load), ("attach", attach)];
    let steps = steps.into_iter().map(|(name, time)| (name.to_owned(), seconds(time)));
    object.put("steps", steps.collect::<Map<_, _>>());
    object.put("carried", carried.as_slice());
    let reset = reset.iter().map(|Reset { map, why }| json!({ "map": map, "why": why }));
    object.put("reset", reset.collect::<JsonValue>());
    object.put("gone", gone.as_slice());
    let beside = beside
        .iter()
        .map(|Beside { function, why }| json!({ "function": function, "why": why, "seconds": seconds(ran_beside) }));
    object.put("beside", beside.collect::<JsonValue>());
    object.put_some("warnings", Some(warnings.as_str()).filter(|warnings| !warnings.is_empty()));
}

/// An object under construction.
struct Object(Map<String, JsonValue>);

impl Object {
    fn put(&mut self, name: &str, value: impl Into<JsonValue>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<JsonValue>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

/// An entry of a map; with the growth a second of the columns that show one.
fn entry(map: &str, row: &MapRow, layout: Option<&Layout>, elapsed: f64, time: &str) -> Map<String, JsonValue> {
    let mut fields = Object(Map::new());
    fields.put("key", value(&row.key));
    fields.put("value", value(&row.value));
    let mut rates = Map::new();
    for column in layout.map(|layout| layout.columns.as_slice()).unwrap_or_default() {
        if let Cell::Field { path, measure: Measure::PerSecond, .. } = &column.cell {
            let rate = row.per_second(path, elapsed).map_or(JsonValue::Null, float);
            rates.insert(column.heading.clone(), rate);
        }
    }
    if !rates.is_empty() {
        fields.put("per_second", rates);
    }
    let mut object = Object(Map::new());
    object.put("kind", "entry");
    object.put("time", time);
    object.put("map", map);
    object.put("fields", fields.0);
    object.0
}

fn object_of(fields: &[(String, Value)]) -> JsonValue {
    fields.iter().map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>().into()
}

fn value(of: &Value) -> JsonValue {
    // Every value has its JSON.
    serde_json::to_value(Shown(View::of(of))).unwrap_or_default()
}

/// A value as it is written.
struct Shown<'a>(View<'a>);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            View::Unsigned(number) => match u64::try_from(number) {
                Ok(number) => to.serialize_u64(number),
                Err(_) => to.collect_str(&number),
            },
            View::Signed(number) | View::Enum { name: None, value: number } => {
                match (i64::try_from(number), u64::try_from(number)) {
                    (Ok(number), _) => to.serialize_i64(number),
                    (_, Ok(number)) => to.serialize_u64(number),
                    _ => to.collect_str(&number),
                }
            }
            View::Enum { name: Some(name), .. } => to.serialize_str(name),
            View::Bool(truth) => to.serialize_bool(truth),
            View::Float(number) if number.is_finite() => to.serialize_f64(number),
            View::Float(number) => to.collect_str(&number),
            View::Text(bytes) => to.serialize_str(&readable(bytes)),
            View::Pointer(address) => to.collect_str(&format_args!("{address:#x}")),
            View::Struct(fields) => to.collect_map(fields.iter().map(|(name, field)| (name, Shown(field)))),
            View::Array(elements) => to.collect_seq(elements.iter().map(Shown)),
            View::Bytes(bytes) => to.collect_str(&Hexadecimal(bytes)),
            View::PerCpu(all, cpus) => {
                let sum = all.sum();
                let mut map = to.serialize_map(None)?;
                if let Some(sum) = &sum {
                    map.serialize_entry("sum", &Shown(View::of(sum)))?;
                }
                map.serialize_entry("cpus", &Cpus(cpus))?;
                map.end()
            }
        }
    }
}

/// The values of a per-CPU value.
struct Cpus<'a>(&'a [Value]);

impl Serialize for Cpus<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|value| Shown(View::of(value))))
    }
}

struct Hexadecimal<'a>(&'a [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
    }
}

/// An event that is still bytes.
struct Line<'a> {
    time: &'a str,
    map: &'a str,
    event: &'a str,
    fields: Option<Members<'a>>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut line = to.serialize_map(None)?;
        line.serialize_entry("kind", "event")?;
        line.serialize_entry("time", self.time)?;
        line.serialize_entry("map", self.map)?;
        line.serialize_entry("event", self.event)?;
        line.serialize_entry("fields", &self.fields.map(|fields| Shown(View::Struct(fields))))?;
        line.end()
    }
}

fn float(number: f64) -> JsonValue {
    if number.is_finite() { number.into() } else { number.to_string().into() }
}
