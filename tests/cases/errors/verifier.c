// The compiler takes it; the kernel's verifier does not: a lookup may find nothing.
BPF_HASH(calls, u32, u64);

int kprobe__tcp_sendmsg(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 *count = calls.lookup(&pid);

    *count += 1; //~ error: NULL
    return 0;
}
