// What <net/tcp.h> includes.
#ifndef DBCC_NET_TCP_H
#define DBCC_NET_TCP_H

#include <linux/tcp.h>
#include <net/inet_sock.h>

#endif
