// Members of struct in6_addr: include/uapi/linux/in6.h, Linux 6.1.
#ifndef DBCC_LINUX_IN6_H
#define DBCC_LINUX_IN6_H

#define s6_addr in6_u.u6_addr8
#define s6_addr16 in6_u.u6_addr16
#define s6_addr32 in6_u.u6_addr32

#endif
