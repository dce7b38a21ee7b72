// Reading counters: include/linux/kref.h, Linux 6.1.
#ifndef DBCC_LINUX_KREF_H
#define DBCC_LINUX_KREF_H

#include <linux/refcount.h>

#define kref_read(kref) refcount_read(&(kref)->refcount)

#endif
