//! USDT probes.

use super::{changed, messages, rewritten};

const READS: &str = "struct row { long id; struct row *next; };\n\
    static int helper(struct pt_regs *ctx, u64 *to) { return bpf_usdt_readarg(2, ctx, to); }\n\
    int on_query(struct pt_regs *ctx)\n\
    {\n\
    u64 id = 0; struct row *row = 0; struct { char *text; } kept = {}; char text[16]; u32 n = 3;\n\
    helper(ctx, &id);\n\
    bpf_usdt_readarg(1, ctx, &row); bpf_usdt_readarg(n, ctx, &kept.text);\n\
    bpf_usdt_readarg_p(4, ctx, &text, sizeof(text));\n\
    return row->next->id == id && kept.text[0] && text[0];\n\
    }\n";

#[test]
fn arguments_are_the_process_s() {
    insta::assert_snapshot!(changed(READS, &["usdt:mysqld:mysql:query__start=on_query"]), @r#"
    __always_inline static int helper(struct pt_regs *ctx, u64 *to) { return bpf_usdt_readarg(2, ctx, to); }
    SEC("usdt") int on_query(struct pt_regs *ctx)
    return dbcc_read_user(dbcc_read_user(row->next)->id) == id && dbcc_read_user(kept.text[0]) && text[0];
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn what_reads_arguments_is_a_program_without_being_attached() {
    let found = rewritten(READS, &[]).unwrap();
    let programs: Vec<_> = found.facts.programs.iter().map(|program| (&*program.function, &*program.kind)).collect();
    assert_eq!(programs, [("on_query", "usdt")]);
    assert!(found.text.contains("SEC(\"usdt\") int on_query"), "{}", found.text);
    assert_eq!(found.facts.programs[0].forms[0].arguments, Some(4));
}

#[test]
fn parameters_are_bound_to_arguments() {
    insta::assert_snapshot!(changed(
        "int on_start(struct pt_regs *ctx, char *query, u32 length, bool slow, short a, long b, long c, long d)\n\
         {\n\
         return query[0] == 'S' && length > 3 && slow && a + b + c + d;\n\
         }\n",
        &["usdt:mysqld:mysql:query__start=on_start"]
    ), @r#"
    static __always_inline int on_start__body(struct pt_regs *ctx, char *query, u32 length, bool slow, short a, long b, long c, long d)
    return dbcc_read_user(query[0]) == 'S' && length > 3 && slow && a + b + c + d;
    SEC("usdt") int on_start(struct pt_regs *ctx)
    {
    	return on_start__body((void *)ctx, (char *)dbcc_usdt_value(ctx, 1), (u32)dbcc_usdt_value(ctx, 2), (bool)(__u8)dbcc_usdt_value(ctx, 3), (short)dbcc_usdt_value(ctx, 4), (long)dbcc_usdt_value(ctx, 5), (long)dbcc_usdt_value(ctx, 6), (long)dbcc_usdt_value(ctx, 7));
    }
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
}

#[test]
fn libbpf_s_macro_and_functions_may_be_used() {
    insta::assert_snapshot!(changed(
        "int BPF_USDT(on_start, char *query, int length)\n\
         {\n\
         long first = 0; bpf_usdt_arg(ctx, 0, &first);\n\
         return query[0] == 'S' && length > 3 && first && bpf_usdt_arg_cnt(ctx) == 2 && bpf_usdt_cookie(ctx) == 0;\n\
         }\n",
        &["usdt:mysqld:mysql:query__start=on_start"]
    ), @r#"
    int SEC("usdt") BPF_USDT(on_start, char *query, int length)
    return dbcc_read_user(query[0]) == 'S' && length > 3 && first && bpf_usdt_arg_cnt(ctx) == 2 && bpf_usdt_cookie(ctx) == 0;
    #ifdef BPF_LICENSE
    char _license[] SEC("license") = DBCC_STRING(BPF_LICENSE);
    #else
    char _license[] SEC("license") = "GPL";
    #endif
    "#);
    insta::assert_snapshot!(messages(
        "#include <bpf/usdt.bpf.h>\n\
         SEC(\"usdt//bin/x:p:n\") int BPF_USDT(on_start, char *query) { return bpf_usdt_arg_cnt(ctx) == 2 && query; }\n\
         char LICENSE[] SEC(\"license\") = \"GPL\";\n",
        &[]
    ), @"");
    let found = rewritten("SEC(\"usdt//bin/x:p:n\") int BPF_USDT(f, long a) { return a == 2; }\n", &[]).unwrap();
    let program = &found.facts.programs[0];
    assert_eq!((&*program.kind, program.target.as_deref()), ("usdt", Some("/bin/x:p:n")));
}

#[test]
fn what_is_wrong_is_said() {
    let reader = "static int helper(struct pt_regs *ctx, u64 *to) { return bpf_usdt_readarg(1, ctx, to); }\n";
    insta::assert_snapshot!(messages(
        &format!("{reader}int f(struct pt_regs *ctx) {{ u64 id = 0; return helper(ctx, &id); }}\n"),
        &["uprobe:mysqld:f=f"]
    ), @r#"
    Error 2:5 `f`: `f` reads arguments of a USDT probe, and is attached to a uprobe
      help: attach it with `usdt:BINARY:PROVIDER:NAME=f`, or read the arguments of a uprobe by parameters behind its context or PT_REGS_PARM1(ctx) and so on
    "#);
    insta::assert_snapshot!(messages(
        "int f(struct pt_regs *ctx) { u64 id = 0; return bpf_usdt_readarg(0, ctx, &id); }\n\
         int g(struct pt_regs *ctx) { u64 id = 0; return bpf_usdt_readarg(13, ctx, &id); }\n",
        &["usdt:x:p:f=f", "usdt:x:p:g=g"]
    ), @r#"
    Error 1:66 `0`: a USDT probe has no argument 0 here: they are 1 to 12
    Error 2:66 `13`: a USDT probe has no argument 13 here: they are 1 to 12
    "#);
    insta::assert_snapshot!(messages(
        "int f(struct pt_regs *ctx) { long id[2]; return bpf_usdt_readarg(1, ctx, &id[0]); }\n\
         int g(struct pt_regs *ctx, double x) { return 0; }\n",
        &["usdt:x:p:g=g"]
    ), @r#"
    Warning 1:5 `f`: function `f` is for a USDT probe, and is not attached to any
      help: attach it with `//@ attach usdt:BINARY:PROVIDER:NAME = f` in the probe or `--attach usdt:BINARY:PROVIDER:NAME=f`
    Error 2:28 `double x`: `x` is no integer and no pointer, so it is in no register
    "#);
    insta::assert_snapshot!(messages(
        "int f(struct pt_regs *ctx, int a, int b, int c, int d, int e, int f, int g, int h, int i, int j, int k, int l, int m)\n\
         { return 0; }\n",
        &["usdt:x:p:f=f"]
    ), @r#"
    Error 1:112 `int m`: a USDT probe has at most 12 arguments
    "#);
}
