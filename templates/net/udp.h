// What <net/udp.h> includes.
#ifndef DBCC_NET_UDP_H
#define DBCC_NET_UDP_H

#include <linux/udp.h>
#include <net/inet_sock.h>

#endif
