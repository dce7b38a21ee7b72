// Unix sockets: include/uapi/linux/un.h, Linux 6.1.
#ifndef DBCC_LINUX_UN_H
#define DBCC_LINUX_UN_H

#define UNIX_PATH_MAX 108

#endif
