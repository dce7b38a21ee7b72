// Counts calls of whatever it is attached to.
BPF_HASH(calls, u32, u64);

int on_call(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    calls.increment(pid);
    return 0;
}
