// probe: each hit of the tracepoint sched_process_exec.
//
//     dbcc probe.c              in all processes
//     dbcc --pid N probe.c      in one

struct sched_process_exec_event {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    struct task_struct *p;
    pid_t old_pid;
    struct linux_binprm *bprm;
};

BPF_PERF_OUTPUT(sched_process_exec_events);

int raw_tracepoint__sched_process_exec(struct bpf_raw_tracepoint_args *ctx, struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
{
    struct sched_process_exec_event event = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();

    if (FILTER_PID)
        return 0;
    event.pid = pid_tgid >> 32;
    event.tid = pid_tgid;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    event.p = p;
    event.old_pid = old_pid;
    event.bprm = bprm;
    sched_process_exec_events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
