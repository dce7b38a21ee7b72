// More on the stack than the kernel allows.
struct event {
    char text[640];
};

BPF_PERF_OUTPUT(events);

int kprobe__tcp_sendmsg(struct pt_regs *ctx)
{
    struct event event = {}; //~ error: stack; 640; 512; event

    bpf_get_current_comm(&event.text, sizeof(event.text));
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
