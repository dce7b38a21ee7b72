//! Stage 2: what the probe file's `//@` lines and the command line say about attaching and printing.
//!
//! ```text
//! //@ attach KIND:TARGET [| KIND:TARGET]… = FUNCTION
//! //@ interval TIME
//! //@ print MAP: COLUMN…        COLUMN is `time` or [HEADING=]PATH[/s][:UNIT], PATH as in key.pid or value
//! //@ hide MAP
//! //@ top MAP COUNT [by PATH]
//! //@ allow LINT[, LINT]…       on the line of what is allowed, above it, or above all code for the whole file
//! //@ tail_call ARRAY[INDEX] = FUNCTION
//! //@ buffer MAP SIZE
//! //@ fill MAP[KEY] = VALUE     VALUE by the type of the map: a number, a map, a control group, an interface, a counter
//! ```

use std::time::Duration;

use crate::diag::{Argument, Diagnostic};
use crate::facts::{FunctionKind, TailCall};
use crate::kind;
use crate::source::Span;

mod buffer;
mod fill;
mod top;

pub use buffer::{Buffer, BufferSize, parse_size};
pub use fill::{Fill, With, number};
pub use top::Top;

/// All that directives and the command line say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Functions of the probe and the places that they are attached to.
    pub attaches: Vec<Attach>,
    /// How often maps are printed.
    pub interval: Option<Duration>,
    /// Maps that are printed, or hidden, otherwise than by default.
    pub maps: Vec<MapDirective>,
    /// What is put into maps before anything is attached.
    pub fills: Vec<Fill>,
    /// Lints that the user knows better than.
    pub allows: Vec<Allow>,
    /// How large buffers of events are.
    pub buffers: Vec<Buffer>,
    /// Maps of which not all entries are printed.
    pub tops: Vec<Top>,
}

/// Lints that are allowed at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// Their names.
    pub lints: Vec<String>,
    /// Where the directive stands.
    pub span: Span,
}

/// A function and its attach points: the first that the target has is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// The C function.
    pub function: String,
    /// Alternatives in order; at least one, all of one kind (a program can only be of one kind).
    pub alternatives: Vec<AttachPoint>,
    /// Where the directive stands; none for the command line.
    pub span: Option<Span>,
    /// What stands behind `--attach`; none for a directive.
    pub argument: Option<String>,
}

impl Attach {
    /// The attach points as a part of the command line, if they were given there.
    pub fn points_argument(&self) -> Option<Argument> {
        self.argument_of(|text| {
            0..text.rfind('=').map_or(text.len(), |end| text.get(..end).map_or(end, |points| points.trim_end().len()))
        })
    }

    /// The function as a part of the command line, if it was given there.
    pub fn function_argument(&self) -> Option<Argument> {
        self.argument_of(|text| text.len() - self.function.len().min(text.len())..text.len())
    }

    fn argument_of(&self, part: impl Fn(&str) -> std::ops::Range<usize>) -> Option<Argument> {
        let text = self.argument.as_deref()?.trim();
        Some(Argument::new("--attach", text, part(text)))
    }
}

/// One place to attach to, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachPoint {
    /// Name of a row of KINDS.
    pub kind: String,
    /// The target behind `KIND:`.
    pub target: String,
}

impl AttachPoint {
    /// The point as it is written.
    pub fn text(&self) -> String {
        format!("{}:{}", self.kind, self.target)
    }
}

/// How one map is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapDirective {
    /// Name of the map.
    pub map: String,
    /// Its columns; none hides the map.
    pub layout: Option<Layout>,
    /// Where the directive stands.
    pub span: Span,
}

/// The columns of a map, from a `//@ print` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The columns, left to right.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub heading: String,
    /// What it shows.
    pub cell: Cell,
}

/// What a column shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// The time of the record.
    Time,
    /// A field of key or value, by path: `["key", "pid"]`, `["value"]`.
    Field {
        /// The path.
        path: Vec<String>,
        /// What is shown of it.
        measure: Measure,
        /// Its unit.
        unit: Unit,
    },
}

/// What of a number is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The number as it stands.
    Total,
    /// How much it grew a second since it was last shown.
    PerSecond,
}

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// As it is.
    None,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
}

impl Directives {
    /// Reads the `//@` lines of a probe: for each its place and the text behind `//@`. All mistakes are reported.
    ///
    /// # Errors
    /// One message for each line that cannot be understood.
    pub fn parse(lines: &[(Span, &str)]) -> Result<Self, Vec<Diagnostic>> {
        let mut directives = Self::default();
        let mut errors = Vec::new();
        for (span, text) in lines {
            if let Err(error) = directives.line(*span, text) {
                errors.push(error);
            }
        }
        if errors.is_empty() { Ok(directives) } else { Err(errors) }
    }

    fn line(&mut self, span: Span, text: &str) -> Result<(), Diagnostic> {
        let text = text.trim();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        match name {
            "attach" => {
                let mut attach = parse_attach(rest).map_err(|why| Diagnostic::error(why, span).help(ATTACH_HELP))?;
                attach.span = Some(span);
                self.attaches.push(attach);
            }
            "interval" => {
                self.interval = Some(parse_duration(rest).map_err(|why| Diagnostic::error(why, span))?);
            }
            "print" => {
                let (map, columns) = rest.split_once(':').unwrap_or((rest, ""));
                let layout = parse_layout(columns).map_err(|why| {
                    Diagnostic::error(why, span)
                        .help("write `//@ print MAP: time pid=key.pid total=value rate=value/s`")
                })?;
                self.map(map, Some(layout), span)?;
            }
            "hide" => self.map(rest, None, span)?,
            "top" => {
                let top = top::top(rest, span).map_err(|why| Diagnostic::error(why, span).help(top::HELP))?;
                if self.tops.iter().any(|other| other.map == top.map) {
                    let message = format!("a second directive for the top entries of the map `{}`", top.map);
                    return Err(Diagnostic::error(message, span));
                }
                self.tops.push(top);
            }
            "allow" => {
                let lints: Vec<String> =
                    rest.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
                if lints.is_empty() {
                    return Err(Diagnostic::error("the directive names no lint", span)
                        .help("write `//@ allow LINT`; `dbcc check --explain` lists the lints"));
                }
                self.allows.push(Allow { lints, span });
            }
            "buffer" => {
                let buffer = buffer::buffer(rest, span);
                self.buffers.push(buffer.map_err(|why| Diagnostic::error(why, span).help(buffer::HELP))?);
            }
            "tail_call" => {
                let entry = fill::tail_call(rest, span);
                self.fills.push(entry.map_err(|why| Diagnostic::error(why, span).help(fill::TAIL_CALL_HELP))?);
            }
            "fill" => {
                let entry = fill::fill(rest, span);
                self.fills.push(entry.map_err(|why| Diagnostic::error(why, span).help(fill::FILL_HELP))?);
            }
            _ => {
                return Err(Diagnostic::error(format!("unknown directive `{name}`"), span)
                    .help("the directives are allow, attach, interval, print, hide, top, buffer, tail_call and fill"));
            }
        }
        Ok(())
    }

    fn map(&mut self, map: &str, layout: Option<Layout>, span: Span) -> Result<(), Diagnostic> {
        let map = map.trim();
        if !is_identifier(map) {
            return Err(Diagnostic::error(format!("`{map}` is no name of a map"), span));
        }
        if self.maps.iter().any(|other| other.map == map) {
            return Err(Diagnostic::error(format!("a second directive for the map `{map}`"), span));
        }
        self.maps.push(MapDirective { map: map.to_owned(), layout, span });
        Ok(())
    }

    /// Adds what the command line says. A function that it names is attached only there: its directives are dropped.
    pub fn override_with(&mut self, command_line: Vec<Attach>) {
        self.attaches.retain(|own| !command_line.iter().any(|given| given.function == own.function));
        self.attaches.extend(command_line);
    }

    /// The functions that are run by tail calls, for rewriting.
    pub fn tail_calls(&self) -> Vec<TailCall> {
        let calls = self.fills.iter().filter_map(|fill| match &fill.with {
            With::Function(function) => {
                Some(TailCall { array: fill.map.clone(), function: function.clone(), span: fill.span })
            }
            With::Text(_) => None,
        });
        calls.collect()
    }

    /// The kinds of the functions that are named, for rewriting.
    pub fn function_kinds(&self) -> Vec<FunctionKind> {
        let mut kinds: Vec<FunctionKind> = Vec::new();
        for attach in &self.attaches {
            let Some(first) = attach.alternatives.first() else { continue };
            if !kinds.iter().any(|known| known.function == attach.function) {
                kinds.push(FunctionKind {
                    function: attach.function.clone(),
                    kind: first.kind.clone(),
                    target: first.target.clone(),
                });
            }
        }
        kinds
    }
}

const ATTACH_HELP: &str = "write KIND:TARGET=FUNCTION, such as `kprobe:do_sys_openat2=hello_world` or \
                           `uprobe:mysqld:check_connection=on_connection`; alternatives are separated by ` | `";

/// Reads `KIND:TARGET [| KIND:TARGET]… = FUNCTION`, as in a directive and behind `--attach`.
///
/// # Errors
/// What is wrong, with the words in question.
pub fn parse_attach(text: &str) -> Result<Attach, String> {
    // The last `=` counts: a C++ operator's name may hold one.
    let Some((points, function)) = text.rsplit_once('=') else {
        return Err(format!("`{text}` names no function of the probe"));
    };
    let function = function.trim();
    if !is_identifier(function) {
        return Err(format!("`{function}` is no name of a C function"));
    }
    let mut alternatives = Vec::new();
    for point in points.split(" | ") {
        let point = point.trim();
        let Some((kind, target)) = point.split_once(':') else {
            return Err(format!("`{point}` is no attach point"));
        };
        let Some(known) = kind::by_word(kind) else {
            let names: Vec<&str> = kind::KINDS.iter().map(|kind| kind.name()).collect();
            return Err(format!("unknown kind of attach point `{kind}`; the kinds are {}", names.join(", ")));
        };
        if target.trim().is_empty() {
            return Err(format!("`{point}` names no target"));
        }
        alternatives.push(AttachPoint { kind: known.name().to_owned(), target: target.trim().to_owned() });
    }
    let kinds_differ = alternatives.windows(2).any(|pair| matches!(pair, [a, b] if a.kind != b.kind));
    if kinds_differ {
        return Err(format!(
            "the alternatives for `{function}` are of different kinds; one function can only be of one"
        ));
    }
    Ok(Attach { function: function.to_owned(), alternatives, span: None, argument: None })
}

/// Reads a time span such as `1s`, `500ms`, `2m` or `1h30m`; a bare number means seconds.
///
/// # Errors
/// When it cannot be understood, is not positive, or is longer than a year.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let hint = || format!("`{text}` is no time span; write 10s, 500ms, 5m or 1h");
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| hint())?,
        Err(_) => {
            let signed: jiff::SignedDuration = text.parse().map_err(|_| hint())?;
            Duration::try_from(signed).map_err(|_| hint())?
        }
    };
    let year = Duration::from_secs(366 * 24 * 3600);
    if duration < Duration::from_millis(1) || duration > year {
        return Err(format!("`{text}` is out of range: times are from 1ms to a year"));
    }
    Ok(duration)
}

fn parse_layout(text: &str) -> Result<Layout, String> {
    let columns = text.split_whitespace().map(parse_column).collect::<Result<Vec<_>, _>>()?;
    if columns.is_empty() {
        return Err("the directive names no columns".to_owned());
    }
    Ok(Layout { columns })
}

fn parse_column(text: &str) -> Result<Column, String> {
    let (heading, cell) = match text.split_once('=') {
        Some((heading, cell)) => (Some(heading), cell),
        None => (None, text),
    };
    if cell == "time" {
        return Ok(Column { heading: heading.unwrap_or("time").to_owned(), cell: Cell::Time });
    }
    let (measured, unit) = match cell.split_once(':') {
        None => (cell, Unit::None),
        Some((measured, "bytes")) => (measured, Unit::Bytes),
        Some((measured, "ns")) => (measured, Unit::Nanoseconds),
        Some((_, unit)) => return Err(format!("unknown unit `{unit}` in column `{text}`; the units are bytes and ns")),
    };
    let (path, measure) = match measured.strip_suffix("/s") {
        Some(path) => (path, Measure::PerSecond),
        None => (measured, Measure::Total),
    };
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    let starts_well = parts.first().is_some_and(|first| first == "key" || first == "value");
    if !starts_well || !parts.iter().all(|part| is_identifier(part)) {
        return Err(format!("column `{text}` shows no field; a path begins with `key` or `value`, as in key.pid"));
    }
    let default = parts.last().map(String::as_str).unwrap_or_default();
    let heading = heading.unwrap_or(default).to_owned();
    Ok(Column { heading, cell: Cell::Field { path: parts, measure, unit } })
}

/// Whether a text is a C identifier.
pub fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Result<Directives, Vec<String>> {
        let lines: Vec<(Span, &str)> = lines.iter().map(|line| (Span::new(0, 1), *line)).collect();
        Directives::parse(&lines).map_err(|errors| errors.into_iter().map(|error| error.message).collect())
    }

    #[test]
    fn attach_lists_alternatives_in_order() {
        let parsed =
            parse(&["attach uprobe:check_connection | uprobe:THD::login(int, char*) = on_connection"]).unwrap();
        let targets: Vec<&str> = parsed.attaches[0].alternatives.iter().map(|point| point.target.as_str()).collect();
        assert_eq!(targets, ["check_connection", "THD::login(int, char*)"]);
        assert_eq!(parsed.attaches[0].function, "on_connection");
    }

    #[test]
    fn kinds_have_the_names_of_other_tools_too() {
        for (written, kind) in
            [("kfunc", "fentry"), ("kr", "kretprobe"), ("tp", "tracepoint"), ("rawtp", "raw_tracepoint")]
        {
            let attach = parse_attach(&format!("{written}:x=f")).unwrap();
            assert_eq!(attach.alternatives, [AttachPoint { kind: kind.into(), target: "x".into() }]);
        }
        // A section tells more of a program than where it is attached.
        assert!(parse_attach("fentry.s:x=f").is_err());
    }

    #[test]
    fn an_operator_may_hold_an_equals_sign() {
        let attach = parse_attach("uprobe:/bin/x:A::operator==(A const&)=f").unwrap();
        assert_eq!(attach.alternatives[0].target, "/bin/x:A::operator==(A const&)");
    }

    #[test]
    fn every_mistake_is_reported() {
        let errors = parse(&[
            "attach kprobe:f",
            "attach kproeb:f = g",
            "attach kprobe: = g",
            "attach kprobe:f | uprobe:f = g",
            "interval soon",
            "interval 0",
            "print m",
            "print m: pid",
            "hide 3m",
            "buffer events",
            "buffer 3m 4M",
            "top",
            "top m",
            "top m 0",
            "top m 5 by pid",
            "top m 5 of value",
            "frobnicate",
        ])
        .unwrap_err();
        assert_eq!(errors.len(), 17, "{errors:#?}");
    }

    #[test]
    fn columns_have_headings_measures_and_units() {
        let parsed = parse(&["print m: time pid=key.pid value value/s:bytes"]).unwrap();
        let layout = parsed.maps[0].layout.clone().unwrap();
        let headings: Vec<&str> = layout.columns.iter().map(|column| column.heading.as_str()).collect();
        assert_eq!(headings, ["time", "pid", "value", "value"]);
        assert_eq!(
            layout.columns[3].cell,
            Cell::Field { path: vec!["value".into()], measure: Measure::PerSecond, unit: Unit::Bytes }
        );
    }

    #[test]
    fn the_top_entries_are_those_of_the_value_where_no_field_is_named() {
        let parsed = parse(&["top m 20", "top n 5 by value.bytes"]).unwrap();
        let tops: Vec<_> = parsed.tops.iter().map(|top| (top.map.as_str(), top.most, top.by.join("."))).collect();
        assert_eq!(tops, [("m", 20, "value".to_owned()), ("n", 5, "value.bytes".to_owned())]);
        assert!(parse(&["top m 20", "top m 5 by key"]).is_err());
    }

    #[test]
    fn the_command_line_replaces_a_functions_directives() {
        let mut parsed = parse(&["attach kprobe:a = f", "attach kprobe:b = g"]).unwrap();
        parsed.override_with(vec![parse_attach("uprobe:x=f").unwrap()]);
        let kinds = parsed.function_kinds();
        let of = |name: &str| kinds.iter().find(|kind| kind.function == name).map(|kind| kind.kind.as_str());
        assert_eq!((of("f"), of("g")), (Some("uprobe"), Some("kprobe")));
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("2"), Ok(Duration::from_secs(2)));
        for wrong in ["", "-1s", "s", "nan", "inf", "1e30", "99999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
