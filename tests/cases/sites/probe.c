// Keeps what each hit sees.
struct call_t {
    u64 arguments[6];
};

BPF_HASH(calls, struct call_t, u64, 65536);
BPF_HASH(returned, u64, u64, 65536);
BPF_HASH(pointers, u64, u64, 65536);
BPF_HASH(seventh, u64, u64, 65536);

int on_call(struct pt_regs *ctx)
{
    struct call_t call = {{PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx),
                           PT_REGS_PARM5(ctx), PT_REGS_PARM6(ctx)}};

    calls.increment(call);
    return 0;
}

int on_first(struct pt_regs *ctx, long first)
{
    struct call_t call = {{first}};

    calls.increment(call);
    return 0;
}

int on_return(struct pt_regs *ctx)
{
    u64 value = PT_REGS_RC(ctx);

    returned.increment(value);
    return 0;
}

int on_pointer(struct pt_regs *ctx)
{
    u64 pointer = PT_REGS_IP(ctx);

    pointers.increment(pointer);
    return 0;
}

int on_stack_argument(struct pt_regs *ctx)
{
    u64 value = 0;

    bpf_probe_read_user(&value, sizeof(value), (void *)(PT_REGS_SP(ctx) + 8));
    seventh.increment(value);
    return 0;
}
