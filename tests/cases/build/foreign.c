// A program in libbpf's style: compiled by clang alone.
typedef unsigned int __u32;
typedef unsigned long long __u64;
#define SEC(name) __attribute__((section(name), used))

static __u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static long (*bpf_map_update_elem)(void *, const void *, const void *, __u64) = (void *)2;

struct {
    int (*type)[1];
    int (*max_entries)[1024];
    __u32 *key;
    __u64 *value;
} exits SEC(".maps");

SEC("tracepoint/sched/sched_process_exit") int on_exit(void *ctx)
{
    __u32 pid = bpf_get_current_pid_tgid() >> 32;
    __u64 one = 1, *count = bpf_map_lookup_elem(&exits, &pid);

    if (count)
        *count += 1;
    else
        bpf_map_update_elem(&exits, &pid, &one, 0);
    return 0;
}

#ifdef REFUSED
SEC("tracepoint/sched/sched_process_fork") int refused(void *ctx)
{
    return *(volatile int *)ctx;
}
#endif

SEC("license") char terms[] = "GPL";
