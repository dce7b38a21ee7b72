// The largest of all sizes, and the sizes that were sent most often.
//@ top sizes 2 by key
//@ top sums 3 by value.total
struct sum {
    u32 calls;
    u64 total;
};

BPF_HASH(sizes, u32, u64);
BPF_TABLE("percpu_hash", u32, struct sum, sums, 64);

TRACEPOINT_PROBE(sock, sock_send_length)
{
    struct sum none = {}, *sum;
    u32 size = args->ret;

    if (FILTER_PID)
        return 0;
    sizes.increment(size);
    sum = sums.lookup_or_try_init(&size, &none);
    if (sum) {
        sum->calls++;
        sum->total += size;
    }
    return 0;
}
