// What <net/inet_connection_sock.h> includes.
#ifndef DBCC_NET_INET_CONNECTION_SOCK_H
#define DBCC_NET_INET_CONNECTION_SOCK_H

#include <net/inet_sock.h>

#endif
