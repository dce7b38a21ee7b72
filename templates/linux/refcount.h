// Reading counters: include/linux/refcount.h, Linux 6.1.
#ifndef DBCC_LINUX_REFCOUNT_H
#define DBCC_LINUX_REFCOUNT_H

#include <linux/atomic.h>

#define refcount_read(r) ((unsigned int)(r)->refs.counter)

#endif
