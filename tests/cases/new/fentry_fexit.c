// probe: each call of the kernel's vfs_read, with how long it took.
//
//     dbcc probe.c              in all processes
//     dbcc --pid N probe.c      in one
//
//@ hide vfs_read_started

#define TEXT 128 // so much of a text is kept

struct vfs_read_event {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    u64 elapsed_ns;
    struct file *file;
    char buf[TEXT];
    size_t count;
    loff_t *pos;
    ssize_t ret;
};

// A call that is under way, by its thread. One that begins inside of it, in the same thread, takes its place.
struct vfs_read_call {
    u64 start;
    struct vfs_read_event event;
};

BPF_PERF_OUTPUT(vfs_read_events);
BPF_HASH(vfs_read_started, u32, struct vfs_read_call);

KFUNC_PROBE(vfs_read, struct file *file, char *buf, size_t count, loff_t *pos)
{
    struct vfs_read_call call = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 tid = pid_tgid;

    if (FILTER_PID)
        return 0;
    call.event.pid = pid_tgid >> 32;
    call.event.tid = pid_tgid;
    bpf_get_current_comm(&call.event.comm, sizeof(call.event.comm));
    call.event.file = file;
    bpf_probe_read_str(call.event.buf, sizeof(call.event.buf), buf);
    call.event.count = count;
    call.event.pos = pos;
    call.start = bpf_ktime_get_ns();
    vfs_read_started.update(&tid, &call);
    return 0;
}

KRETFUNC_PROBE(vfs_read, struct file *file, char *buf, size_t count, loff_t *pos, ssize_t ret)
{
    u32 tid = bpf_get_current_pid_tgid();
    struct vfs_read_call *call = vfs_read_started.lookup(&tid);

    if (!call)
        return 0;
    call->event.elapsed_ns = bpf_ktime_get_ns() - call->start;
    call->event.ret = ret;
    vfs_read_events.perf_submit(ctx, &call->event, sizeof(call->event));
    vfs_read_started.delete(&tid);
    return 0;
}
