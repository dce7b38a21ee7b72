// execsnoop: one line for each program that is started, however short it lives.
//
//     dbcc execsnoop                       all of them
//     dbcc execsnoop --pid $(pidof crond)  what this process starts, and what that starts in turn
//
// Commands of scripts and monitoring that end within milliseconds are not seen by `top`. An execve() that fails starts
// no program and has no line. exitsnoop tells how they ended.
//
//@ hide scratch

#include <linux/sched.h>

#define ARGS 384
#define ANCESTORS 16

struct program {
    u32 pid;
    u32 ppid;
    u32 uid;
    char parent[TASK_COMM_LEN];
    char comm[TASK_COMM_LEN];
    char args[ARGS]; // how /proc/PID/cmdline begins, with spaces
};

// Larger than the stack allows with anything beside it.
BPF_PERCPU_ARRAY(scratch, struct program, 1);
BPF_PERF_OUTPUT(programs);

// Whether neither the process nor one that it descends from is asked for.
static int is_filtered_out(struct task_struct *task)
{
    for (int i = 0; i < ANCESTORS; i++) {
        if (!FILTER_PID_OF(task->tgid))
            return 0;
        task = task->real_parent;
    }
    return 1;
}

// The command line of a program that has just been started, from its memory.
static void read_args(struct task_struct *task, char *args)
{
    u64 start = task->mm->arg_start, length = task->mm->arg_end - start;

    __builtin_memset(args, 0, ARGS);
    if (length > ARGS - 1)
        length = ARGS - 1;
    bpf_probe_read_user(args, length, (void *)start);
    for (u32 i = 0; i < ARGS && i + 1 < length; i++) {
        if (!args[i])
            args[i] = ' ';
    }
}

TRACEPOINT_PROBE(sched, sched_process_exec)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct program *program;
    u32 zero = 0;

    program = scratch.lookup(&zero);
    if (!program || is_filtered_out(task))
        return 0;
    program->pid = task->tgid;
    program->ppid = task->real_parent->tgid;
    program->uid = bpf_get_current_uid_gid();
    bpf_probe_read_kernel_str(program->parent, sizeof(program->parent), task->real_parent->comm);
    bpf_get_current_comm(program->comm, sizeof(program->comm));
    read_args(task, program->args);
    programs.perf_submit(args, program, sizeof(*program));
    return 0;
}
