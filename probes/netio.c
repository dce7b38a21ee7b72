// netio: bytes that a process sends and receives over TCP, once a second.
//
//     dbcc --pid $(pidof mysqld) netio
//
// Sent bytes are what tcp_sendmsg() returns, received bytes what tcp_cleanup_rbuf() is told was copied to the user.
// A kernel without kprobes and without fentry has the same numbers at the tracepoints of the socket layer.
//
//@ interval 1s
//@ print netio: time pid=key.pid type=key.type total=value per_sec=value/s

#include <linux/in.h>
#include <linux/socket.h>

enum direction {
    sendMsg = 1,
    recvMsg = 2,
};

struct netio_key {
    u32 pid;
    enum direction type;
};

BPF_HASH(netio, struct netio_key, u64);

// Threads of one process race for one counter, so the addition is atomic.
static void count(enum direction type, long bytes)
{
    struct netio_key key = {};
    u64 zero = 0, *total;

    if (FILTER_PID || bytes <= 0)
        return;
    key.pid = bpf_get_current_pid_tgid() >> 32;
    key.type = type;
    total = netio.lookup_or_try_init(&key, &zero);
    if (total)
        __sync_fetch_and_add(total, bytes);
}

#if defined(DBCC_HAVE_FENTRY) || defined(DBCC_HAVE_KPROBE)

int kretprobe__tcp_sendmsg(struct pt_regs *ctx)
{
    count(sendMsg, (int)PT_REGS_RC(ctx));
    return 0;
}

int kprobe__tcp_cleanup_rbuf(struct pt_regs *ctx, struct sock *sk, int copied)
{
    count(recvMsg, copied);
    return 0;
}

#elif defined(DBCC_HAVE_TRACEPOINT__sock__sock_send_length) && defined(DBCC_HAVE_TRACEPOINT__sock__sock_recv_length)

TRACEPOINT_PROBE(sock, sock_send_length)
{
    if (args->protocol == IPPROTO_TCP)
        count(sendMsg, args->ret);
    return 0;
}

TRACEPOINT_PROBE(sock, sock_recv_length)
{
    // What is only looked at is received later.
    if (args->protocol == IPPROTO_TCP && !(args->flags & MSG_PEEK))
        count(recvMsg, args->ret);
    return 0;
}

#else
#error netio finds nothing to attach to: no kprobes, no fentry, no tracepoints sock:sock_send_length and sock:sock_recv_length
#endif
