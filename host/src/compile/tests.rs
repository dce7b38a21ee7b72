use super::*;
use crate::diag::render_all;
use crate::facts::Features;
use crate::linemap::LineMap;
use crate::source::Span;
use crate::template::{Host, KernelText, Needs, write};

/// Compiles a text as if rewriting had left it alone but for the edits, each a pair of old and new text in order.
fn compiled(text: &str, edits: &[(&str, &str)]) -> (CompileRequest, Result<Object, Vec<Diagnostic>>) {
    let request = CompileRequest {
        source: Source::from_text("probe.bpf.c", text),
        functions: Vec::new(),
        tail_calls: Vec::new(),
        defines: Vec::new(),
        features: Features::default(),
        without_tracepoints: Vec::new(),
        toolchain: crate::toolchain::find().expect("the tests need clang"),
    };
    let needs = Needs::of(&request).unwrap();
    // The texts here name no kernel types.
    let templated = write(&request, &needs, &KernelText::default(), &Host::running().unwrap()).unwrap();
    let (mut rewritten, mut line_map, mut rest) = (String::new(), LineMap::default(), 0);
    for (old, new) in edits {
        let at = rest + text[rest..].find(old).unwrap();
        rewritten.push_str(&text[rest..at]);
        rewritten.push_str(new);
        rest = at + old.len();
        let span = Span::new(u32::try_from(at).unwrap(), u32::try_from(rest).unwrap());
        line_map.edits.push((span, u32::try_from(new.len()).unwrap()));
    }
    rewritten.push_str(&text[rest..]);
    let rewritten =
        Rewritten { text: rewritten, line_map, facts: Default::default(), warnings: Vec::new(), lints: Vec::new() };
    let result = compile(&request, &templated, &rewritten);
    (request, result)
}

#[track_caller]
fn check(text: &str, edits: &[(&str, &str)], expect: &str) {
    let (request, result) = compiled(text, edits);
    let messages = result.map(|object| object.warnings).unwrap_or_else(|errors| errors);
    let shown = render_all(&messages, &request.source, false);
    assert_eq!(shown.trim(), expect.trim(), "\n{shown}");
}

#[test]
fn an_object_comes_out_and_does_not_depend_on_the_folder() {
    let text = "SEC(\"uprobe\") int f(struct pt_regs *ctx) { return ctx->ip != 0; }";
    let (first, second) = (compiled(text, &[]).1.unwrap(), compiled(text, &[]).1.unwrap());
    assert!(first.elf.starts_with(b"\x7fELF"));
    assert_eq!(first.elf, second.elf);
    let folder = b"/dbcc-";
    assert!(!first.elf.windows(folder.len()).any(|window| window == folder), "the object names the private folder");
    assert_eq!(first.warnings, []);
}

#[test]
fn every_error_is_on_the_line_that_the_user_wrote() {
    check(
        "int f(void *ctx)\n{\n    int 数 = m.lookup(&missing);\n    return unknown(数) + OTHER;\n}\n",
        &[("m.lookup(&missing)", "(long)bpf_map_lookup_elem(0, &missing)")],
        "
error: there is no `missing`
 --> probe.bpf.c:3:13
  |
3 |     int 数 = m.lookup(&missing);
  |              ^^^^^^^^^^^^^^^^^^

error: there is no function `unknown`
 --> probe.bpf.c:4:12
  |
4 |     return unknown(数) + OTHER;
  |            ^^^^^^^
  |
  = note: a BPF program calls BPF helpers (`bpf_…`), functions of the probe, and compiler built-ins (`__builtin_…`); functions of the kernel or of a C library are not there

error: there is no `OTHER`
 --> probe.bpf.c:4:25
  |
4 |     return unknown(数) + OTHER;
  |                          ^^^^^
  |
  = note: types and enumerators come from the running kernel's BTF, common macros from dbcc; `OTHER` is in neither
  = help: give it a value with `#define OTHER …` or `-D OTHER=…`",
    );
}

#[test]
fn a_stack_that_is_too_large_is_taken_apart() {
    check(
        "struct event { char path[400]; };\n\nSEC(\"uprobe\") int f(void *ctx)\n{\n    struct event event = {};\n    \
         char copy[240];\n    bpf_probe_read_kernel(&event, sizeof(event), ctx);\n    \
         bpf_probe_read_kernel(copy, sizeof(copy), ctx);\n    return event.path[0] + copy[1];\n}\n",
        &[],
        "
error: stack of 640 bytes exceeds 512: `event` takes 400 and `copy` takes 240 of them
 --> probe.bpf.c:5:18
  |
5 |     struct event event = {};
  |                  ^^^^^
  |                  |
  |                  400 bytes
6 |     char copy[240];
  |          ---- 240 bytes
  |
  = note: on the stack of `f`
  = help: move the largest of them to a per-CPU array of one element (`BPF_PERCPU_ARRAY(scratch, struct …, 1);`) and use it through the pointer that `lookup` returns",
    );
}

#[test]
fn what_the_backend_cannot_do_is_said_on_its_line() {
    check(
        "SEC(\"uprobe\") int f(int *ctx)\n{\n    return *ctx * 1.5;\n}\n",
        &[],
        "
error: BPF has no floating point
 --> probe.bpf.c:3:12
  |
3 |     return *ctx * 1.5;
  |            ^
  |
  = note: the compiler asked for its routine `__floatsidf`
  = help: calculate with integers: scale first, divide last",
    );
}

#[test]
fn notes_with_a_place_become_labels() {
    let (_, result) = compiled("struct a { int x; };\nstruct a { int y; };\n", &[]);
    let errors = result.unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message, "redefinition of `a`");
    assert_eq!(errors[0].labels, [(Span::new(7, 8), "previous definition is here".to_owned())]);
}

#[test]
fn warnings_do_not_stop() {
    let (_, result) = compiled("int f(int *p) { long *q = p; return *q; }", &[]);
    let warnings = result.unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].message,
        "incompatible pointer types initializing `long *` with an expression of type `int *`"
    );
}

#[test]
fn a_clang_that_fails_without_a_message_is_told() {
    let (mut request, _) = compiled("", &[]);
    let needs = Needs::of(&request).unwrap();
    let templated = write(&request, &needs, &KernelText::default(), &Host::running().unwrap()).unwrap();
    let rewritten = Rewritten {
        text: String::new(),
        line_map: LineMap::default(),
        facts: Default::default(),
        warnings: Vec::new(),
        lints: Vec::new(),
    };
    let mut message = |clang: &str| {
        request.toolchain.clang = clang.into();
        compile(&request, &templated, &rewritten).unwrap_err().remove(0).message
    };
    assert_eq!(message("/bin/false"), "`/bin/false` failed (exit status: 1)");
    assert!(message("/nonexistent").starts_with("compiling failed: cannot run `/nonexistent`: No such file"));
}

/// What clang says is text from outside: nothing in it makes parsing fail, at any place where it may be cut.
#[test]
fn every_truncation_of_the_output_parses() {
    let said = "In file included from x.c:1:\nprobe.c:1:1:{1:1-1:2}{1:3-2:4}: error: a 'b' c; did you mean 'd'?\n\
                ./probe.c:5:42: note: could not determine the original source location for s.c:0:0\n\
                probe.c:5:42: warning: stack frame size (920) exceeds limit (512) in 'f' [-Wframe-larger-than]\n\
                probe.c:6:1: remark: \nFunction: f\nOffset: [SP-400], Type: Variable, Align: 8, Size: 400\n    a @ s.c:1\n\
                Offset: [SP-99999999999999999999], Type: Variable, Align: 8, Size: 99999999999999999999\n    数 @ s.c:x\n\
                clang: error: unknown argument\nprobe.c:99999999999:1: fatal error: x\n1 error generated.\n";
    let source = Source::from_text("t.c", "int a;\nint b;\n");
    let rewritten = Rewritten {
        text: source.text.clone(),
        line_map: LineMap::default(),
        facts: Default::default(),
        warnings: vec![],
        lints: Vec::new(),
    };
    for end in 0..=said.len() {
        for start in (0..end).step_by(7) {
            if let Some(part) = said.get(start..end) {
                diagnostics(&message::parse(part), &source, &rewritten);
            }
        }
    }
    let all = diagnostics(&message::parse(said), &source, &rewritten);
    let texts: Vec<&str> = all.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(texts, ["stack of 920 bytes exceeds 512: `a` takes 400 of them", "a `b` c", "unknown argument", "x"]);
}
