// Names of interfaces: include/uapi/linux/if.h, Linux 6.1.
#ifndef DBCC_LINUX_IF_H
#define DBCC_LINUX_IF_H

#define IFNAMSIZ 16
#define IFALIASZ 256

#endif
