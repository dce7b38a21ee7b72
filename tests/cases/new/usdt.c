// probe: each hit of the USDT probe sites:text of BINARY.
//
//     dbcc probe.c              in all processes
//     dbcc --pid N probe.c      in one
//
//@ attach usdt:BINARY:sites:text = on_text
//@ hide text_scratch

#define TEXT 128 // so much of a text is kept

struct text_event {
    u32 pid;
    u32 tid;
    char comm[TASK_COMM_LEN];
    u64 arg1;
    char arg1_text[TEXT]; // what arg1 points to, if that is a text
    u64 arg2;
    char arg2_text[TEXT]; // what arg2 points to, if that is a text
};

BPF_PERF_OUTPUT(text_events);
// Larger than the stack allows with anything beside it.
BPF_PERCPU_ARRAY(text_scratch, struct text_event, 1);

int on_text(struct pt_regs *ctx, u64 arg1, u64 arg2)
{
    struct text_event *event;
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 zero = 0;

    if (FILTER_PID)
        return 0;
    event = text_scratch.lookup(&zero);
    if (!event)
        return 0;
    event->pid = pid_tgid >> 32;
    event->tid = pid_tgid;
    bpf_get_current_comm(&event->comm, sizeof(event->comm));
    event->arg1 = arg1;
    bpf_probe_read_user_str(event->arg1_text, sizeof(event->arg1_text), (void *)arg1);
    event->arg2 = arg2;
    bpf_probe_read_user_str(event->arg2_text, sizeof(event->arg2_text), (void *)arg2);
    text_events.perf_submit(ctx, event, sizeof(*event));
    return 0;
}
