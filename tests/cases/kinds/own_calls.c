// Counts what one process calls.
BPF_HASH(calls, u32, u64);

int on_call(struct pt_regs *ctx)
{
    if ((bpf_get_current_pid_tgid() >> 32) == PID && PT_REGS_IP(ctx))
        calls.atomic_increment(1);
    return 0;
}
