// include/linux/types.h, Linux 6.1.
#ifndef DBCC_LINUX_TYPES_H
#define DBCC_LINUX_TYPES_H

#define rcu_head callback_head

#endif
