// Datagrams on the loopback interface by the port that they go to: how many bytes, and the last TTL.
//@ attach socket:lo = look
//@ interval 1h
#include <bcc/proto.h>
BPF_HASH(bytes, u32, u64);
BPF_HASH(ttl, u32, u64);

#define IS_UDP(header) ((header)->nextp == 17 && (header)->ver == 4)

static inline u64 port_of(struct __sk_buff *packet, struct udp_t *header)
{
    return header->dport;
}

int look(struct __sk_buff *skb)
{
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    struct ip_t *ip;
    struct udp_t *udp;
    u32 port;
    u64 last;

    if (ethernet->type != 0x0800)
        return 0;
    ip = cursor_advance(cursor, sizeof(*ip));
    if (!IS_UDP(ip))
        return 0;
    cursor_advance(cursor, (ip->hlen << 2) - sizeof(*ip));
    udp = cursor_advance(cursor, sizeof(*udp));
    port = port_of(skb, udp);
    last = ip->ttl;
    bytes.increment(port, udp->length - sizeof(*udp));
    ttl.update(&port, &last);
    return 0;
}
