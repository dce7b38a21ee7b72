// Counts hits by process, wherever it is attached.
BPF_HASH(calls, u32, u64);

int on_call(void *ctx)
{
    calls.atomic_increment(bpf_get_current_pid_tgid() >> 32);
    return 0;
}
