// One event for each new connection, in the dialect of BCC: the program that ci/bench gives to dbcc and to BCC.
#include <uapi/linux/ptrace.h>
#include <linux/sched.h>

struct connection {
    u32 process;
    u32 thread;
    u64 nanoseconds;
    char command[TASK_COMM_LEN];
};

BPF_PERF_OUTPUT(connections);

int on_connection(struct pt_regs *ctx)
{
    struct connection event = {};
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();

    event.process = task->tgid;
    event.thread = task->pid;
    event.nanoseconds = bpf_ktime_get_ns();
    bpf_get_current_comm(&event.command, sizeof(event.command));
    connections.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
