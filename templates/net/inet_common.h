// What <net/inet_common.h> includes.
#ifndef DBCC_NET_INET_COMMON_H
#define DBCC_NET_INET_COMMON_H

#include <net/inet_sock.h>

#endif
