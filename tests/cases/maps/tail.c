// A chain of tail calls; nothing behind a call that is made is run.
//@ interval 1h
//@ tail_call steps[1] = second
//@ tail_call steps[3] = third
BPF_PROG_ARRAY(steps, 4);
BPF_HASH(seen, u32, u64);

static void go(void *ctx, int to)
{
    steps.call(ctx, to);
}

int third(void *ctx)
{
    seen.increment(3);
    steps.call(ctx, 2);
    seen.increment(30); // there is nothing at 2
    return 0;
}

int second(void *ctx)
{
    seen.increment(2);
    go(ctx, 3);
    seen.increment(20);
    return 0;
}

TRACEPOINT_PROBE(sock, sock_send_length)
{
    if (FILTER_PID)
        return 0;
    seen.increment(1);
    steps.call(args, 1);
    seen.increment(10);
    return 0;
}
