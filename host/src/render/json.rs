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

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Map, Value as JsonValue, json};

use super::{Renderer, Settings, local};
use crate::decode::Value;
use crate::escape::readable;
use crate::output::{AttachedProgram, Beside, Body, Cell, Layout, MapRow, Measure, Output, Reset, Scale, Steps, Swap};

/// Writes each record as one line of JSON to the data writer; nothing to the other.
pub(super) struct Json {
    settings: Settings,
}

impl Json {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Renderer for Json {
    fn record(&mut self, output: &Output, out: &mut dyn Write, _err: &mut dyn Write) -> io::Result<()> {
        let time = local(output.time, &self.settings.zone).strftime("%Y-%m-%dT%H:%M:%S%.9f%:z").to_string();
        let mut lines = Vec::new();
        line(&mut lines, object(&output.body, &time))?;
        if let Body::Map { map, rows, layout, elapsed, .. } = &output.body {
            for row in rows {
                line(&mut lines, entry(map, row, layout.as_ref(), *elapsed, &time))?;
            }
        }
        out.write_all(&lines)
    }
}

fn line(lines: &mut Vec<u8>, object: Map<String, JsonValue>) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, &object)?;
    lines.push(b'\n');
    Ok(())
}

fn object(body: &Body, time: &str) -> Map<String, JsonValue> {
    let mut object = Object(Map::new());
    let kind = match body {
        Body::Attached { .. } => "attached",
        Body::Event { .. } => "event",
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
        Body::Event { map, kind, fields } => {
            object.put("map", map.as_str());
            object.put("event", kind.as_str());
            object.put("fields", object_of(fields));
        }
        Body::Map { map, rows, layout: _, histogram, elapsed, last, incomplete } => {
            object.put("map", map.as_str());
            object.put("last", *last);
            object.put("elapsed", float(*elapsed));
            let scale = |scale| if scale == Scale::Log2 { "log2" } else { "linear" };
            object.put_some("histogram", histogram.map(scale));
            object.put_some("incomplete", incomplete.as_deref());
            object.put("entries", rows.len());
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
    match of {
        Value::Unsigned(number) => u64::try_from(*number).map_or_else(|_| number.to_string().into(), Into::into),
        Value::Signed(number) | Value::Enum { name: None, value: number } => signed(*number),
        Value::Enum { name: Some(name), .. } => name.as_str().into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Float(number) => float(*number),
        Value::Text(bytes) => readable(bytes).into(),
        Value::Pointer(address) => format!("{address:#x}").into(),
        Value::Struct(fields) => object_of(fields),
        Value::Array(elements) => elements.iter().map(value).collect(),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        Value::PerCpu(cpus) => {
            let all: JsonValue = cpus.iter().map(value).collect();
            match of.sum() {
                Some(sum) => json!({ "sum": value(&sum), "cpus": all }),
                None => json!({ "cpus": all }),
            }
        }
    }
}

fn signed(number: i128) -> JsonValue {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => number.into(),
        (_, Ok(number)) => number.into(),
        _ => number.to_string().into(),
    }
}

fn float(number: f64) -> JsonValue {
    if number.is_finite() { number.into() } else { number.to_string().into() }
}
