// Members and null: include/linux/stddef.h, Linux 6.1. NULL and offsetof are in the preamble. The enumerators of
// `bool` are macros, as C11's stdbool.h has them.
#ifndef DBCC_LINUX_STDDEF_H
#define DBCC_LINUX_STDDEF_H

#define true 1
#define false 0

#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define offsetofend(type, member) (offsetof(type, member) + sizeof_field(type, member))

#endif
