// Modes of an open file: include/linux/fs.h; READ, WRITE: include/linux/kernel.h, Linux 6.1. Only values that did not
// change since 5.10.
#ifndef DBCC_LINUX_FS_H
#define DBCC_LINUX_FS_H

#define FMODE_READ ((fmode_t)0x1)
#define FMODE_WRITE ((fmode_t)0x2)
#define FMODE_LSEEK ((fmode_t)0x4)
#define FMODE_PREAD ((fmode_t)0x8)
#define FMODE_PWRITE ((fmode_t)0x10)
#define FMODE_EXEC ((fmode_t)0x20)
#define FMODE_OPENED ((fmode_t)0x80000)
#define FMODE_CREATED ((fmode_t)0x100000)

#define READ 0
#define WRITE 1

#endif
