use super::*;
use crate::source::Span;

fn record(id: u32, arguments: &[u64], texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(7u64.to_ne_bytes());
    bytes.extend(41u32.to_ne_bytes());
    bytes.extend(42u32.to_ne_bytes());
    bytes.extend(b"mysqld\0garbage!!");
    let count = u32::try_from(arguments.len()).unwrap();
    for word in [3, id, count, 0] {
        bytes.extend(u32::to_ne_bytes(word));
    }
    bytes.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
    for text in texts {
        let mut slot = [0u8; TEXT];
        slot[..text.len()].copy_from_slice(text.as_bytes());
        bytes.extend(slot);
    }
    bytes
}

fn call(format: &str) -> PrintFact {
    PrintFact { format: format.to_owned(), span: Span::new(0, 0) }
}

fn check(format: &str, arguments: &[u64], texts: &[&str], expect: &str) {
    let print = decode_print(&record(0, arguments, texts), &[call(format)]).unwrap();
    assert_eq!(print.message, expect, "{format}");
}

const FORMATS: &[&str] = &[
    "%d",
    "%5d|",
    "%-5d|",
    "%05d|",
    "%+d",
    "% d",
    "%.3d",
    "%8.3d|",
    "%08.3d|",
    "%u",
    "%x",
    "%X",
    "%#x",
    "%#X",
    "%o",
    "%08x",
    "%ld",
    "%lld",
    "%lu",
    "%llu",
    "%lx",
    "%llx",
    "%#llx",
    "%i",
    "%hd",
    "%hhd",
    "%hhu",
    "%c",
    "%5c|",
    "%-5c|",
    "%010ld|",
    "%+.2d",
    "%zu",
    "%#o",
    "%#.3o|",
    "%.0d|",
    "%#8x|",
    "%#08x|",
    "%-08d|",
    "100%% %d %% done",
];
const VALUES: &[i64] = &[0, 8, 65, 127, 200, 70_000, -5, 1 << 40, -1];

/// What the C library prints, by a program that the C compiler makes: lines of format, value and text.
fn printed_by_c() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("p.c"), folder.path().join("p"));
    let mut text = "#include <stdio.h>\nint main(void) {\n".to_owned();
    for (format, value) in FORMATS.iter().flat_map(|format| VALUES.iter().map(move |value| (format, value))) {
        text += &format!("\tprintf({:?}, {value}L);\n", format!("{format}\n"));
    }
    std::fs::write(&source, text + "}\n").unwrap();
    let built = std::process::Command::new("cc").arg("-w").arg(&source).arg("-o").arg(&program).status().unwrap();
    assert!(built.success());
    let output = std::process::Command::new(&program).output().unwrap().stdout;
    output.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

#[test]
fn numbers_are_formatted_as_c_does() {
    let expect = printed_by_c();
    let cases = FORMATS.iter().flat_map(|format| VALUES.iter().map(move |value| (format, value)));
    for ((format, value), expect) in cases.zip(expect) {
        check(format, &[value.cast_unsigned()], &[], &expect);
    }
}

#[test]
fn texts_come_from_their_slots() {
    check("%s->%s", &[1, 0], &["b", "a"], "a->b");
    check("%d %10s|%-4s|%.2s", &[1, 0, 1, 2], &["abc", "x", "long"], "1        abc|x   |lo");
    check("%s", &[9], &["a"], "");
    check("%s", &[u64::MAX], &["a"], "");
}

#[test]
fn what_is_unknown_is_shown_as_written() {
    check("%n %d", &[3], &[], "%n 3");
    check("%d %d", &[3], &[], "3 %d");
    check("50%", &[], &[], "50%");
    check("%-", &[1], &[], "%-");
    check("%é %d", &[3], &[], "%é 3");
    check("%99999999999d|", &[3], &[], &format!("{:>1$}|", 3, MAX_WIDTH));
    check("%*d|", &[4, 3], &[], "   3|");
    check("%p %px", &[0xffff_8880_0000_1000, 16], &[], "0xffff888000001000 0x10");
    check("Hello, World!\n", &[], &[], "Hello, World!");
}

#[test]
fn the_head_is_read() {
    let print = decode_print(&record(1, &[], &[]), &[call("a"), call("b")]).unwrap();
    let expect = Print { ns: 7, pid: 41, tid: 42, comm: "mysqld".into(), cpu: 3, message: "b".into() };
    assert_eq!(print, expect);
}

#[test]
fn damaged_records_are_errors() {
    let calls = [call("%d %s")];
    let whole = record(0, &[1, 0], &["x"]);
    for length in 0..64 {
        let error = decode_print(&whole[..length], &calls).unwrap_err();
        assert_eq!(error, PrintError::Short { length });
    }
    assert_eq!(decode_print(&whole[..70], &calls).unwrap().message, "1 ");
    let error = decode_print(&record(5, &[], &[]), &calls).unwrap_err();
    assert_eq!(error, PrintError::UnknownCall { id: 5, calls: 1 });
}
