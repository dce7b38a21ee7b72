// Lengths of the names of a system: include/uapi/linux/utsname.h, Linux 6.1.
#ifndef DBCC_LINUX_UTSNAME_H
#define DBCC_LINUX_UTSNAME_H

#define __OLD_UTS_LEN 8
#define __NEW_UTS_LEN 64

#endif
