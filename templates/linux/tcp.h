// What <linux/tcp.h> includes.
#ifndef DBCC_LINUX_TCP_H
#define DBCC_LINUX_TCP_H

#include <net/sock.h>

#endif
