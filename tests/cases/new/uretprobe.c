// probe: each return of half(Pair, double) in BINARY.
//
//     dbcc probe.c              in all processes
//     dbcc --pid N probe.c      in one
//
//@ attach uretprobe:BINARY:half = on_half_return

struct half_event {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    // not here: what it returns (double): it is in xmm0, and the kernel hands no floating point registers to probes
};

BPF_PERF_OUTPUT(half_events);

int on_half_return(struct pt_regs *ctx)
{
    struct half_event event = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();

    if (FILTER_PID)
        return 0;
    event.pid = pid_tgid >> 32;
    event.tid = pid_tgid;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    half_events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
