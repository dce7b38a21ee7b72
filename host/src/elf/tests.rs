use std::process::Command;

use super::*;
use crate::facts::{Form, MapFact, MapRole, ProgramFact};

/// Two programs that share functions, in two sections; maps; data.
const TEXT: &str = r#"#define SEC(name) __attribute__((section(name), used))
#define OUTLINE static __attribute__((noinline))
struct { int (*type)[2]; int (*max_entries)[4]; unsigned *key; unsigned long long *value; } counts SEC(".maps");
static void *(*const lookup)(void *, const void *) = (void *)1;
const volatile int limit SEC(".rodata.dbcc");
OUTLINE int deep(long a)
{
    unsigned key = a;
    unsigned long long *value = lookup(&counts, &key);
    return value ? *value : 0;
}
OUTLINE int second(long a)
{
    return deep(a + 1) * 3;
}
__attribute__((noinline)) int first(long a)
{
    return deep(a) + limit;
}
SEC("kprobe/f") int on_f(long *ctx)
{
    int sum = second(ctx[1]);
    sum += first(ctx[2]);
    return sum;
}
SEC("kprobe/f") int on_g(long *ctx)
{
    return ctx[3] + 7;
}
char LICENSE[] SEC("license") = "GPL";
"#;

/// The object of a text, by clang alone; the folder lives as long as the path is used.
fn object_file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (source, object) = (dir.path().join("probe.c"), dir.path().join("probe.o"));
    std::fs::write(&source, text).unwrap();
    let clang = crate::toolchain::find().expect("the tests need clang").clang;
    let mut command = Command::new(clang);
    command.current_dir(dir.path()).args(["--target=bpf", "-mcpu=v3", "-O2", "-g", "-c", "probe.c", "-o", "probe.o"]);
    assert!(command.status().unwrap().success());
    (dir, object)
}

fn object(text: &str) -> Vec<u8> {
    let (_dir, object) = object_file(text);
    std::fs::read(object).unwrap()
}

#[test]
fn programs_and_maps_are_found() {
    let contents = read(&object(TEXT)).unwrap();
    assert_eq!(contents.programs, ["on_f", "on_g"]);
    assert_eq!(contents.maps, ["counts", ".rodata.dbcc"]);
    assert_eq!(contents.undefined, Vec::<String>::new());
}

/// The order is what `bpftool prog dump xlated` shows for this object, loaded by libbpf.
#[test]
fn instructions_are_traced_to_their_lines() {
    let contents = read(&object(TEXT)).unwrap();
    let line = |program: &str, instruction| contents.place(program, instruction).map(|place| place.at.line);
    assert_eq!(line("on_g", 0), Some(28));
    assert_eq!(line("none", 0), None);
    assert_eq!(line("on_g", 1000), None);
    assert!(contents.place("on_g", 0).unwrap().file.ends_with("/probe.c"));
    // The whole of on_f: itself, then what it calls in the order of the calls, each once.
    let mut lines: Vec<u32> = (0..).map_while(|instruction| line("on_f", instruction)).collect();
    lines.dedup();
    let function = |line: u32| match line {
        6..12 => "deep",
        12..16 => "second",
        16..20 => "first",
        20..26 => "on_f",
        _ => "?",
    };
    let mut functions: Vec<&str> = lines.iter().map(|line| function(*line)).collect();
    functions.dedup();
    assert_eq!(functions, ["on_f", "second", "deep", "first"]);
}

#[test]
fn what_was_promised_must_be_there() {
    let contents = read(&object(TEXT)).unwrap();
    let source = Source::from_text("probe.c", TEXT);
    let span = Span::new(0, 7);
    let program = |program: &str| ProgramFact {
        function: "mine".into(),
        span,
        kind: "kprobe".into(),
        target: None,
        forms: vec![Form { kind: "kprobe".into(), program: program.into(), arguments: None }],
        registers_because: None,
        reads: Default::default(),
    };
    let map = |name: &str| MapFact { name: name.into(), span, role: MapRole::Table, pin: None, stamped: false };
    let facts = |programs: Vec<ProgramFact>, maps: Vec<MapFact>| Facts { programs, maps, ..Facts::default() };
    contents.check(&facts(vec![program("on_f")], vec![map("counts")]), &source).unwrap();
    let wrong = contents.check(&facts(vec![program("absent")], vec![map("events")]), &source).unwrap_err();
    let messages: Vec<&str> = wrong.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["no program `absent` was made of `mine`", "no map `events` was made of its declaration"]);
}

#[test]
fn a_call_without_a_body_is_shown_where_it_is_called() {
    let text = "extern int missing(int);\nextern int kernel_function(int) __attribute__((section(\".ksyms\")));\n\
                __attribute__((section(\"kprobe/f\"))) int f(int *ctx)\n{\n    return missing(*ctx) + kernel_function(1);\n}\n";
    let contents = read(&object(text)).unwrap();
    assert_eq!(contents.undefined, ["missing"]);
    let source = Source::from_text("probe.c", text);
    let wrong = contents.check(&Facts::default(), &source).unwrap_err();
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].message, "`missing` is called but has no body");
    assert_eq!(source.line_column(wrong[0].span.unwrap().start), LineColumn { line: 5, column: 12 });
}

#[test]
fn other_files_are_refused() {
    let check = |bytes: &[u8], expect: &str| {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(b"", "damaged");
    check(b"\x7fELF", "damaged");
    check(&std::fs::read("/proc/self/exe").unwrap(), "not for BPF");
    let (dir, _) = object_file("int x;");
    let clang = crate::toolchain::find().unwrap().clang;
    let mut command = Command::new(clang);
    command.current_dir(dir.path()).args(["--target=bpf", "-c", "probe.c", "-o", "probe.o"]);
    assert!(command.status().unwrap().success());
    check(&std::fs::read(dir.path().join("probe.o")).unwrap(), "no BTF");
}

/// A file that is cut short or changed anywhere is an error or other contents, and nothing worse.
#[test]
fn damaged_files_do_no_harm() {
    let whole = object(TEXT);
    let visit = |bytes: &[u8]| {
        if let Ok(contents) = read(bytes) {
            for program in &contents.programs {
                let places = (0..40).map(|instruction| contents.place(program, instruction));
                assert_eq!(places.count(), 40);
            }
        }
    };
    (0..whole.len()).step_by(11).for_each(|end| visit(&whole[..end]));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        for byte in [0xff, changed[at].wrapping_add(1), 0] {
            changed[at] = byte;
            if at % 3 == usize::from(byte) % 3 {
                visit(&changed);
            }
        }
    }
}
