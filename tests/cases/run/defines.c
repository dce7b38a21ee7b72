// What is counted is given on the command line.
BPF_HASH(sends, u32, u64);

TRACEPOINT_PROBE(sock, sock_send_length)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    if (FILTER_PID || args->ret != WANTED_SIZE)
        return 0;
    sends.increment(pid);
    return 0;
}
