// How paths are resolved: include/uapi/linux/openat2.h, Linux 6.1.
#ifndef DBCC_LINUX_OPENAT2_H
#define DBCC_LINUX_OPENAT2_H

#define RESOLVE_NO_XDEV 0x1
#define RESOLVE_NO_MAGICLINKS 0x2
#define RESOLVE_NO_SYMLINKS 0x4
#define RESOLVE_BENEATH 0x8
#define RESOLVE_IN_ROOT 0x10
#define RESOLVE_CACHED 0x20

#endif
