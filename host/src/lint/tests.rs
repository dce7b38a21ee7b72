//! Each lint on probes that it finds something in, and on those that look like it.

use super::*;
use crate::diag::render_all;
use crate::directive::Directives;
use crate::facts::{CompileRequest, Compiled, Features};
use crate::frontend;
use crate::source::Source;

mod map_never_deleted;
mod near_stack_limit;
mod non_atomic_update;
mod process_as_thread_key;
mod return_reads_arguments;
mod uninitialised_padding;
mod wrong_memory;

fn directives(text: &str) -> Directives {
    let lexed = crate::lex::Lexed::new(text);
    let lines = lexed.directives();
    let lines: Vec<_> = lines.iter().map(|line| (line.span, line.text.as_str())).collect();
    Directives::parse(&lines).unwrap()
}

fn compiled(text: &str, attaches: &[&str]) -> (Source, Compiled) {
    compiled_for(text, attaches, true)
}

/// As for a kernel that has ring buffers, or one that has not.
fn compiled_for(text: &str, attaches: &[&str], ringbuf: bool) -> (Source, Compiled) {
    let mut directives = directives(text);
    let attaches = attaches.iter().map(|attach| crate::directive::parse_attach(attach).unwrap());
    directives.override_with(attaches.collect());
    let request = CompileRequest {
        source: Source::from_text("probe.c", text),
        functions: directives.function_kinds(),
        tail_calls: Vec::new(),
        defines: Vec::new(),
        features: Features { kprobe: true, fentry: true, uprobe: true, ringbuf, tracepoint: true },
        without_tracepoints: Vec::new(),
        toolchain: crate::toolchain::find().expect("the tests need clang"),
    };
    let compiled =
        frontend::compile(&request).unwrap_or_else(|errors| panic!("{}", render_all(&errors, &request.source, false)));
    (request.source, compiled)
}

/// What lints find: the name of each, and the text that it stands on.
#[track_caller]
fn found(text: &str, attaches: &[&str]) -> Vec<(String, String)> {
    let (source, compiled) = compiled(text, attaches);
    let place = |finding: &Finding| {
        let span = finding.diagnostic.span.unwrap_or_else(|| panic!("no place: {finding:?}"));
        source.text[span.range()].to_owned()
    };
    compiled.lints.iter().map(|finding| (finding.lint.clone(), place(finding))).collect()
}

/// Expects that a lint, and no other, finds something at each of some texts, in their order.
#[track_caller]
fn check(lint: &str, text: &str, attaches: &[&str], places: &[&str]) {
    let expected: Vec<(String, String)> = places.iter().map(|place| (lint.to_owned(), (*place).to_owned())).collect();
    assert_eq!(found(text, attaches), expected, "{text}");
}

/// The instructions of a function of an object, as the disassembler beside clang writes them.
fn instructions(elf: &[u8], function: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), elf).unwrap();
    let clang = crate::toolchain::find().unwrap().clang;
    let objdump = std::fs::canonicalize(clang).unwrap().with_file_name("llvm-objdump");
    let mut command = std::process::Command::new(objdump);
    command.args(["-d", "--no-show-raw-insn"]).arg(format!("--disassemble-symbols={function}"));
    let output = command.arg(file.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> =
        text.lines().filter_map(|line| Some(line.split_once(":\t")?.1.trim().to_owned())).collect();
    assert!(!lines.is_empty(), "{function} is not disassembled: {text}");
    lines
}

/// The number that a text begins with, as disassemblers write it.
fn number(text: &str) -> i64 {
    let word: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
    match word.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).unwrap(),
        None => word.parse().unwrap(),
    }
}

#[test]
fn each_lint_finds_its_example_and_nothing_where_that_is_mended() {
    for lint in LINTS {
        let example = found(lint.example(), &[]);
        assert!(!example.is_empty(), "{} does not find its example", lint.name());
        assert!(example.iter().all(|(name, _)| name == lint.name()), "{}: {example:?}", lint.name());
        assert_eq!(found(lint.mended(), &[]), [], "{}", lint.name());
    }
}

#[test]
fn each_lint_has_a_name_that_nobody_else_has_and_an_explanation() {
    let documentation = include_str!("../../../docs/lints.md");
    for (number, lint) in LINTS.iter().enumerate() {
        let name = lint.name();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        assert!(LINTS[..number].iter().all(|other| other.name() != name), "{name} is there twice");
        let text = explain(name).unwrap();
        assert!(text.starts_with(&format!("{name}: {}\n", lint.summary())), "{text}");
        assert!(list().contains(lint.summary()));
        // The documentation has it all, wrapped otherwise.
        assert!(documentation.contains(&format!("## {name}\n")), "docs/lints.md does not have {name}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [lint.explanation(), lint.example(), lint.mended()] {
            assert!(words(documentation).contains(&words(part)), "docs/lints.md does not say of {name}: {part}");
        }
    }
    assert_eq!(
        explain("non-atomic-updat").unwrap_err(),
        "there is no lint `non-atomic-updat`; did you mean `non-atomic-update`?"
    );
}

/// What is left of two findings in lines 2 and 4.
fn left(before: &str, behind: &str, levels: &Levels) -> Vec<u32> {
    let text = format!("{before}int a;\nint b;\n{behind}int c;\nint d;\n");
    let source = Source::from_text("probe.c", text.as_str());
    let allows = directives(&text).allows;
    let find = |word: &str| {
        let at = u32::try_from(text.find(word).unwrap()).unwrap();
        Finding {
            lint: "non-atomic-update".into(),
            diagnostic: Diagnostic::warning(word, crate::source::Span::new(at, at + 1)),
        }
    };
    let shown = levels.shown(&[find("int b"), find("int c")], &allows, &source);
    shown.iter().map(|finding| source.line_column(finding.diagnostic.span.unwrap().start).line).collect()
}

#[test]
fn what_is_allowed_at_a_place_is_shown_elsewhere() {
    let default = Levels::default();
    assert_eq!(left("", "", &default), [2, 3]);
    assert_eq!(left("", "//@ allow non-atomic-update\n", &default), [2]);
    assert_eq!(left("", "// why\n//@ allow non-atomic-update\n\n/* because */ ", &default), [2]);
    assert_eq!(left("int z; //@ allow non-atomic-update\n", "", &default), [3, 4]);
    assert_eq!(left("int z;\n", "//@ allow all\n", &default), [3]);
    assert_eq!(left("", "//@ allow return-reads-arguments\n", &default), [2, 4]);
    assert_eq!(left("// A probe.\n//@ allow return-reads-arguments, non-atomic-update\n", "", &default), [0; 0]);
    let allowed = Levels::new(&["non-atomic-update".into()], &[]).unwrap();
    assert_eq!(left("", "", &allowed), [0; 0]);
}

#[test]
fn what_is_denied_is_an_error() {
    let source = Source::from_text("probe.c", "int a;\n");
    let finding = |lint: &str| Finding { lint: lint.into(), diagnostic: Diagnostic::warning("w", None) };
    let findings = [finding("non-atomic-update"), finding("return-reads-arguments")];
    let severities = |deny: &str| {
        let levels = Levels::new(&[], &[deny.to_owned()]).unwrap();
        let shown = levels.shown(&findings, &[], &source).into_iter();
        shown.map(|finding| finding.diagnostic.severity).collect::<Vec<_>>()
    };
    use crate::diag::Severity::{Error, Warning};
    assert_eq!(severities("non-atomic-update"), [Error, Warning]);
    assert_eq!(severities("all"), [Error, Error]);
    Levels::new(&["nothing".into()], &[]).unwrap_err();
}
