// A map that is too small: it has room for two sizes.
BPF_HASH(sizes, u32, u64, 2);

TRACEPOINT_PROBE(sock, sock_send_length)
{
    u32 size = args->ret;

    if (FILTER_PID)
        return 0;
    sizes.increment(size);
    return 0;
}
