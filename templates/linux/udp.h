// What <linux/udp.h> includes.
#ifndef DBCC_LINUX_UDP_H
#define DBCC_LINUX_UDP_H

#include <net/sock.h>

#endif
