// Reading counters: include/linux/atomic/atomic-instrumented.h, Linux 6.1.
#ifndef DBCC_LINUX_ATOMIC_H
#define DBCC_LINUX_ATOMIC_H

#define atomic_read(v) ((int)(v)->counter)
#define atomic64_read(v) ((s64)(v)->counter)
#define atomic_long_read(v) ((long)(v)->counter)

#endif
