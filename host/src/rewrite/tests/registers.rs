//! What programs read of their registers.

use super::*;
use crate::facts::RegisterReads;

/// What the program `f` at a function of a program reads.
#[track_caller]
fn reads(text: &str) -> RegisterReads {
    let rewritten = rewritten(text, &["uprobe:x:g=f"]).unwrap_or_else(|messages| panic!("{messages:#?}"));
    rewritten.facts.programs.iter().find(|program| program.function == "f").expect("f is a program").reads
}

fn arguments(numbers: &[u8]) -> RegisterReads {
    let arguments = numbers.iter().fold(0, |bits, number| bits | 1 << (number - 1));
    RegisterReads { arguments, ..RegisterReads::default() }
}

#[test]
fn what_is_not_read_is_not_said_to_be() {
    assert_eq!(reads("int f(void) { return 0; }"), RegisterReads::default());
    assert_eq!(reads("int f(struct pt_regs *ctx) { (void)ctx; return 0; }"), RegisterReads::default());
    let submits = "BPF_PERF_OUTPUT(events);\n\
                   int f(struct pt_regs *ctx) { u64 now = 1; events.perf_submit(ctx, &now, sizeof(now)); return 0; }";
    assert_eq!(reads(submits), RegisterReads::default());
}

#[test]
fn arguments_are_read_by_registers_and_by_parameters() {
    let by_macro = "int f(struct pt_regs *ctx) { return PT_REGS_PARM2(ctx) + PT_REGS_PARM6(ctx); }";
    assert_eq!(reads(by_macro), arguments(&[2, 6]));
    assert_eq!(reads("int f(struct pt_regs *ctx) { return ctx->si + ctx->di; }"), arguments(&[1, 2]));
    assert_eq!(reads("int f(struct pt_regs *ctx, void *a, int b) { return b; }"), arguments(&[2]));
    let by_helper = "static int g(int n, struct pt_regs *c) { return n + PT_REGS_PARM3(c); }\n\
                     int f(struct pt_regs *ctx) { return g(1, ctx); }";
    assert_eq!(reads(by_helper), arguments(&[3]));
}

#[test]
fn other_registers_are_told_apart() {
    let none = RegisterReads::default();
    let read = |expression: &str| reads(&format!("int f(struct pt_regs *ctx) {{ return {expression}; }}"));
    assert_eq!(read("PT_REGS_IP(ctx)"), RegisterReads { ip: true, ..none });
    assert_eq!(read("ctx->ip > 0"), RegisterReads { ip: true, ..none });
    assert_eq!(read("bpf_get_func_ip(ctx)"), RegisterReads { ip: true, ..none });
    assert_eq!(read("PT_REGS_SP(ctx)"), RegisterReads { sp: true, ..none });
    assert_eq!(read("PT_REGS_RET(ctx)"), RegisterReads { sp: true, ..none });
    assert_eq!(read("PT_REGS_RC(ctx)"), RegisterReads { return_value: true, ..none });
    assert_eq!(read("PT_REGS_FP(ctx)"), RegisterReads { others: true, ..none });
    assert_eq!(read("bpf_get_stack(ctx, (void *)0, 0, BPF_F_USER_STACK)"), RegisterReads { stack: true, ..none });
    let stacks = "BPF_STACK_TRACE(stacks, 64);\n\
                  int f(struct pt_regs *ctx) { return stacks.get_stackid(ctx, BPF_F_USER_STACK); }";
    assert_eq!(reads(stacks), RegisterReads { stack: true, ..none });
}

#[test]
fn what_cannot_be_followed_reads_everything() {
    for text in [
        "int f(struct pt_regs *ctx) { struct pt_regs copy = *ctx; return copy.di; }",
        "int f(struct pt_regs *ctx) { struct pt_regs *other = ctx; return other->di; }",
        "int f(struct pt_regs *ctx) { long ip; bpf_probe_read_kernel(&ip, sizeof(ip), &ctx->ip); return ip; }",
        "BPF_PROG_ARRAY(tails, 4);\nint f(struct pt_regs *ctx) { tails.call(ctx, 1); return 0; }",
        "int f(struct pt_regs *ctx) { asm volatile(\"\" : : \"r\"(ctx)); return 0; }",
        "int f(struct pt_regs *ctx) { return bpf_task_pt_regs(bpf_get_current_task_btf()) != 0; }",
    ] {
        assert_eq!(reads(text), RegisterReads::EVERYTHING, "{text}");
    }
}

#[test]
fn programs_in_sections_are_looked_at_too() {
    let program = |text: &str| {
        let text = format!("#include <vmlinux.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_tracing.h>\n{text}");
        let rewritten = rewritten(&text, &[]).unwrap_or_else(|messages| panic!("{messages:#?}"));
        rewritten.facts.programs.iter().find(|program| program.function == "f").expect("f is a program").reads
    };
    assert_eq!(program("SEC(\"uprobe\") int BPF_UPROBE(f, int a, int b) { return a + b; }"), arguments(&[1, 2]));
    assert_eq!(program("SEC(\"uprobe\") int f(struct pt_regs *ctx) { return PT_REGS_PARM5(ctx); }"), arguments(&[5]));
    let returns = RegisterReads { return_value: true, ..RegisterReads::default() };
    assert_eq!(program("SEC(\"uretprobe\") int BPF_URETPROBE(f, long ret) { return ret; }"), returns);
    assert_eq!(program("SEC(\"no_such_kind\") int f(void *ctx) { return 0; }"), RegisterReads::EVERYTHING);
    assert_eq!(program("SEC(\"xdp\") int f(struct xdp_md *ctx) { return XDP_PASS; }"), RegisterReads::default());
}
