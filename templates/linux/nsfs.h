// Requests of ioctl on namespaces: include/uapi/linux/nsfs.h, Linux 6.1.
#ifndef DBCC_LINUX_NSFS_H
#define DBCC_LINUX_NSFS_H

#define NS_GET_USERNS 0xb701U
#define NS_GET_PARENT 0xb702U
#define NS_GET_NSTYPE 0xb703U
#define NS_GET_OWNER_UID 0xb704U

#endif
