// What <net/ip.h> includes.
#ifndef DBCC_NET_IP_H
#define DBCC_NET_IP_H

#include <net/inet_sock.h>

#endif
