use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::bpf::btf::{Array, Btf, Kind, Writer};
use crate::decode::{EventType, Types, Value};
use crate::event::Batch;
use crate::output::{AttachedProgram, Body, Cell, Column, Events, Layout, MapRow, Measure, Scale, Unit};

/// 2024-01-02 03:04:05.006007008 in UTC.
fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_704_164_645, 6_007_008)
}

fn settings() -> Settings {
    Settings { zone: TimeZone::fixed(jiff::tz::offset(2)), verbose: false, rows: 5 }
}

/// What a format writes for records, data and messages.
fn rendered(format: &str, settings: Settings, bodies: &[Body]) -> (String, String) {
    let mut renderer = with_settings(format, settings).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    for body in bodies {
        renderer.record(&Output { time: time(), body: body.clone() }, &mut out, &mut err).unwrap();
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn text(bodies: &[Body]) -> String {
    rendered("text", settings(), bodies).0
}

fn json(body: Body) -> String {
    rendered("json", settings(), &[body]).0
}

fn un(number: u128) -> Value {
    Value::Unsigned(number)
}

fn chars(text: &str) -> Value {
    Value::Text(text.as_bytes().to_vec())
}

fn fields(of: &[(&str, Value)]) -> Vec<(String, Value)> {
    of.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn record(of: &[(&str, Value)]) -> Value {
    Value::Struct(fields(of))
}

fn enumerator(name: &str, value: i128) -> Value {
    Value::Enum { name: Some(name.into()), value }
}

fn event(kind: &str, of: &[(&str, Value)]) -> Body {
    Body::Event { map: "events".into(), kind: kind.into(), fields: fields(of) }
}

/// Events of two kinds that differ in size, as they are read in place and as they are decoded.
fn events_both_ways() -> (Vec<Body>, Vec<Body>) {
    let mut writer = Writer::new();
    let int = writer.int("int", 4, 32 | 1 << 24);
    let char = writer.int("char", 1, 8);
    let text = writer.array(Array { element: char, index: int, length: 8 });
    let choice = writer.enumeration("choice", Kind::Enum, false, 4, &[("YES".to_owned(), 1)]);
    let inner = writer.record("", Kind::Struct, false, 8, &[("x".into(), int, 0), ("choice".into(), choice, 32)]);
    let numbers = writer.array(Array { element: int, index: int, length: 2 });
    let large =
        [("pid".into(), int, 0), ("text".into(), text, 32), ("in".into(), inner, 96), ("n".into(), numbers, 160)];
    let large = writer.record("large", Kind::Struct, false, 28, &large);
    let small = writer.record("small", Kind::Struct, false, 4, &[("pid".into(), int, 0)]);
    let types = Types::from_btf(Btf::parse(writer.finish()).unwrap());
    let kinds: Arc<[EventType]> =
        [("large", large), ("small", small)].map(|(name, id)| EventType::new(name.into(), types.layout(id))).into();
    let mut bytes: Vec<Vec<u8>> = Vec::new();
    for number in [7_i32, -1, 1_234_567_890] {
        bytes.push(number.to_ne_bytes().to_vec());
        for text in [*b"mysqld\0\0", *b"h\xc3\xa9llo\0!", *b"\xff\x1b[2J\n\t!"] {
            let choices = [1_i32, 2];
            let words = |words: &[i32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
            for choice in choices {
                bytes.push([words(&[number]), text.to_vec(), words(&[number, choice, 3, -4])].concat());
            }
        }
    }
    let batch = Arc::new(Batch::of("events", time(), bytes.iter().map(Vec::as_slice)));
    let in_place = Body::Events(Events::new(Arc::clone(&batch), 0..batch.len(), Arc::clone(&kinds)));
    let decoded = batch.iter().map(|event| {
        let kind = EventType::choose(&kinds, event.bytes.len()).unwrap();
        assert!(kind.is_whole(event.bytes.len()));
        let Value::Struct(fields) = kind.layout.decode(event.bytes).value else { panic!() };
        Body::Event { map: "events".into(), kind: kind.name.clone(), fields }
    });
    (vec![in_place], decoded.collect())
}

#[test]
fn events_are_written_alike_whether_they_are_read_in_place_or_decoded() {
    let (in_place, decoded) = events_both_ways();
    assert_eq!(decoded.len(), 21);
    for format in ["text", "json"] {
        let expect = rendered(format, settings(), &decoded);
        assert!(expect.0.lines().count() >= 21, "{}", expect.0);
        assert_eq!(rendered(format, settings(), &in_place), expect);
    }
}

#[test]
fn times_are_written_as_a_calendar_has_them() {
    for zone in [TimeZone::UTC, TimeZone::fixed(jiff::tz::offset(-3))] {
        let mut clock = clock::Clock::new(zone.clone(), "%Y-%m-%dT%H:%M:%S", "%:z");
        let moments = [
            time(),
            time() + Duration::from_nanos(993_992_991),
            time() + Duration::from_nanos(993_992_992),
            SystemTime::UNIX_EPOCH,
            SystemTime::UNIX_EPOCH - Duration::from_nanos(1),
            SystemTime::UNIX_EPOCH - Duration::from_millis(1500),
        ];
        for moment in moments {
            let mut written = String::new();
            clock.write(moment, 9, &mut written);
            let expect = jiff::Timestamp::try_from(moment).unwrap().to_zoned(zone.clone());
            assert_eq!(written, expect.strftime("%Y-%m-%dT%H:%M:%S%.9f%:z").to_string());
        }
    }
}

fn row(key: Value, value: Value, before: Option<Value>) -> MapRow {
    MapRow { key, value, before }
}

fn map(rows: Vec<MapRow>) -> Body {
    let (layout, histogram, incomplete) = (None, None, None);
    Body::Map { map: "counts".into(), rows, layout, histogram, elapsed: 2.0, last: false, more: None, incomplete }
}

fn with_layout(body: Body, columns: &[(&str, Cell)]) -> Body {
    let columns = columns.iter().map(|(heading, cell)| Column { heading: (*heading).into(), cell: cell.clone() });
    match body {
        Body::Map { map, rows, histogram, elapsed, last, more, incomplete, .. } => {
            let layout = Some(Layout { columns: columns.collect() });
            Body::Map { map, rows, layout, histogram, elapsed, last, more, incomplete }
        }
        other => other,
    }
}

fn as_histogram(body: Body, scale: Scale) -> Body {
    match body {
        Body::Map { map, rows, layout, elapsed, last, more, incomplete, .. } => {
            Body::Map { map, rows, layout, histogram: Some(scale), elapsed, last, more, incomplete }
        }
        other => other,
    }
}

fn field(path: &[&str], measure: Measure, unit: Unit) -> Cell {
    Cell::Field { path: path.iter().map(|part| (*part).to_owned()).collect(), measure, unit }
}

/// The map of probes/netio.c with its layout.
fn netio(sent: u128, before: Option<u128>) -> Body {
    let key = |kind, value| record(&[("pid", un(4711)), ("type", enumerator(kind, value))]);
    let rows = vec![row(key("recvMsg", 2), un(100), None), row(key("sendMsg", 1), un(sent), before.map(un))];
    with_layout(
        map(rows),
        &[
            ("time", Cell::Time),
            ("pid", field(&["key", "pid"], Measure::Total, Unit::None)),
            ("type", field(&["key", "type"], Measure::Total, Unit::None)),
            ("total", field(&["value"], Measure::Total, Unit::None)),
            ("per_sec", field(&["value"], Measure::PerSecond, Unit::None)),
        ],
    )
}

fn attached() -> Body {
    let program = |function: &str, kind: &str, target: &str| AttachedProgram {
        function: function.into(),
        kind: kind.into(),
        target: target.into(),
        why: "the kernel takes it".into(),
    };
    Body::Attached {
        programs: vec![
            program("kretprobe__tcp_sendmsg", "fexit", "tcp_sendmsg"),
            program("on_connection", "uprobe", "/usr/sbin/\u{1b}[2Jmysqld:check_connection(THD*)"),
        ],
    }
}

fn lost(count: u64, total: bool) -> Body {
    Body::Lost { what: "events".into(), from: "events".into(), count, help: Some("use a larger buffer".into()), total }
}

/// One record of each kind.
fn all_kinds() -> Vec<Body> {
    vec![
        attached(),
        event("data_t", &[("pid", un(1))]),
        map(vec![row(un(1), un(2), None)]),
        Body::Print { message: "Hello".into(), pid: 1, tid: 2, comm: "cat".into(), cpu: 3 },
        lost(3, false),
        Body::Note { message: "a note".into() },
        Body::End { reason: "interrupted".into() },
    ]
}

#[test]
fn every_format_says_something_of_every_record() {
    let mut names = Vec::new();
    for format in RENDERERS {
        assert!(!format.summary.is_empty() && !names.contains(&format.name), "{}", format.name);
        names.push(format.name);
        for body in all_kinds() {
            let (out, err) = rendered(format.name, settings(), std::slice::from_ref(&body));
            assert!(!out.is_empty() || !err.is_empty(), "{} of {body:?}", format.name);
            assert!((out + &err).ends_with('\n'), "{} of {body:?}", format.name);
        }
    }
    assert!(by_name("text").is_some() && by_name("no such format").is_none());
}

#[test]
fn events_are_columns_under_a_heading() {
    let data =
        |comm: &str, gap: u128| event("data_t", &[("pid", un(4711)), ("comm", chars(comm)), ("gap_us", un(gap))]);
    let inner = record(&[("a", un(1)), ("b", Value::Array(vec![un(1), un(2)]))]);
    let other = event("other", &[("in", inner), ("p", Value::Pointer(255)), ("raw", Value::Bytes(vec![0, 255]))]);
    insta::assert_snapshot!(text(&[data("mysqld", 1_234_567), data("a longer name", 12), other, data("x", 3)]), @r"
    time              pid  comm              gap_us
    05:04:05.006     4711  mysqld           1234567
    05:04:05.006     4711  a longer name         12
    time             in.a  in.b    p     raw
    05:04:05.006        1  [1, 2]  0xff  00 ff
    time              pid  comm              gap_us
    05:04:05.006     4711  x                      3
    ");
}

#[test]
fn printed_lines_do_not_repeat_headings() {
    let print = |comm: &str, tid| Body::Print { message: "Hello".into(), pid: 1, tid, comm: comm.into(), cpu: 3 };
    let data = || event("data_t", &[("pid", un(4711))]);
    insta::assert_snapshot!(text(&[data(), print("cat", 1), data(), print("mysqld", 4_194_304), data()]), @"
    time              pid
    05:04:05.006     4711
    05:04:05.006  cat                    1        1  Hello
    05:04:05.006     4711
    05:04:05.006  mysqld                 1  4194304  Hello
    05:04:05.006     4711
    ");
}

#[test]
fn a_heading_is_repeated_after_many_lines() {
    let many = vec![event("data_t", &[("pid", un(1))]); 100];
    let headings: Vec<usize> = text(&many)
        .lines()
        .enumerate()
        .filter_map(|(number, line)| line.starts_with("time").then_some(number))
        .collect();
    assert_eq!(headings, [0, 41, 82]);
}

#[test]
fn a_layout_with_a_time_is_one_table_that_goes_on() {
    insta::assert_snapshot!(text(&[netio(21605, None), netio(22605, Some(21605)), netio(122_226_050, Some(22605))]), @r"
    time          pid  type       total  per_sec
    05:04:05     4711  sendMsg    21605    10802
    05:04:05     4711  recvMsg      100       50
    05:04:05     4711  sendMsg    22605      500
    05:04:05     4711  recvMsg      100       50
    time          pid  type         total   per_sec
    05:04:05     4711  sendMsg  122226050  61101722
    05:04:05     4711  recvMsg        100        50
    ");
}

#[test]
fn growth_is_over_the_time_that_passed() {
    let rate = |value: Value, before: Option<Value>, elapsed| {
        row(un(1), value, before).per_second(&["value".to_owned()], elapsed)
    };
    assert_eq!(rate(un(30), Some(un(10)), 2.0), Some(10.0));
    assert_eq!(rate(un(30), None, 2.0), Some(15.0));
    assert_eq!(rate(un(30), Some(un(10)), 0.0), None);
    assert_eq!(rate(un(6), Some(un(10)), 2.0), Some(3.0), "set back to 0 in between");
    assert_eq!(rate(chars("x"), None, 2.0), None);
    let cpus = |a, b| Value::PerCpu(vec![un(a), un(b)]);
    assert_eq!(rate(cpus(20, 10), Some(cpus(5, 5)), 2.0), Some(10.0));
    let structs = |a| Value::PerCpu(vec![record(&[("n", un(a))]), record(&[("n", un(a))])]);
    let path = ["value".to_owned(), "n".to_owned()];
    assert_eq!(row(un(1), structs(4), Some(structs(2))).per_second(&path, 2.0), Some(2.0));
}

#[test]
fn units_are_written_as_people_read_them() {
    let value = |number| record(&[("bytes", un(number)), ("time", un(number))]);
    let rows = [0u128, 999, 1023, 1024, 1_500_000, 123_456_789_012].into_iter().enumerate();
    let rows = rows.map(|(key, number)| row(un(key.try_into().unwrap()), value(number), Some(value(0)))).collect();
    let body = with_layout(
        map(rows),
        &[
            ("bytes", field(&["value", "bytes"], Measure::Total, Unit::Bytes)),
            ("rate", field(&["value", "bytes"], Measure::PerSecond, Unit::Bytes)),
            ("time", field(&["value", "time"], Measure::Total, Unit::Nanoseconds)),
            ("share", field(&["value", "time"], Measure::PerSecond, Unit::Nanoseconds)),
            ("none", field(&["value", "nothing"], Measure::Total, Unit::None)),
            ("none_s", field(&["value", "nothing"], Measure::PerSecond, Unit::None)),
        ],
    );
    insta::assert_snapshot!(rendered("text", Settings { rows: 9, ..settings() }, &[body]).0, @"
    05:04:05  counts
      bytes        rate    time     share  none  none_s
        0 B       0 B/s    0 ns    0 ns/s  -          -
      999 B     500 B/s  999 ns  500 ns/s  -          -
     1023 B     512 B/s  1.0 µs  512 ns/s  -          -
      1 KiB     512 B/s  1.0 µs  512 ns/s  -          -
    1.4 MiB   732 KiB/s  1.5 ms  750 µs/s  -          -
    115 GiB  57.5 GiB/s   123 s  61.7 s/s  -          -
    ");
}

#[test]
fn other_maps_are_a_block_each_interval() {
    let many: Vec<MapRow> = (0..8).rev().map(|pid| row(un(pid), un(pid * 100), None)).collect();
    let both = record(&[("count", un(2)), ("pid", un(3))]);
    let named = row(record(&[("pid", un(1)), ("name", chars("x"))]), both, None);
    let cpus = row(Value::Signed(-1), Value::PerCpu(vec![un(2), un(3)]), None);
    let texts = row(un(1), Value::PerCpu(vec![chars("a"), chars("b")]), None);
    insta::assert_snapshot!(text(&[map(vec![]), map(many), map(vec![named]), map(vec![cpus]), map(vec![texts])]), @"
    05:04:05  counts: no entries
    05:04:05  counts
    key  value
      0      0
      1    100
      2    200
      3    300
      4    400
    … and 3 more entries; --json writes all

    05:04:05  counts
    key.pid  name  count  value.pid
          1  x         2          3

    05:04:05  counts (sums over 2 CPUs)
    key  value
     -1      5

    05:04:05  counts
    key  value
      1  [a, b]
    ");
}

#[test]
fn histograms_have_the_familiar_form() {
    let slot = |slot: u128, count: u128| row(un(slot), un(count), None);
    let of = |rows: Vec<MapRow>, scale| text(&[as_histogram(map(rows), scale)]);
    insta::assert_snapshot!(of(vec![slot(0, 1), slot(1, 2), slot(3, 20), slot(5, 7), slot(9, 0)], Scale::Log2), @"
    05:04:05  counts
      value                    : count  distribution
               0               : 1     |**                                      |
               0 -> 1          : 2     |****                                    |
               2 -> 3          : 0     |                                        |
               4 -> 7          : 20    |****************************************|
               8 -> 15         : 0     |                                        |
              16 -> 31         : 7     |**************                          |
    ");
    let keyed =
        |dev: u128, slot: u128, count: u128| row(record(&[("dev", un(dev)), ("slot", un(slot))]), un(count), None);
    insta::assert_snapshot!(of(vec![keyed(9, 33, 20), keyed(8, 3, 10), keyed(8, 2, 20)], Scale::Log2), @"
    05:04:05  counts
    dev = 8
      value                    : count  distribution
               2 -> 3          : 20    |****************************************|
               4 -> 7          : 10    |********************                    |
    dev = 9
      value                    : count  distribution
      4294967296 -> 8589934591 : 20    |****************************************|
    ");
    insta::assert_snapshot!(of(vec![slot(3, 2), slot(5, 20)], Scale::Linear), @"
    05:04:05  counts
      value : count  distribution
      3     : 2     |****                                    |
      4     : 0     |                                        |
      5     : 20    |****************************************|
    ");
    insta::assert_snapshot!(of(vec![slot(3, 0), row(chars("x"), un(1), None)], Scale::Linear), @"
    05:04:05  counts
    nothing was counted
    … and 1 entries that are no slots of a histogram
    ");
    // Slots that no program of ours makes, and as many as a map may hold.
    let far = of(vec![slot(u128::from(u64::MAX), u128::from(u64::MAX)), slot(2, 1)], Scale::Log2);
    assert!(far.contains("slot 18446744073709551615") && far.lines().count() < 10, "{far}");
    let many = of((0..10_000).map(|index| slot(index * 3, 1)).collect(), Scale::Linear);
    assert!(many.lines().count() < 10 && many.contains("more slots"), "{many}");
}

#[test]
fn messages_go_to_the_other_stream() {
    let bodies = [attached(), lost(3, false), lost(0, true), lost(3, true), Body::End { reason: "interrupted".into() }];
    let (out, err) = rendered("text", settings(), &bodies);
    assert_eq!(out, "");
    insta::assert_snapshot!(err, @r"
    dbcc: attached 2 probes: kretprobe__tcp_sendmsg by fexit to tcp_sendmsg, on_connection by uprobe to /usr/sbin/\u{1b}[2Jmysqld:check_connection(THD*)
    dbcc: lost 3 events of `events`; use a larger buffer
    dbcc: lost 3 events of `events` in total; use a larger buffer
    dbcc: ended: interrupted
    ");
    let (_, err) = rendered("text", Settings { verbose: true, ..settings() }, &[attached()]);
    insta::assert_snapshot!(err, @r"
    dbcc: attached 2 probes:
    dbcc:   kretprobe__tcp_sendmsg by fexit to tcp_sendmsg (the kernel takes it)
    dbcc:   on_connection by uprobe to /usr/sbin/\u{1b}[2Jmysqld:check_connection(THD*) (the kernel takes it)
    ");
    let mut short = map(vec![row(un(1), un(2), None)]);
    if let Body::Map { incomplete, .. } = &mut short {
        *incomplete = Some("it changed while it was read".into());
    }
    let (_, err) = rendered("text", settings(), &[short]);
    assert_eq!(err, "dbcc: map counts is not shown whole: it changed while it was read\n");
}

#[test]
fn what_a_program_calls_itself_does_not_control_the_terminal() {
    let hostile = "a\u{1b}]0;title\u{7}\n\r\u{9b}31m\u{202e}\u{2028}é漢";
    let raw = Value::Text(b"caf\xe9\x1b[31m".to_vec());
    let mut key = record(&[("x", chars(hostile)), ("y", raw.clone())]);
    if let Value::Struct(fields) = &mut key {
        fields.push((hostile.to_owned(), enumerator(hostile, 1)));
    }
    let bodies = [
        event("e", &[("a", chars(hostile)), ("b", raw.clone()), (hostile, un(1)), ("z", Value::Array(vec![raw]))]),
        Body::Print { message: hostile.into(), pid: 1, tid: 2, comm: hostile.into(), cpu: 0 },
        map(vec![row(key.clone(), key.clone(), None)]),
        as_histogram(map(vec![row(key.clone(), un(1), None)]), Scale::Log2),
        Body::Note { message: hostile.into() },
        Body::End { reason: hostile.into() },
        Body::Lost { what: hostile.into(), from: hostile.into(), count: 1, help: Some(hostile.into()), total: true },
        attached(),
    ];
    let (out, err) = rendered("text", settings(), &bodies);
    let bad = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{2028}');
    assert_eq!((out.chars().find(bad), err.chars().find(bad)), (None, None), "{out}{err}");
    assert!(out.contains(r"a\u{1b}]0;title\u{7}\n\r\u{9b}31m\u{202e}\u{2028}é漢"), "{out}");
    assert!(out.contains(r"caf\xe9\u{1b}[31m"), "{out}");
    assert_eq!(err.lines().count(), 4, "{err}");
}

#[test]
fn json_is_exact_and_one_line() {
    let all = [
        ("u64", un(u64::MAX.into())),
        ("i64", Value::Signed(i64::MIN.into())),
        ("u128", un(u128::MAX)),
        ("i128", Value::Signed(-(1 << 100))),
        ("enum", enumerator("sendMsg", 1)),
        ("unnamed", Value::Enum { name: None, value: -7 }),
        ("text", Value::Text(b"caf\xe9 \"\n".to_vec())),
        ("nan", Value::Float(f64::NAN)),
        ("inf", Value::Float(f64::NEG_INFINITY)),
        ("float", Value::Float(1.5)),
        ("pointer", Value::Pointer(255)),
        ("bytes", Value::Bytes(vec![0, 255])),
        ("yes", Value::Bool(true)),
        ("nested", record(&[("array", Value::Array(vec![un(1), chars("x")]))])),
    ];
    insta::assert_snapshot!(json(event("data_t", &all)), @r#"{"kind":"event","time":"2024-01-02T05:04:05.006007008+02:00","map":"events","event":"data_t","fields":{"u64":18446744073709551615,"i64":-9223372036854775808,"u128":"340282366920938463463374607431768211455","i128":"-1267650600228229401496703205376","enum":"sendMsg","unnamed":-7,"text":"caf\\xe9 \"\n","nan":"NaN","inf":"-inf","float":1.5,"pointer":"0xff","bytes":"00ff","yes":true,"nested":{"array":[1,"x"]}}}"#);
    insta::assert_snapshot!(json(netio(5, Some(3))), @r#"
    {"kind":"map","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","last":false,"elapsed":2.0,"entries":2}
    {"kind":"entry","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","fields":{"key":{"pid":4711,"type":"recvMsg"},"value":100,"per_second":{"per_sec":50.0}}}
    {"kind":"entry","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","fields":{"key":{"pid":4711,"type":"sendMsg"},"value":5,"per_second":{"per_sec":1.0}}}
    "#);
    let cpus =
        vec![row(un(1), Value::PerCpu(vec![un(2), un(3)]), None), row(un(2), Value::PerCpu(vec![chars("a")]), None)];
    insta::assert_snapshot!(json(as_histogram(map(cpus), Scale::Log2)), @r#"
    {"kind":"map","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","last":false,"elapsed":2.0,"histogram":"log2","entries":2}
    {"kind":"entry","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","fields":{"key":1,"value":{"sum":5,"cpus":[2,3]}}}
    {"kind":"entry","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","fields":{"key":2,"value":{"cpus":["a"]}}}
    "#);
    insta::assert_snapshot!(all_kinds().into_iter().map(json).collect::<String>(), @r#"
    {"kind":"attached","time":"2024-01-02T05:04:05.006007008+02:00","programs":[{"function":"kretprobe__tcp_sendmsg","kind":"fexit","target":"tcp_sendmsg","why":"the kernel takes it"},{"function":"on_connection","kind":"uprobe","target":"/usr/sbin/\u001b[2Jmysqld:check_connection(THD*)","why":"the kernel takes it"}]}
    {"kind":"event","time":"2024-01-02T05:04:05.006007008+02:00","map":"events","event":"data_t","fields":{"pid":1}}
    {"kind":"map","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","last":false,"elapsed":2.0,"entries":1}
    {"kind":"entry","time":"2024-01-02T05:04:05.006007008+02:00","map":"counts","fields":{"key":1,"value":2}}
    {"kind":"print","time":"2024-01-02T05:04:05.006007008+02:00","message":"Hello","pid":1,"tid":2,"comm":"cat","cpu":3}
    {"kind":"lost","time":"2024-01-02T05:04:05.006007008+02:00","what":"events","from":"events","count":3,"total":false,"help":"use a larger buffer"}
    {"kind":"note","time":"2024-01-02T05:04:05.006007008+02:00","message":"a note"}
    {"kind":"end","time":"2024-01-02T05:04:05.006007008+02:00","reason":"interrupted"}
    "#);
}

/// What a reader of a large map sees is bounded for people, and whole for programs.
#[test]
fn json_has_all_rows() {
    let rows: Vec<MapRow> = (0..1000).map(|key| row(un(key), un(1), None)).collect();
    let text = json(map(rows));
    let parsed: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed[0]["entries"], 1000);
    assert_eq!(parsed.iter().filter(|record| record["kind"] == "entry").count(), 1000);
}

#[test]
fn a_broken_pipe_is_given_back() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for format in RENDERERS {
        let mut renderer = (format.new)(settings());
        let output = Output { time: time(), body: event("e", &[("a", un(1))]) };
        let error = renderer.record(&output, &mut Broken, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{}", format.name);
    }
}
