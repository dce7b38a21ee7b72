// The IPv6 side of a socket: include/linux/ipv6.h, Linux 6.1.
#ifndef DBCC_LINUX_IPV6_H
#define DBCC_LINUX_IPV6_H

#include <linux/in6.h>

#define inet6_sk(sk) BPF_CORE_READ((const struct inet_sock *)(sk), pinet6)

#endif
