// A program of each kind that the type of its context tells: verified, not attached.
int packets_at_the_driver(struct xdp_md *ctx)
{
    return XDP_PASS;
}

int packets_of_a_socket(struct __sk_buff *skb)
{
    return skb->len > 64 ? -1 : 0;
}

int packets_of_traffic_control(struct __sk_buff *skb)
{
    void *start = (void *)(long)skb->data;
    void *end = (void *)(long)skb->data_end;

    skb->mark = 3;
    return start + 14 > end ? TC_ACT_OK : TC_ACT_UNSPEC;
}

int samples(struct bpf_perf_event_data *ctx)
{
    return PT_REGS_IP(&ctx->regs) == ctx->addr + ctx->sample_period;
}

int calls_of_a_tracepoint(struct bpf_raw_tracepoint_args *ctx)
{
    return ctx->args[0] == 1;
}

int records_of_a_tracepoint(struct tracepoint__sched__sched_switch *args)
{
    return args->prev_pid == args->next_pid;
}

int objects(struct bpf_iter__task *ctx)
{
    return 0;
}

int connections(struct bpf_sock_ops *ops)
{
    return ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB;
}

int messages(struct sk_msg_md *message)
{
    return SK_PASS;
}

int options(struct bpf_sockopt *ctx)
{
    return ctx->level == 1;
}

int addresses(struct bpf_sock_addr *ctx)
{
    return ctx->user_port != 0;
}

int sockets(struct bpf_sock *ctx)
{
    return ctx->family != 0;
}

int settings(struct bpf_sysctl *ctx)
{
    return ctx->write == 0;
}

int devices(struct bpf_cgroup_dev_ctx *ctx)
{
    return ctx->major == 1;
}

int lookups(struct bpf_sk_lookup *ctx)
{
    return ctx->local_port != 1;
}

int groups(struct sk_reuseport_md *ctx)
{
    return SK_PASS;
}
