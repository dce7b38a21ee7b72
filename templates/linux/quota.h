// Quotas: include/uapi/linux/quota.h, Linux 6.1.
#ifndef DBCC_LINUX_QUOTA_H
#define DBCC_LINUX_QUOTA_H

#define USRQUOTA 0
#define GRPQUOTA 1
#define PRJQUOTA 2
#define Q_SYNC 0x800001
#define Q_QUOTAON 0x800002
#define Q_QUOTAOFF 0x800003
#define Q_GETFMT 0x800004
#define Q_GETINFO 0x800005
#define Q_SETINFO 0x800006
#define Q_GETQUOTA 0x800007
#define Q_SETQUOTA 0x800008
#define Q_GETNEXTQUOTA 0x800009

#endif
