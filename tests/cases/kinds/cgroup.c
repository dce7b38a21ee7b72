// Counts the packets to a UDP port of this machine as the programs of a cgroup see them: from the IP header on.
#include <linux/udp.h>

BPF_HASH(packets, u32, u64);

static int is_ours(struct __sk_buff *skb)
{
    struct iphdr ip = {};
    struct udphdr udp = {};

    bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip));
    bpf_skb_load_bytes(skb, sizeof(ip), &udp, sizeof(udp));
    return ip.version == 4 && ip.protocol == IPPROTO_UDP && udp.dest == htons(PORT);
}

int incoming(struct __sk_buff *skb)
{
    if (is_ours(skb))
        packets.atomic_increment(1);
    return 1;
}

int outgoing(struct __sk_buff *skb)
{
    if (is_ours(skb))
        packets.atomic_increment(2);
    return 1;
}
