// Errors in pointers: include/linux/err.h, Linux 6.1.
#ifndef DBCC_LINUX_ERR_H
#define DBCC_LINUX_ERR_H

#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) unlikely((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
#define IS_ERR(pointer) ((bool)IS_ERR_VALUE((unsigned long)(pointer)))
#define IS_ERR_OR_NULL(pointer) ((bool)(!(pointer) || IS_ERR_VALUE((unsigned long)(pointer))))
#define PTR_ERR(pointer) ((long)(pointer))
#define ERR_PTR(error) ((void *)(long)(error))
#define PTR_ERR_OR_ZERO(pointer) ((int)(IS_ERR(pointer) ? PTR_ERR(pointer) : 0))

#endif
