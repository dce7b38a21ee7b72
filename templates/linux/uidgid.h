// Users and groups: include/linux/uidgid.h, Linux 6.1.
#ifndef DBCC_LINUX_UIDGID_H
#define DBCC_LINUX_UIDGID_H

#define __kuid_val(uid) ((uid).val)
#define __kgid_val(gid) ((gid).val)

#endif
