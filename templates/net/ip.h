// What <net/ip.h> includes; fragments of IP: include/net/ip.h, Linux 6.1.
#ifndef DBCC_NET_IP_H
#define DBCC_NET_IP_H

#include <linux/ip.h>
#include <net/inet_sock.h>

#define IP_CE 0x8000
#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1FFF

#endif
