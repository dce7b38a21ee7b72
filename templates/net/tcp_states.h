// What <net/tcp_states.h> includes.
#ifndef DBCC_NET_TCP_STATES_H
#define DBCC_NET_TCP_STATES_H

#include <net/inet_sock.h>

#endif
