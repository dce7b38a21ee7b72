// Counts the packets to a UDP port of this machine, as each kind sees them.
#include <linux/if_ether.h>
#include <linux/udp.h>

BPF_HASH(packets, u32, u64);

static int is_ours(void *start, void *end)
{
    struct ethhdr *ethernet = start;
    struct iphdr *ip = start + sizeof(*ethernet);
    struct udphdr *udp = (void *)ip + sizeof(*ip);

    if ((void *)udp + sizeof(*udp) > end)
        return 0;
    return ethernet->h_proto == htons(ETH_P_IP) && ip->protocol == IPPROTO_UDP && udp->dest == htons(PORT);
}

int driver(struct xdp_md *ctx)
{
    if (is_ours((void *)(long)ctx->data, (void *)(long)ctx->data_end))
        packets.atomic_increment(1);
    return XDP_PASS;
}

int incoming(struct __sk_buff *skb)
{
    if (is_ours((void *)(long)skb->data, (void *)(long)skb->data_end))
        packets.atomic_increment(2);
    return TC_ACT_UNSPEC;
}

int outgoing(struct __sk_buff *skb)
{
    if (is_ours((void *)(long)skb->data, (void *)(long)skb->data_end))
        packets.atomic_increment(3);
    return TC_ACT_UNSPEC;
}

// A packet socket of the loopback interface sees each packet as it leaves and as it comes.
int raw(struct __sk_buff *skb)
{
    u16 port = 0;
    u8 protocol = 0;

    bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + offsetof(struct iphdr, protocol), &protocol, sizeof(protocol));
    bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + sizeof(struct iphdr) + offsetof(struct udphdr, dest), &port,
                       sizeof(port));
    if (protocol == IPPROTO_UDP && port == htons(PORT))
        packets.atomic_increment(4);
    return 0;
}
