//! Functions that others run by tail calls.

use crate::rewrite::tests::{messages, rewritten};

/// Function, kind and target of each program.
fn programs(text: &str) -> Vec<(String, String, Option<String>)> {
    let facts = rewritten(text, &[]).expect("it is good").facts;
    facts.programs.into_iter().map(|program| (program.function, program.kind, program.target)).collect()
}

#[test]
fn a_function_of_an_array_is_of_the_kind_of_its_callers() {
    let found = programs(
        "//@ tail_call steps[1] = second\n//@ tail_call steps[2] = third\n//@ tail_call others[0] = last\n\
         BPF_PROG_ARRAY(steps, 4); BPF_PROG_ARRAY(others, 1);\n\
         static void go(void *ctx) { steps.call(ctx, 1); }\n\
         int last(void *ctx) { return 0; }\n\
         int second(void *ctx) { others.call(ctx, 0); return 0; }\n\
         int third(void *ctx) { return 0; }\n\
         int raw_tracepoint__sys_enter(void *ctx) { go(ctx); return 0; }\n\
         int raw_tracepoint__sys_exit(void *ctx) { bpf_tail_call(ctx, &steps, 2); return 0; }\n",
    );
    let program = |function: &str, target: Option<&str>| {
        (function.to_owned(), "raw_tracepoint".to_owned(), target.map(str::to_owned))
    };
    assert_eq!(
        found,
        [
            program("last", None),
            program("second", None),
            program("third", None),
            program("raw_tracepoint__sys_enter", Some("sys_enter")),
            program("raw_tracepoint__sys_exit", Some("sys_exit")),
        ]
    );
}

#[test]
fn who_makes_a_tail_call_from_a_kprobe_stays_one() {
    let text = "//@ tail_call steps[1] = second\nBPF_PROG_ARRAY(steps, 4);\n\
                int second(struct pt_regs *ctx) { return PT_REGS_PARM1(ctx) != 0; }\n\
                int kprobe__vfs_read(struct pt_regs *ctx) { steps.call(ctx, 1); return 0; }\n";
    let facts = rewritten(text, &[]).expect("it is good").facts;
    let forms: Vec<&str> =
        facts.programs.iter().flat_map(|program| &program.forms).map(|form| form.kind.as_str()).collect();
    assert_eq!(forms, ["kprobe", "kprobe"]);
}

#[test]
fn what_is_wrong_with_a_tail_call_is_said_at_its_directive() {
    insta::assert_snapshot!(messages(
        "//@ tail_call stps[1] = second\n\
         //@ tail_call steps[1] = secnd\n\
         //@ tail_call counts[1] = second\n\
         //@ tail_call steps[1] = second\n\
         //@ tail_call unused[1] = lonely\n\
         BPF_PROG_ARRAY(steps, 4); BPF_PROG_ARRAY(unused, 4); BPF_HASH(counts);\n\
         int second(void *ctx) { return 0; }\n\
         int lonely(void *ctx) { return 0; }\n\
         int raw_tracepoint__sys_enter(void *ctx) { steps.call(ctx, 1); return 0; }\n\
         int tracepoint__sched__sched_switch(void *args) { steps.call(args, 1); return 0; }\n",
        &[]
    ), @"
    Error 1:5 `tail_call stps[1] = second`: the probe has no map `stps`
      help: did you mean `steps`?
    Error 2:5 `tail_call steps[1] = secnd`: the probe has no function `secnd`
      help: did you mean `second`?
    Error 3:5 `tail_call counts[1] = second`: map `counts` (hash) holds no programs
      help: declare it as BPF_PROG_ARRAY(counts, SIZE)
    Error 4:5 `tail_call steps[1] = second`: `second` would be a program of several kinds: raw_tracepoint, tracepoint
      note: an array holds programs of one type
      help: use an array and a function for each
    Error 5:5 `tail_call unused[1] = lonely`: which kind of program `lonely` is cannot be told: no program calls `unused`
      help: call it, as in `unused.call(ctx, INDEX);`, in a function that is attached
    Warning 7:5 `second`: function `second` is not attached to anything
      help: attach it with `//@ attach KIND:TARGET = second` in the probe or `--attach KIND:TARGET=second`, or name it by BCC's convention (`kprobe__tcp_sendmsg`)
    Warning 8:5 `lonely`: function `lonely` is not attached to anything
      help: attach it with `//@ attach KIND:TARGET = lonely` in the probe or `--attach KIND:TARGET=lonely`, or name it by BCC's convention (`kprobe__tcp_sendmsg`)
    ");
}
