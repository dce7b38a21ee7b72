use super::check;

const LINT: &str = "return-reads-arguments";

#[test]
fn arguments_at_returns() {
    let text = "static int who(struct pt_regs *ctx) { return PT_REGS_PARM2(ctx); }\n\
                int f(struct pt_regs *ctx, void *object) { return object ? PT_REGS_PARM1(ctx) + who(ctx) : 0; }\n";
    let places = ["PT_REGS_PARM1(ctx)", "PT_REGS_PARM2(ctx)", "object"];
    check(LINT, text, &["uretprobe:/bin/true:main=f"], &places);
    check(LINT, text, &["kretprobe:vfs_read=f"], &places);
    check(LINT, text, &["uprobe:/bin/true:main=f"], &[]);
}

#[test]
fn what_is_there_at_returns() {
    let text = "int f(struct pt_regs *ctx) { return PT_REGS_RC(ctx) + PT_REGS_IP(ctx); }\n\
                int g(struct pt_regs *ctx, void *unused) { return PT_REGS_RC(ctx); }\n";
    check(LINT, text, &["uretprobe:/bin/true:main=f", "kretprobe:vfs_read=g"], &[]);
    let text = "KRETFUNC_PROBE(vfs_read, struct file *file, char *buffer, size_t count, loff_t *at, int ret)\n\
                { return count > ret; }\n";
    check(LINT, text, &[], &[]);
}
