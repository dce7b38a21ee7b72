// exitsnoop: one line for each process that ends, with how long it lived and how it ended.
//
//     dbcc exitsnoop                       all of them
//     dbcc exitsnoop --pid $(pidof crond)  this process, what it started, and what that started in turn
//
// A process ends with the last of its threads. `code` is what it gave to exit(), `signal` what killed it. A process that was
// only forked, and has no line of execsnoop, has one here.
//
//@ hide reported

#include <linux/sched.h>
#include <linux/sched/signal.h>

#define ANCESTORS 16
#define DUMPED 0x80

struct end {
    u32 pid;
    u32 ppid;
    u32 uid;
    char parent[TASK_COMM_LEN];
    char comm[TASK_COMM_LEN];
    u64 lived_us;
    u8 code;
    u8 signal;
    bool core_dumped;
};

struct process {
    u64 start;
    u64 pid;
};

BPF_PERF_OUTPUT(ends);
BPF_LRU_HASH(reported, struct process, u8, 16384);

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

// Whether this is the first of the process's threads to come here after the last one was counted out: of two that end
// at once both may find none left.
static int is_last(struct task_struct *leader)
{
    struct process process = {};
    u8 yes = 1;

    process.start = leader->start_time;
    process.pid = leader->tgid;
    return !reported.insert(&process, &yes);
}

// What wait() reports: of the whole process if it was ended as a whole, else of its first thread.
static u32 status_of(struct task_struct *leader)
{
    if (leader->signal->flags & SIGNAL_GROUP_EXIT)
        return leader->signal->group_exit_code;
    return leader->exit_code;
}

TRACEPOINT_PROBE(sched, sched_process_exit)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct task_struct *leader = task->group_leader;
    struct end end = {};
    u32 status;

    if (task->signal->live.counter != 0 || is_filtered_out(leader) || !is_last(leader))
        return 0;
    status = status_of(leader);
    end.pid = leader->tgid;
    end.ppid = leader->real_parent->tgid;
    end.uid = bpf_get_current_uid_gid();
    bpf_probe_read_kernel_str(end.parent, sizeof(end.parent), leader->real_parent->comm);
    bpf_probe_read_kernel_str(end.comm, sizeof(end.comm), leader->comm);
    end.lived_us = (bpf_ktime_get_ns() - leader->start_time) / 1000;
    end.code = status >> 8;
    end.signal = status & (DUMPED - 1);
    end.core_dumped = !!(status & DUMPED);
    ends.perf_submit(args, &end, sizeof(end));
    return 0;
}
