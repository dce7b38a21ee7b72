// What <net/inet_connection_sock.h> includes, and its cast (see <linux/tcp.h>), Linux 6.1.
#ifndef DBCC_NET_INET_CONNECTION_SOCK_H
#define DBCC_NET_INET_CONNECTION_SOCK_H

#include <net/inet_sock.h>

#define inet_csk(sk) ((struct inet_connection_sock *)(sk))

#endif
