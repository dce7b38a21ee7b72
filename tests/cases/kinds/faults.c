BPF_HASH(faults, u32, u64);

int on_fault(struct bpf_perf_event_data *ctx)
{
    faults.atomic_increment(bpf_get_current_pid_tgid() >> 32);
    return 0;
}
