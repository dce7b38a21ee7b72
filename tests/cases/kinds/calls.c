// Counts the calls of one system call by one process, as each kind of tracepoint sees them.
BPF_HASH(calls, u32, u64);

static int is_other(void)
{
    return (bpf_get_current_pid_tgid() >> 32) != PID;
}

int raw_tracepoint__sys_enter(struct bpf_raw_tracepoint_args *ctx, struct pt_regs *regs, long number)
{
    if (!is_other() && number == NUMBER)
        calls.atomic_increment(1);
    return 0;
}

int by_hand(struct bpf_raw_tracepoint_args *ctx)
{
    if (!is_other() && ctx->args[1] == NUMBER)
        calls.atomic_increment(2);
    return 0;
}

int typed(u64 *ctx, struct pt_regs *regs, long number)
{
    if (!is_other() && number == NUMBER && PT_REGS_IP(regs))
        calls.atomic_increment(3);
    return 0;
}

TRACEPOINT_PROBE(raw_syscalls, sys_enter)
{
    if (!is_other() && args->id == NUMBER)
        calls.atomic_increment(4);
    return 0;
}
