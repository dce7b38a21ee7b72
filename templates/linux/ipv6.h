// IPv6: include/uapi/linux/ipv6.h, Linux 6.1.
#ifndef DBCC_LINUX_IPV6_H
#define DBCC_LINUX_IPV6_H

#include <linux/in6.h>
#include <linux/skbuff.h>
#include <net/sock.h>

#define IPV6_MIN_MTU 1280
#define IPV6_SRCRT_STRICT 0x1
#define IPV6_SRCRT_TYPE_0 0
#define IPV6_SRCRT_TYPE_2 2
#define IPV6_SRCRT_TYPE_3 3
#define IPV6_SRCRT_TYPE_4 4
#define IPV6_OPT_ROUTERALERT_MLD 0x0

// include/linux/ipv6.h
#define inet6_sk(sk) (sk_fullsock(sk) ? ((struct inet_sock *)(sk))->pinet6 : (struct ipv6_pinfo *)NULL)
#define ipv6_hdr(skb) ((struct ipv6hdr *)skb_network_header(skb))

#endif
