//! Values as text.

use std::fmt::Write as _;

use crate::decode::{Value, View};
use crate::escape::{harmless, readable};
use crate::output::Unit;

/// Most elements of an array and bytes of unknown meaning that are written; the rest is counted.
const MAX_ELEMENTS: usize = 64;

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) size: Size,
}

/// How the width of values of a kind varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Little: names, times.
    Fixed,
    /// Numbers grow, and stand at the right of their column.
    Number,
    /// Text of any length.
    Text,
}

impl Size {
    pub(super) fn of(value: View<'_>) -> Self {
        match value {
            View::Unsigned(_) | View::Signed(_) | View::Float(_) => Self::Number,
            View::Text(_) => Self::Text,
            _ => Self::Fixed,
        }
    }
}

impl Cell {
    pub(super) fn fixed(text: impl Into<String>) -> Self {
        Self { text: text.into(), size: Size::Fixed }
    }

    fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), size: Size::Number }
    }

    /// A value as it stands.
    pub(super) fn of(value: &Value) -> Self {
        let mut text = String::new();
        write(View::of(value), &mut text);
        Self { text, size: Size::of(View::of(value)) }
    }

    /// A number in a unit.
    pub(super) fn in_unit(value: &Value, unit: Unit) -> Self {
        match (unit, value.integer()) {
            (Unit::None, _) | (_, None) => Self::of(value),
            (unit, Some(number)) => Self::number(scaled(number as f64, unit)),
        }
    }

    /// A number a second in a unit; `-` where it is not known.
    pub(super) fn per_second(rate: Option<f64>, unit: Unit) -> Self {
        Self::number(match (rate, unit) {
            (None, _) => "-".to_owned(),
            (Some(rate), Unit::None) => decimals(rate),
            (Some(rate), unit) => format!("{}/s", scaled(rate, unit)),
        })
    }
}

/// The fields of a value, those of nested structs by names such as `a.b`. Values of CPUs are added up where they can be.
pub(super) fn flatten(name: &str, value: &Value, into: &mut Vec<(String, Cell)>) {
    match value {
        Value::Struct(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, into);
            }
        }
        // Queues and stacks have no keys.
        Value::Struct(_) if name == "key" => {}
        Value::PerCpu(_) => match value.sum() {
            Some(sum) => flatten(name, &sum, into),
            None => into.push((name.to_owned(), Cell::of(value))),
        },
        _ => into.push((name.to_owned(), Cell::of(value))),
    }
}

/// Writes a value on one line, harmless for a terminal.
pub(super) fn write(value: View<'_>, into: &mut String) {
    match value {
        View::Unsigned(number) => into.push_str(itoa::Buffer::new().format(number)),
        View::Signed(number) | View::Enum { name: None, value: number } => {
            into.push_str(itoa::Buffer::new().format(number));
        }
        View::Bool(truth) => into.push_str(if truth { "true" } else { "false" }),
        View::Float(number) => put(into, format_args!("{number}")),
        View::Enum { name: Some(name), .. } => into.push_str(&harmless(name)),
        View::Text(bytes) => into.push_str(&harmless(&readable(bytes))),
        View::Pointer(address) => put(into, format_args!("{address:#x}")),
        View::Struct(fields) => {
            into.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                into.push_str(if index > 0 { ", " } else { "" });
                into.push_str(&harmless(name));
                into.push('=');
                write(field, into);
            }
            into.push('}');
        }
        View::Array(elements) => list(elements.iter(), elements.len(), into),
        View::PerCpu(_, cpus) => list(cpus.iter().map(View::of), cpus.len(), into),
        View::Bytes(bytes) => {
            for (index, byte) in bytes.iter().take(MAX_ELEMENTS).enumerate() {
                into.push_str(if index > 0 { " " } else { "" });
                put(into, format_args!("{byte:02x}"));
            }
            rest(bytes.len(), into);
        }
    }
}

fn list<'a>(elements: impl Iterator<Item = View<'a>>, length: usize, into: &mut String) {
    into.push('[');
    for (index, element) in elements.take(MAX_ELEMENTS).enumerate() {
        into.push_str(if index > 0 { ", " } else { "" });
        write(element, into);
    }
    rest(length, into);
    into.push(']');
}

fn rest(length: usize, into: &mut String) {
    if let Some(more @ 1..) = length.checked_sub(MAX_ELEMENTS) {
        put(into, format_args!(" … {more} more"));
    }
}

fn put(into: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = into.write_fmt(text);
}

/// A number with few decimals.
fn decimals(number: f64) -> String {
    if number.abs() >= 100.0 || number == number.trunc() { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// A number in the largest multiple of its unit that it reaches.
fn scaled(number: f64, unit: Unit) -> String {
    let (step, names): (f64, &[&str]) = match unit {
        Unit::None => (1.0, &[""]),
        Unit::Bytes => (1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
        Unit::Nanoseconds => (1000.0, &["ns", "µs", "ms", "s"]),
    };
    let mut number = number;
    let mut names = names.iter();
    let mut name = names.next().copied().unwrap_or_default();
    for larger in names {
        // As much as would round to a whole step counts as one.
        if number.abs() < step - 0.05 {
            break;
        }
        number /= step;
        name = larger;
    }
    format!("{} {name}", decimals(number))
}
