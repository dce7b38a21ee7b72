// An event for each send, through a perf buffer.
struct sent {
    u32 pid;
    u32 bytes;
};

BPF_PERF_OUTPUT(sends);

TRACEPOINT_PROBE(sock, sock_send_length)
{
    struct sent sent = {};

    if (FILTER_PID)
        return 0;
    sent.pid = bpf_get_current_pid_tgid() >> 32;
    sent.bytes = args->ret;
    sends.perf_submit(args, &sent, sizeof(sent));
    return 0;
}
