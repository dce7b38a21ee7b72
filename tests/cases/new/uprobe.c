// probe: each call of everything(signed char, short, unsigned int, Session const&, bool, char const*, Mode, char const*, double, Point, Large) in BINARY, with how long it took.
//
//     dbcc probe.c              in all processes
//     dbcc --pid N probe.c      in one
//
//@ attach uprobe:BINARY:everything = on_everything
//@ attach uretprobe:BINARY:everything = on_everything_return
//@ hide everything_started
//@ hide everything_scratch

#define TEXT 128 // so much of a text is kept

struct everything_event {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    u64 elapsed_ns;
    signed char letter;
    short low;
    unsigned int wide;
    void *session; // Session const&
    bool yes;
    char text[TEXT];
    u32 on_stack; // Mode
    char text_on_stack[TEXT];
    long ret;
    // not here: factor (double): it is in xmm0, and the kernel hands no floating point registers to probes
    // not here: point (Point): an object by value, in xmm1:8, xmm2:8
    // not here: large (Large): an object by value, in memory
};

// A call that is under way, by its thread. One that begins inside of it, in the same thread, takes its place.
struct everything_call {
    u64 start;
    struct everything_event event;
};

BPF_PERF_OUTPUT(everything_events);
BPF_HASH(everything_started, u32, struct everything_call);
// Larger than the stack allows with anything beside it.
BPF_PERCPU_ARRAY(everything_scratch, struct everything_call, 1);

int on_everything(struct pt_regs *ctx, signed char letter, short low, unsigned int wide, void *session /* Session const& */, bool yes, char *text)
{
    struct everything_call *call;
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 zero = 0;
    u32 tid = pid_tgid;

    if (FILTER_PID)
        return 0;
    call = everything_scratch.lookup(&zero);
    if (!call)
        return 0;
    call->event.pid = pid_tgid >> 32;
    call->event.tid = pid_tgid;
    bpf_get_current_comm(&call->event.comm, sizeof(call->event.comm));
    call->event.letter = letter;
    call->event.low = low;
    call->event.wide = wide;
    call->event.session = session;
    call->event.yes = yes;
    bpf_probe_read_user_str(call->event.text, sizeof(call->event.text), text);
    call->event.on_stack = *(u32 *)(PT_REGS_SP(ctx) + 8);
    bpf_probe_read_user_str(call->event.text_on_stack, sizeof(call->event.text_on_stack), *(char **)(PT_REGS_SP(ctx) + 16));
    call->start = bpf_ktime_get_ns();
    everything_started.update(&tid, call);
    return 0;
}

int on_everything_return(struct pt_regs *ctx)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct everything_call *call = everything_started.lookup(&tid);

    if (!call)
        return 0;
    call->event.elapsed_ns = bpf_ktime_get_ns() - call->start;
    call->event.ret = (long)PT_REGS_RC(ctx);
    everything_events.perf_submit(ctx, &call->event, sizeof(call->event));
    everything_started.delete(&tid);
    return 0;
}
