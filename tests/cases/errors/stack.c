// More on the stack than the kernel allows.
struct event {
    char text[640];
};

BPF_PERF_OUTPUT(events);

int kprobe__tcp_sendmsg(struct pt_regs *ctx) //~ error: stack; 512
{
    struct event event = {};

    bpf_get_current_comm(&event.text, sizeof(event.text));
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
