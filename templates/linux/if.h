// Interfaces: include/uapi/linux/if.h, Linux 6.1.
#ifndef DBCC_LINUX_IF_H
#define DBCC_LINUX_IF_H

#define IFNAMSIZ 16
#define IFALIASZ 256
#define IF_IFACE_V35 0x1000
#define IF_IFACE_V24 0x1001
#define IF_IFACE_X21 0x1002
#define IF_IFACE_T1 0x1003
#define IF_IFACE_E1 0x1004
#define IF_IFACE_SYNC_SERIAL 0x1005
#define IF_IFACE_X21D 0x1006
#define IFHWADDRLEN 6

#endif
