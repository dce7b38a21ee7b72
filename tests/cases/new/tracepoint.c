// probe: each hit of the tracepoint sched:sched_process_exec.
//
//     dbcc probe.c              in all processes
//     dbcc --pid N probe.c      in one

#define TEXT 128 // so much of a text is kept

struct sched_process_exec_event {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    char filename[TEXT];
    s32 args_pid; // pid_t
    s32 old_pid; // pid_t
};

BPF_PERF_OUTPUT(sched_process_exec_events);

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct sched_process_exec_event event = {};
    u64 pid_tgid = bpf_get_current_pid_tgid();

    if (FILTER_PID)
        return 0;
    event.pid = pid_tgid >> 32;
    event.tid = pid_tgid;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    TP_DATA_LOC_READ_STR(event.filename, filename, sizeof(event.filename));
    event.args_pid = args->pid;
    event.old_pid = args->old_pid;
    sched_process_exec_events.perf_submit(args, &event, sizeof(event));
    return 0;
}
