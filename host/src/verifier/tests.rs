use super::*;
use crate::bpf::testing::ready;
use crate::diag::render;
use crate::facts::{CompileRequest, Features, FunctionKind};
use crate::kernel::Kernel;
use crate::load::{LoadError, Settings, load};

/// Compiles a uprobe program, lets the kernel refuse it, and returns the log.
fn refused(text: &str) -> (Source, Compiled, String) {
    let source = Source::from_text("t.c", text);
    let request = CompileRequest {
        source: source.clone(),
        functions: vec![FunctionKind { function: "f".into(), kind: "uprobe".into(), target: "x".into() }],
        tail_calls: Vec::new(),
        defines: Vec::new(),
        features: Features { uprobe: true, ringbuf: true, ..Features::default() },
        without_tracepoints: Vec::new(),
        toolchain: crate::toolchain::find().unwrap(),
    };
    let compiled = crate::frontend::compile(&request)
        .unwrap_or_else(|errors| panic!("{}", crate::diag::render_all(&errors, &source, false)));
    match load(&compiled, [(0, [].as_slice())], &Kernel::new(), &Settings::default()) {
        Err(LoadError::Rejected { log, .. }) => (source, compiled, log),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("loaded:\n{text}"),
    }
}

#[track_caller]
fn check(text: &str, expect: &str) {
    if !ready() {
        return;
    }
    let (source, compiled, log) = refused(text);
    let shown = render(&explain("f", "f", &log, &compiled, &source), &source, false);
    assert_eq!(shown.trim(), expect.trim(), "\n{shown}\n{log}");
}

#[test]
fn a_pointer_that_may_be_null_is_shown_where_it_is_used() {
    check(
        "BPF_HASH(m, u32, u64);\nint f(struct pt_regs *ctx)\n{\n    u32 key = 1;\n    u64 *value = m.lookup(&key);\n    \
         return *value;\n}\n",
        "
error: the verifier refuses `f`: the pointer that `lookup` returned may be NULL here
 --> t.c:6:12
  |
6 |     return *value;
  |            ^
  |
  = note: the kernel says: R0 invalid mem access 'map_value_or_null'
  = help: test it first: `if (!value) return 0;`",
    );
}

#[test]
fn an_access_outside_a_value_tells_how_far() {
    check(
        "struct v { char text[64]; };\nBPF_ARRAY(m, struct v, 4);\nint f(struct pt_regs *ctx)\n{\n    int key = 1;\n    \
         struct v *value = m.lookup(&key);\n    if (!value)\n        return 0;\n    return value->text[70];\n}\n",
        "
error: the verifier refuses `f`: this reaches outside the value of the map of 64 bytes: 1 at offset 70
 --> t.c:9:12
  |
9 |     return value->text[70];
  |            ^^^^^
  |
  = note: the kernel says: invalid access to map value, value_size=64 off=70 size=1
  = help: bound it just before: `if (index >= sizeof(array)) return 0;`, or `index &= sizeof(array) - 1;` where the size is a power of two",
    );
}

#[test]
fn a_size_without_bounds_is_shown_at_the_call() {
    check(
        "int f(struct pt_regs *ctx)\n{\n    char buf[64];\n    bpf_probe_read_user(buf, ctx->si, (void *)ctx->di);\n    \
         return buf[1];\n}\n",
        "
error: the verifier refuses `f`: a size or an index may be negative here
 --> t.c:4:5
  |
4 |     bpf_probe_read_user(buf, ctx->si, (void *)ctx->di);
  |     ^^^^^^^^^^^^^^^^^^^
  |
  = note: the kernel says: R2 min value is negative, either use unsigned or 'var &= const'
  = help: make it unsigned, and bound it: `if (size > sizeof(buffer)) size = sizeof(buffer);`",
    );
}

#[test]
fn a_helper_of_another_kind_of_program_is_named() {
    check(
        "int f(struct pt_regs *ctx)\n{\n    char buf[4];\n    return bpf_skb_load_bytes((void *)ctx, 0, buf, 4);\n}\n",
        "
error: the verifier refuses `f`: this kind of program may not call `bpf_skb_load_bytes`
 --> t.c:4:12
  |
4 |     return bpf_skb_load_bytes((void *)ctx, 0, buf, 4);
  |            ^^^^^^^^^^^^^^^^^^
  |
  = note: the kernel says: program of this type cannot use helper bpf_skb_load_bytes#26
  = help: attach the function by another kind, or use another helper",
    );
}

#[test]
fn a_loop_without_end_is_shown() {
    check(
        "int f(struct pt_regs *ctx)\n{\n    while (1) { bpf_get_prandom_u32(); }\n    return 0;\n}\n",
        "
error: the verifier refuses `f`: the loop may never end
 --> t.c:3:5
  |
3 |     while (1) { bpf_get_prandom_u32(); }
  |     ^^^^^
  |
  = note: the kernel says: infinite loop detected at insn 1
  = help: give it a bound that the compiler can see: `for (int i = 0; i < 64; i++)`",
    );
}

#[test]
fn what_is_not_given_back_is_shown_with_where_it_was_taken() {
    check(
        "struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } rb SEC(\".maps\");\n\
         int f(struct pt_regs *ctx)\n{\n    u64 *e = bpf_ringbuf_reserve(&rb, 8, 0);\n    if (!e)\n        return 0;\n    \
         if (ctx->di)\n        return 1;\n    bpf_ringbuf_submit(e, 0);\n    return 0;\n}\n",
        "
error: the verifier refuses `f`: something that was reserved or acquired is not given back on some way out
  --> t.c:11:1
   |
 4 |     u64 *e = bpf_ringbuf_reserve(&rb, 8, 0);
   |              ------------------- acquired here
...
11 | }
   | ^
   |
   = note: the kernel says: Unreleased reference id=2 alloc_insn=5
   = help: submit or discard (ring buffer), or release, before every `return`",
    );
}

/// The end of a log of Linux 5.10, whose words differ.
const OLD: &str = "; return *p;\n2: (79) r1 = *(u64 *)(r1 +112)\n3: (61) r0 = *(u32 *)(r1 +0)\n R0_w=inv0 R1=inv(id=0) R10=fp0\n\
                   R1 invalid mem access 'inv'\nprocessed 4 insns (limit 1000000) max_states_per_insn 0\n";

fn nothing() -> (Source, Compiled) {
    let source = Source::from_text("t.c", "int f(void) { return 0; }");
    let compiled = Compiled {
        elf: Vec::new(),
        text: source.text.clone(),
        file: "probe.c".into(),
        line_map: Default::default(),
        facts: Default::default(),
        warnings: Vec::new(),
        lints: Vec::new(),
        stacks: Vec::new(),
        inputs: None,
    };
    (source, compiled)
}

#[test]
fn logs_of_old_kernels_and_unknown_reasons_are_understood() {
    let (source, compiled) = nothing();
    let check = |log: &str, message: &str, note: Option<&str>| {
        let found = explain("f", "f", log, &compiled, &source);
        assert_eq!(found.message, message);
        assert_eq!(found.notes.first().map(String::as_str), note);
    };
    check(
        OLD,
        "the verifier refuses `f`: this is read through a pointer that the kernel cannot trust",
        Some("the kernel says: R1 invalid mem access 'inv'"),
    );
    check(
        "0: (b7) r0 = 0\nsomething quite new is wrong\nprocessed 1 insns (limit 1000000)\n",
        "the verifier refuses `f`: something quite new is wrong",
        None,
    );
    check(
        "combined stack size of 2 calls is 608. Too large\n",
        "the verifier refuses `f`: the functions that call one another here need more than 512 bytes of stack together",
        Some("the kernel says: combined stack size of 2 calls is 608. Too large"),
    );
    check("", "the kernel's verifier refuses `f` and does not say why", None);
}

#[test]
fn a_log_that_is_cut_anywhere_is_understood_or_shown() {
    let (source, compiled) = nothing();
    let log = format!("数: (79) x\n99999999999999999999: (95) exit\ninsn 99999999999999999999\nalloc_insn=\n{OLD}");
    for start in 0..log.len() {
        for end in start..=log.len() {
            if let Some(part) = log.get(start..end) {
                explain("f", "f", part, &compiled, &source);
            }
        }
    }
}
