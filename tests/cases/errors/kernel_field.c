// The kernel's struct has no such field.
#include <net/sock.h>

BPF_HASH(peers, u32, u64);

int kprobe__tcp_sendmsg(struct pt_regs *ctx, struct sock *sk)
{
    u32 address = sk->__sk_common.skc_dadr; //~ error: skc_dadr; skc_daddr
    peers.increment(address);
    return 0;
}
