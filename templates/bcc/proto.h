// Headers of network protocols as BCC's probes name their fields. A pointer to one is a place in a packet, made by
// cursor_advance(); what is read through it is loaded from the packet, in the byte order of the machine. Bit fields are
// counted from the most significant bit on, in the order of the protocol.
#ifndef DBCC_BCC_PROTO_H
#define DBCC_BCC_PROTO_H

// Marks a struct as a header of a packet, also for headers that a probe declares itself.
#ifdef DBCC_PARSE
#define BPF_PACKET_HEADER __attribute__((packed)) __attribute__((annotate("dbcc:packet")))
#else
#define BPF_PACKET_HEADER __attribute__((packed))
#endif

// IEEE 802.3
struct ethernet_t {
    unsigned long long dst:48;
    unsigned long long src:48;
    unsigned int type:16;
} BPF_PACKET_HEADER;

// IEEE 802.1Q, behind the type 0x8100 of the Ethernet header: priority, drop eligible, VLAN, and the type of what follows
struct dot1q_t {
    unsigned short pri:3;
    unsigned short cfi:1;
    unsigned short vlanid:12;
    unsigned short type;
} BPF_PACKET_HEADER;

// RFC 826, for Ethernet and IPv4
struct arp_t {
    unsigned short htype;
    unsigned short ptype;
    unsigned char hlen;
    unsigned char plen;
    unsigned short oper;
    unsigned long long sha:48;
    unsigned long long spa:32;
    unsigned long long tha:48;
    unsigned int tpa;
} BPF_PACKET_HEADER;

// RFC 791, 3.1
struct ip_t {
    unsigned char ver:4;
    unsigned char hlen:4; // in words of 4 bytes
    unsigned char tos;
    unsigned short tlen;
    unsigned short identification;
    unsigned short ffo_unused:1;
    unsigned short df:1;
    unsigned short mf:1;
    unsigned short foffset:13;
    unsigned char ttl;
    unsigned char nextp;
    unsigned short hchecksum;
    unsigned int src;
    unsigned int dst;
} BPF_PACKET_HEADER;

// RFC 792
struct icmp_t {
    unsigned char type;
    unsigned char code;
    unsigned short checksum;
} BPF_PACKET_HEADER;

// RFC 8200, 3
struct ip6_t {
    unsigned int ver:4;
    unsigned int priority:8;
    unsigned int flow_label:20;
    unsigned short payload_len;
    unsigned char next_header;
    unsigned char hop_limit;
    unsigned long long src_hi;
    unsigned long long src_lo;
    unsigned long long dst_hi;
    unsigned long long dst_lo;
} BPF_PACKET_HEADER;

// RFC 8200, 4: the start of an extension header
struct ip6_opt_t {
    unsigned char next_header;
    unsigned char ext_len;
    unsigned char pad[6];
} BPF_PACKET_HEADER;

// RFC 4443, 2.1
struct icmp6_t {
    unsigned char type;
    unsigned char code;
    unsigned short checksum;
} BPF_PACKET_HEADER;

// RFC 768
struct udp_t {
    unsigned short sport;
    unsigned short dport;
    unsigned short length;
    unsigned short crc;
} BPF_PACKET_HEADER;

// RFC 9293, 3.1
struct tcp_t {
    unsigned short src_port;
    unsigned short dst_port;
    unsigned int seq_num;
    unsigned int ack_num;
    unsigned char offset:4; // in words of 4 bytes
    unsigned char reserved:4;
    unsigned char flag_cwr:1;
    unsigned char flag_ece:1;
    unsigned char flag_urg:1;
    unsigned char flag_ack:1;
    unsigned char flag_psh:1;
    unsigned char flag_rst:1;
    unsigned char flag_syn:1;
    unsigned char flag_fin:1;
    unsigned short rcv_wnd;
    unsigned short cksum;
    unsigned short urg_ptr;
} BPF_PACKET_HEADER;

// RFC 7348, 5
struct vxlan_t {
    unsigned int rsv1:4;
    unsigned int iflag:1;
    unsigned int rsv2:3;
    unsigned int rsv3:24;
    unsigned int key:24;
    unsigned int rsv4:8;
} BPF_PACKET_HEADER;

// draft-smith-vxlan-group-policy, 2.1
struct vxlan_gbp_t {
    unsigned int gflag:1;
    unsigned int rsv1:3;
    unsigned int iflag:1;
    unsigned int rsv2:3;
    unsigned int rsv3:1;
    unsigned int dflag:1;
    unsigned int rsv4:1;
    unsigned int aflag:1;
    unsigned int rsv5:3;
    unsigned int tag:16;
    unsigned int key:24;
    unsigned int rsv6:8;
} BPF_PACKET_HEADER;

#endif
