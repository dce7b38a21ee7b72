use std::io::Write as _;
use std::process::{Command, Stdio};

use super::super::holes::holes;
use super::{check, compiled, compiled_for, instructions, number};
use crate::clang::{CursorKind, Library, Unit};

const LINT: &str = "uninitialised-padding";

fn probe(declaration: &str, body: &str) -> String {
    format!(
        "struct data_t {{ u32 pid; u64 time; }};\nstruct full_t {{ u64 time; u32 pid; u32 tid; }};\n\
         struct long_t {{ u32 pid; u64 time; u64 more[6]; }};\n\
         BPF_PERF_OUTPUT(events);\nBPF_HASH(m, struct data_t, struct data_t);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n{{\n    u64 now = bpf_ktime_get_ns();\n    {declaration}\n    {body}\n\
         \x20   return 0;\n}}\n"
    )
}

const SUBMIT: &str = "data.pid = 1; data.time = now; events.perf_submit(ctx, &data, sizeof(data));";

#[test]
fn padding_that_nothing_fills() {
    for declaration in
        ["struct data_t data;", "struct data_t data = {.pid = now, .time = now};", "struct data_t data = {now};"]
    {
        check(LINT, &probe(declaration, SUBMIT), &[], &["data"]);
    }
    let as_key = "u64 zero = 0; data.pid = 1; data.time = 2; m.delete(&data);";
    check(LINT, &probe("struct data_t data;", as_key), &[], &["data"]);
    let as_value = "struct data_t key = {}; data.pid = 1; data.time = 2; m.update(&key, &data);";
    check(LINT, &probe("struct data_t data;", as_value), &[], &["data"]);
    let by_helper = "data.pid = 1; data.time = 2; bpf_perf_event_output(ctx, &events, 0, &data, sizeof(data));";
    check(LINT, &probe("struct data_t data;", by_helper), &[], &["data"]);
    let (_, found) = compiled(&probe("struct data_t data;", SUBMIT), &[]);
    let message = &found.lints[0].diagnostic.message;
    assert_eq!(
        message,
        "event `data` has 4 bytes of padding between `pid` and `time`, at offset 4, that nothing fills"
    );
}

#[test]
fn padding_that_is_filled_or_is_not_there() {
    for declaration in [
        "struct data_t data = {};",
        "struct data_t data = {0};",
        "struct data_t data = {.pid = 1};",
        "static struct data_t data;",
        "struct data_t data; __builtin_memset(&data, 0, sizeof(data));",
        "struct data_t data, other = {}; data = other;",
        "struct full_t data;",
        "struct full_t data = {.time = now};",
        // Clang writes zeroes first where most is zero.
        "struct long_t data = {.time = now};",
    ] {
        check(LINT, &probe(declaration, SUBMIT.replace("data.pid = 1;", "").as_str()), &[], &[]);
    }
}

/// How many bytes an instruction stores, and where, as an offset from a register that is written as `base`.
fn store(line: &str, base: &str) -> Option<(i64, i64)> {
    let (kind, rest) = line.split_once(base)?;
    let bits = number(kind.strip_prefix("*(u")?.strip_suffix(" *)(")?);
    rest.contains(") = ").then(|| (bits / 8, number(rest)))
}

/// Whether the instructions write the bytes 4 to 8 of the 16 of the event on the stack, which are handed over or copied into a
/// record.
fn fills_the_hole(elf: &[u8], program: &str) -> bool {
    let lines = instructions(elf, program);
    // The struct lies lowest: the smallest address is where the event begins.
    let lowest = lines.iter().filter_map(|line| Some(number(line.split_once(" += -")?.1))).max().unwrap();
    let stores: Vec<(i64, i64)> =
        lines.iter().filter_map(|line| store(line, "r10 - ")).map(|(size, at)| (size, lowest - at)).collect();
    let is_written = |byte: i64| stores.iter().any(|(size, at)| (*at..at + size).contains(&byte));
    assert!((0..4).chain(8..16).all(is_written), "the fields are not found: {lines:#?}");
    (4..8).all(is_written)
}

#[test]
fn what_is_said_is_what_clang_does() {
    for declaration in [
        "struct data_t data;",
        "struct data_t data = {};",
        "struct data_t data = {0};",
        "struct data_t data = {.pid = now, .time = now};",
        "struct data_t data = {now};",
        "struct data_t data; __builtin_memset(&data, 0, sizeof(data));",
    ] {
        for ringbuf in [false, true] {
            let attached = &["kprobe:vfs_read=kprobe__vfs_read"];
            let (_, found) = compiled_for(&probe(declaration, SUBMIT), attached, ringbuf);
            assert_eq!(found.facts.maps[0].stamped, ringbuf);
            let program = &found.facts.programs[0].forms.last().unwrap().program;
            let is_found = found.lints.iter().any(|finding| finding.lint == LINT);
            assert_eq!(is_found, !fills_the_hole(&found.elf, program), "{declaration} {ringbuf}");
        }
    }
}

/// Structs with holes of all sorts, and without; and the structs among them that each holds.
const STRUCTS: &[(&str, &str, &str)] = &[
    ("a", "char c; int i;", ""),
    ("b", "int i; char c;", ""),
    ("c", "char c; short s; int i; long l;", ""),
    ("d", "struct a a; char c; struct b b; long l;", "ab"),
    ("e", "int x : 3; int y : 7; char c; long l;", ""),
    ("f", "char c; union { long l; char d; }; int i;", ""),
    ("g", "char c; struct { int i; char d; }; long l;", ""),
    ("h", "char c; struct { long l; } inner; char text[5];", ""),
    ("i", "int a, b; long l;", ""),
    ("j", "char c; struct c c2[1]; struct d d2; char last;", "cdab"),
];

/// The bytes of padding that clang's `-Wpadded` tells of a struct, without those of structs in it that have a name.
fn told(name: &str, said: &str) -> u64 {
    let own = [format!("'struct {name}' with "), format!("'struct {name}::")];
    let lines = said.lines().filter_map(|line| own.iter().find_map(|own| line.split_once(own.as_str())));
    let bytes = lines.filter_map(|(_, rest)| {
        let words: Vec<&str> = rest.split(' ').collect();
        let unit = words.iter().position(|word| matches!(*word, "byte" | "bytes"))?;
        words[unit - 1].parse::<u64>().ok()
    });
    bytes.sum()
}

#[test]
fn holes_are_those_that_clang_warns_of() {
    let toolchain = crate::toolchain::find().unwrap();
    let text: String = STRUCTS.iter().map(|(name, fields, _)| format!("struct {name} {{ {fields} }};\n")).collect();
    let used: String = STRUCTS.iter().map(|(name, ..)| format!("int size_{name}[sizeof(struct {name})];\n")).collect();
    let mut child = Command::new(&toolchain.clang)
        .args(["-target", "bpf", "-Wpadded", "-fsyntax-only", "-fno-caret-diagnostics", "-x", "c", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{text}{used}").as_bytes()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();

    let library = Library::load(&toolchain.libclang).unwrap();
    let arguments = ["-target".to_owned(), "bpf".to_owned()];
    let unit = Unit::parse(&library, std::path::Path::new("/structs.c"), &text, &arguments).unwrap();
    let records = unit.root().children().into_iter().filter(|child| child.kind() == CursorKind::StructDecl);
    let mut sums = Vec::new();
    for (record, (name, _, held)) in records.zip(STRUCTS) {
        assert_eq!(record.spelling(), *name);
        let sum: u64 = holes(record.ty()).iter().map(|hole| hole.size).sum();
        let expected = held.split("").filter(|held| !held.is_empty()).map(|held| told(held, &said)).sum::<u64>();
        assert_eq!(sum, told(name, &said) + expected, "struct {name}: {:?}\n{said}", holes(record.ty()));
        sums.push(sum);
    }
    assert_eq!(sums, [3, 3, 1, 13, 5, 11, 10, 10, 0, 28], "{said}");
}
