// A map has no such method, twice: both are shown, each with the nearest that there is.
BPF_HASH(calls, u32, u64);

int kprobe__tcp_sendmsg(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    calls.incremnt(pid); //~ error: incremnt; increment
    calls.lokup(&pid); //~ error: lokup; lookup
    return 0;
}
