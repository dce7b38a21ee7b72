// Counts hits and adds up the arguments.
struct seen_t {
    u64 hits;
    u64 first;
    u64 second;
    u64 third;
};

BPF_ARRAY(seen, struct seen_t, 1);

int on_call(struct pt_regs *ctx)
{
    u32 zero = 0;
    struct seen_t *sum = seen.lookup(&zero);

    if (sum) {
        __sync_fetch_and_add(&sum->hits, 1);
        __sync_fetch_and_add(&sum->first, PT_REGS_PARM1(ctx));
        __sync_fetch_and_add(&sum->second, PT_REGS_PARM2(ctx));
        __sync_fetch_and_add(&sum->third, PT_REGS_PARM3(ctx));
    }
    return 0;
}

int on_return(struct pt_regs *ctx)
{
    u32 zero = 0;
    struct seen_t *sum = seen.lookup(&zero);

    if (sum) {
        __sync_fetch_and_add(&sum->hits, 1);
        __sync_fetch_and_add(&sum->first, PT_REGS_RC(ctx));
    }
    return 0;
}
