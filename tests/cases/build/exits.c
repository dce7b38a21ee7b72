// Who ended, and whose child it was: read from the kernel's structs, whose layout differs from version to version.
struct ended {
    u32 pid;
    u32 parent;
    u32 inode; // of the PID namespace
    char comm[16];
};
BPF_PERF_OUTPUT(exits);

static int report(void *ctx)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct ended ended = {};

    if (task->pid != task->tgid)
        return 0;
    ended.pid = task->tgid;
    ended.parent = task->real_parent->tgid;
    ended.inode = task->nsproxy->pid_ns_for_children->ns.inum;
    bpf_get_current_comm(ended.comm, sizeof(ended.comm));
    exits.perf_submit(ctx, &ended, sizeof(ended));
    return 0;
}

#if defined(DBCC_HAVE_KPROBE) || defined(DBCC_HAVE_FENTRY)
int kprobe__acct_process(struct pt_regs *ctx)
{
    return report(ctx);
}
#else
TRACEPOINT_PROBE(sched, sched_process_exit)
{
    return report(args);
}
#endif
