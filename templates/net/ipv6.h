// What <net/ipv6.h> includes.
#ifndef DBCC_NET_IPV6_H
#define DBCC_NET_IPV6_H

#include <linux/ipv6.h>
#include <net/inet_sock.h>

#endif
