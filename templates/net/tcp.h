// What <net/tcp.h> includes; flags of TCP: include/net/tcp.h, Linux 6.1. The data of TCP in a packet: struct
// tcp_skb_cb.
#ifndef DBCC_NET_TCP_H
#define DBCC_NET_TCP_H

#include <linux/tcp.h>
#include <net/inet_connection_sock.h>

#define TCPHDR_FIN 0x01
#define TCPHDR_SYN 0x02
#define TCPHDR_RST 0x04
#define TCPHDR_PSH 0x08
#define TCPHDR_ACK 0x10
#define TCPHDR_URG 0x20
#define TCPHDR_ECE 0x40
#define TCPHDR_CWR 0x80
#define TCPHDR_SYN_ECN (TCPHDR_SYN | TCPHDR_ECE | TCPHDR_CWR)

#define TCP_SKB_CB(skb) ((struct tcp_skb_cb *)&((skb)->cb[0]))
#define tcp_flag_byte(header) (((u8 *)(header))[13])
#define tcp_in_initial_slowstart(tp) ((bool)((tp)->snd_ssthresh >= TCP_INFINITE_SSTHRESH))
#define TCP_INFINITE_SSTHRESH 0x7fffffff
#define TCP_INIT_CWND 10
#define TCP_MIN_MSS 88U
#define MAX_TCP_WINDOW 32767U

#endif
