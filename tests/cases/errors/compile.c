// Two mistakes that any C compiler finds: both are shown.
BPF_HASH(calls, u32, u64);

int kprobe__tcp_sendmsg(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 one = 1;

    calls.update(&pd, &one); //~ error: pd
    return nothing; //~ error: nothing
}
