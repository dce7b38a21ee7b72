// Flags of close_range: include/uapi/linux/close_range.h, Linux 6.1.
#ifndef DBCC_LINUX_CLOSE_RANGE_H
#define DBCC_LINUX_CLOSE_RANGE_H

#define CLOSE_RANGE_UNSHARE 0x2U
#define CLOSE_RANGE_CLOEXEC 0x4U

#endif
