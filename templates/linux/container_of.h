// include/linux/container_of.h, Linux 6.2: container_of itself is in the preamble.
#ifndef DBCC_LINUX_CONTAINER_OF_H
#define DBCC_LINUX_CONTAINER_OF_H

#define container_of_const(ptr, type, member) container_of(ptr, type, member)

#endif
