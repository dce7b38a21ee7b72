// probe: each call of the kernel's tcp_sendmsg.
//
//     dbcc probe.c              in all processes
//     dbcc --pid N probe.c      in one

struct tcp_sendmsg_event {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    struct sock *sk;
    struct msghdr *msg;
    size_t size;
};

BPF_PERF_OUTPUT(tcp_sendmsg_events);

int kprobe__tcp_sendmsg(struct pt_regs *ctx, struct sock *sk, struct msghdr *msg, size_t size)
{
    struct tcp_sendmsg_event event = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();

    if (FILTER_PID)
        return 0;
    event.pid = pid_tgid >> 32;
    event.tid = pid_tgid;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    event.sk = sk;
    event.msg = msg;
    event.size = size;
    tcp_sendmsg_events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
