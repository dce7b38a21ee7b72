// Counts calls of a program's functions, by version of this text. The tests put a number in place of VERSION, and the
// path of the program in place of PROGRAM.
//@ attach uprobe:PROGRAM:work = entered
//@ attach uprobe:PROGRAM:paired = began
//@ attach uretprobe:PROGRAM:paired = returned
//@ attach uprobe:PROGRAM:many_* = several
//@ attach uprobe:PROGRAM:rare = rarely
//@ attach usdt:PROGRAM:load:passed = passed
#define NUMBER VERSION

struct event {
    u64 number;
#if NUMBER % 2
    u64 more;
#endif
};

// Every other version has larger values, and every fourth another number of entries.
struct count {
    u64 calls;
#if NUMBER % 2
    u64 more;
#endif
};

BPF_HASH(starts, u32, u64);
BPF_HASH(entries, u32, struct count);
BPF_HASH(begins, u32, u64);
BPF_HASH(returns, u32, u64);
BPF_HASH(orphans, u32, u64);
BPF_HASH(pattern, u32, u64, NUMBER % 4 == 3 ? 512 : 1024);
BPF_HASH(tracepoints, u32, u64);
BPF_HASH(sites, u32, u64);
BPF_PERF_OUTPUT(events);

int entered(struct pt_regs *ctx)
{
    u32 version = NUMBER;
    struct count zero = {}, *count = entries.lookup_or_try_init(&version, &zero);

    if (count)
        __sync_fetch_and_add(&count->calls, 1);
    return 0;
}

int began(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid(), version = NUMBER;
    u64 now = bpf_ktime_get_ns(), zero = 0, *count = begins.lookup_or_try_init(&version, &zero);

    starts.update(&thread, &now);
    if (count)
        __sync_fetch_and_add(count, 1);
    return 0;
}

int returned(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid(), version = NUMBER;
    u64 zero = 0, *count;

    // An entry that another version saw is in the map too.
    if (starts.lookup(&thread))
        count = returns.lookup_or_try_init(&version, &zero);
    else
        count = orphans.lookup_or_try_init(&version, &zero);
    starts.delete(&thread);
    if (count)
        __sync_fetch_and_add(count, 1);
    return 0;
}

int several(struct pt_regs *ctx)
{
    u32 version = NUMBER;
    u64 zero = 0, *count = pattern.lookup_or_try_init(&version, &zero);

    if (count)
        __sync_fetch_and_add(count, 1);
    return 0;
}

// Counts each hit by its first argument: 1 or 2.
int passed(struct pt_regs *ctx, int site)
{
    u32 version = NUMBER;
    u64 zero = 0, *count = sites.lookup_or_try_init(&version, &zero);

    if (count)
        __sync_fetch_and_add(count, site);
    return 0;
}

int rarely(struct pt_regs *ctx)
{
    struct event event = { .number = NUMBER };

#if NUMBER % 2
    event.more = 1;
#endif
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}

RAW_TRACEPOINT_PROBE(sys_enter)
{
    u32 version = NUMBER;
    u64 zero = 0, *count;

    // getppid of x86-64.
    if (FILTER_PID || ctx->args[1] != 110)
        return 0;
    count = tracepoints.lookup_or_try_init(&version, &zero);
    if (count)
        __sync_fetch_and_add(count, 1);
    return 0;
}
