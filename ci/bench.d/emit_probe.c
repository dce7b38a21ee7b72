// 32 events of 40 bytes for each hit.
// BCC needs to be told where the registers are declared.
#include <uapi/linux/ptrace.h>

struct event_t {
    u64 number;
    u64 ns;
    u32 pid;
    u32 tid;
    char comm[16];
};

BPF_PERF_OUTPUT(events);

int on_hit(struct pt_regs *ctx)
{
    struct event_t event = {};
    u64 id = bpf_get_current_pid_tgid();

    event.number = PT_REGS_PARM1(ctx) * 32;
    event.ns = bpf_ktime_get_ns();
    event.pid = id >> 32;
    event.tid = (u32)id;
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
#pragma unroll
    for (int i = 0; i < 32; i++) {
        events.perf_submit(ctx, &event, sizeof(event));
        event.number++;
    }
    return 0;
}
