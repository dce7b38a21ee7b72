// What the program sites.c says of itself, as it arrives.
struct values_t {
    u32 site;
    s8 s1;
    u8 u1;
    s16 s2;
    u16 u2;
    s32 s4;
    u32 u4;
    s64 s8;
    u64 u8;
    s64 wide_s1;   // narrow arguments in wide variables
    u64 wide_u1;
    s64 wide_s4;
    u64 wide_u4;
    u16 narrow_u8; // a wide one in a narrow variable
    int missing;
};

struct text_t {
    char text[16];
    char first;
    s32 s4;
    u64 u8;
};

struct record {
    signed char s1;
    unsigned char u1;
    short s2;
    unsigned short u2;
    int s4;
    unsigned int u4;
    long s8;
    unsigned long u8;
};

BPF_PERF_OUTPUT(values);
BPF_PERF_OUTPUT(texts);
BPF_HASH(calls, u32, u64);
BPF_HASH(sums, u32, s64);

// A function that is handed the context.
static int wide(struct pt_regs *ctx, struct values_t *out)
{
    bpf_usdt_readarg(2, ctx, &out->wide_s1);
    bpf_usdt_readarg(3, ctx, &out->wide_u1);
    bpf_usdt_readarg(6, ctx, &out->wide_s4);
    bpf_usdt_readarg(7, ctx, &out->wide_u4);
    return bpf_usdt_readarg(9, ctx, &out->narrow_u8);
}

int on_values(struct pt_regs *ctx)
{
    struct values_t out = {};
    u64 none = 1;
    u32 number = 10;

    bpf_usdt_readarg(1, ctx, &out.site);
    bpf_usdt_readarg(2, ctx, &out.s1);
    bpf_usdt_readarg(3, ctx, &out.u1);
    bpf_usdt_readarg(4, ctx, &out.s2);
    bpf_usdt_readarg(5, ctx, &out.u2);
    bpf_usdt_readarg(6, ctx, &out.s4);
    bpf_usdt_readarg(7, ctx, &out.u4);
    bpf_usdt_readarg(8, ctx, &out.s8);
    bpf_usdt_readarg(9, ctx, &out.u8);
    wide(ctx, &out);
    out.missing = bpf_usdt_readarg(number, ctx, &none) < 0 && none == 0;
    values.perf_submit(ctx, &out, sizeof(out));
    return 0;
}

int on_text(struct pt_regs *ctx, char *text, struct record *record)
{
    struct text_t out = {};

    bpf_usdt_readarg_p(1, ctx, &out.text, sizeof(out.text));
    out.first = *text;
    out.s4 = record->s4;
    out.u8 = record->u8;
    texts.perf_submit(ctx, &out, sizeof(out));
    return 0;
}

int on_guarded(struct pt_regs *ctx, long number)
{
    u32 slot = 1;
    s64 zero = 0, *sum = sums.lookup_or_try_init(&slot, &zero);

    if (sum)
        __sync_fetch_and_add(sum, number);
    return 0;
}

// Attached to several probes.
int on_any(struct pt_regs *ctx)
{
    calls.increment(bpf_get_current_pid_tgid() >> 32);
    return 0;
}
