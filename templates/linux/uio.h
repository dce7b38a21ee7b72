// Limits of vectored I/O: include/uapi/linux/uio.h, Linux 6.1.
#ifndef DBCC_LINUX_UIO_H
#define DBCC_LINUX_UIO_H

#define UIO_FASTIOV 8
#define UIO_MAXIOV 1024

#endif
