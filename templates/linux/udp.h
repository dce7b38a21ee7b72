// UDP: include/uapi/linux/udp.h, Linux 6.1.
#ifndef DBCC_LINUX_UDP_H
#define DBCC_LINUX_UDP_H

#include <linux/skbuff.h>
#include <net/sock.h>

#define UDP_CORK 1
#define UDP_ENCAP 100
#define UDP_NO_CHECK6_TX 101
#define UDP_NO_CHECK6_RX 102
#define UDP_SEGMENT 103
#define UDP_GRO 104
#define UDP_ENCAP_ESPINUDP_NON_IKE 1
#define UDP_ENCAP_ESPINUDP 2
#define UDP_ENCAP_L2TPINUDP 3
#define UDP_ENCAP_GTP0 4
#define UDP_ENCAP_GTP1U 5
#define UDP_ENCAP_RXRPC 6

// include/linux/udp.h
#define udp_sk(sk) ((struct udp_sock *)(sk))
#define udp_hdr(skb) ((struct udphdr *)skb_transport_header(skb))

#endif
