// Counts calls of a function of the kernel, which serves lseek(2) of /dev/null and is nowhere inlined, by version of this
// text. The tests put a number in place of VERSION.
#define NUMBER VERSION

struct count {
    u64 calls;
#if NUMBER % 2
    u64 more;
#endif
};

BPF_HASH(starts, u32, u64);
BPF_HASH(entries, u32, struct count);
BPF_HASH(returns, u32, u64);
BPF_HASH(orphans, u32, u64);

int kprobe__null_lseek(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid(), version = NUMBER;
    struct count zero = {}, *count;
    u64 now = bpf_ktime_get_ns();

    if (FILTER_PID)
        return 0;
    count = entries.lookup_or_try_init(&version, &zero);
    starts.update(&thread, &now);
    if (count)
        __sync_fetch_and_add(&count->calls, 1);
    return 0;
}

int kretprobe__null_lseek(struct pt_regs *ctx)
{
    u32 thread = bpf_get_current_pid_tgid(), version = NUMBER;
    u64 zero = 0, *count;

    if (FILTER_PID)
        return 0;
    if (starts.lookup(&thread))
        count = returns.lookup_or_try_init(&version, &zero);
    else
        count = orphans.lookup_or_try_init(&version, &zero);
    starts.delete(&thread);
    if (count)
        __sync_fetch_and_add(count, 1);
    return 0;
}
