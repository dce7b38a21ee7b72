// Internet addresses: include/uapi/linux/in.h, Linux 6.1. IPPROTO_* are enumerators.
#ifndef DBCC_LINUX_IN_H
#define DBCC_LINUX_IN_H

#define INADDR_ANY 0x00000000U
#define INADDR_BROADCAST 0xffffffffU
#define INADDR_NONE 0xffffffffU
#define INADDR_LOOPBACK 0x7f000001U

#endif
