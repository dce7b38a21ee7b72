// Modes of an open file: include/linux/fs.h; READ, WRITE: include/linux/kernel.h; the others:
// include/uapi/linux/fs.h, Linux 6.1. Only values that did not change since 5.10.
#ifndef DBCC_LINUX_FS_H
#define DBCC_LINUX_FS_H

#include <linux/stat.h>

#define FMODE_READ ((fmode_t)0x1)
#define FMODE_WRITE ((fmode_t)0x2)
#define FMODE_LSEEK ((fmode_t)0x4)
#define FMODE_PREAD ((fmode_t)0x8)
#define FMODE_PWRITE ((fmode_t)0x10)
#define FMODE_EXEC ((fmode_t)0x20)
#define FMODE_PATH ((fmode_t)0x4000)
#define FMODE_ATOMIC_POS ((fmode_t)0x8000)
#define FMODE_WRITER ((fmode_t)0x10000)
#define FMODE_CAN_READ ((fmode_t)0x20000)
#define FMODE_CAN_WRITE ((fmode_t)0x40000)
#define FMODE_OPENED ((fmode_t)0x80000)
#define FMODE_CREATED ((fmode_t)0x100000)
#define FMODE_STREAM ((fmode_t)0x200000)
#define FMODE_NOWAIT ((fmode_t)0x8000000)
#define FMODE_NEED_UNMOUNT ((fmode_t)0x10000000)
#define FMODE_NOACCOUNT ((fmode_t)0x20000000)

#define READ 0
#define WRITE 1

#define MAY_EXEC 0x00000001
#define MAY_WRITE 0x00000002
#define MAY_READ 0x00000004
#define MAY_APPEND 0x00000008
#define MAY_ACCESS 0x00000010
#define MAY_OPEN 0x00000020
#define MAY_CHDIR 0x00000040
#define MAY_NOT_BLOCK 0x00000080

#define ATTR_MODE (1 << 0)
#define ATTR_UID (1 << 1)
#define ATTR_GID (1 << 2)
#define ATTR_SIZE (1 << 3)
#define ATTR_ATIME (1 << 4)
#define ATTR_MTIME (1 << 5)
#define ATTR_CTIME (1 << 6)

#define IOCB_APPEND ((int)RWF_APPEND)
#define IOCB_NOWAIT ((int)RWF_NOWAIT)
#define IOCB_HIPRI ((int)RWF_HIPRI)
#define IOCB_DSYNC ((int)RWF_DSYNC)
#define IOCB_SYNC ((int)RWF_SYNC)
#define IOCB_EVENTFD (1 << 16)
#define IOCB_DIRECT (1 << 17)
#define IOCB_WRITE (1 << 18)

#define file_inode(file) ((file)->f_inode)

#define INR_OPEN_CUR 1024
#define INR_OPEN_MAX 4096
#define BLOCK_SIZE_BITS 10
#define BLOCK_SIZE 0x400
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define SEEK_DATA 3
#define SEEK_HOLE 4
#define SEEK_MAX 4
#define RENAME_NOREPLACE 0x1
#define RENAME_EXCHANGE 0x2
#define RENAME_WHITEOUT 0x4
#define FILE_DEDUPE_RANGE_SAME 0
#define FILE_DEDUPE_RANGE_DIFFERS 1
#define NR_FILE 8192
#define FS_XFLAG_REALTIME 0x1
#define FS_XFLAG_PREALLOC 0x2
#define FS_XFLAG_IMMUTABLE 0x8
#define FS_XFLAG_APPEND 0x10
#define FS_XFLAG_SYNC 0x20
#define FS_XFLAG_NOATIME 0x40
#define FS_XFLAG_NODUMP 0x80
#define FS_XFLAG_RTINHERIT 0x100
#define FS_XFLAG_PROJINHERIT 0x200
#define FS_XFLAG_NOSYMLINKS 0x400
#define FS_XFLAG_EXTSIZE 0x800
#define FS_XFLAG_EXTSZINHERIT 0x1000
#define FS_XFLAG_NODEFRAG 0x2000
#define FS_XFLAG_FILESTREAM 0x4000
#define FS_XFLAG_DAX 0x8000
#define FS_XFLAG_COWEXTSIZE 0x10000
#define FS_XFLAG_HASATTR 0x80000000U
#define FS_IOC_GETFLAGS 0x80086601UL
#define FS_IOC_SETFLAGS 0x40086602UL
#define FS_IOC_GETVERSION 0x80087601UL
#define FS_IOC_SETVERSION 0x40087602UL
#define FS_IOC32_GETFLAGS 0x80046601UL
#define FS_IOC32_SETFLAGS 0x40046602UL
#define FS_IOC32_GETVERSION 0x80047601UL
#define FS_IOC32_SETVERSION 0x40047602UL
#define FS_IOC_GETFSLABEL 0x81009431UL
#define FS_IOC_SETFSLABEL 0x41009432UL
#define FS_SECRM_FL 0x1
#define FS_UNRM_FL 0x2
#define FS_COMPR_FL 0x4
#define FS_SYNC_FL 0x8
#define FS_IMMUTABLE_FL 0x10
#define FS_APPEND_FL 0x20
#define FS_NODUMP_FL 0x40
#define FS_NOATIME_FL 0x80
#define FS_DIRTY_FL 0x100
#define FS_COMPRBLK_FL 0x200
#define FS_NOCOMP_FL 0x400
#define FS_ENCRYPT_FL 0x800
#define FS_BTREE_FL 0x1000
#define FS_INDEX_FL 0x1000
#define FS_IMAGIC_FL 0x2000
#define FS_JOURNAL_DATA_FL 0x4000
#define FS_NOTAIL_FL 0x8000
#define FS_DIRSYNC_FL 0x10000
#define FS_TOPDIR_FL 0x20000
#define FS_HUGE_FILE_FL 0x40000
#define FS_EXTENT_FL 0x80000
#define FS_VERITY_FL 0x100000
#define FS_EA_INODE_FL 0x200000
#define FS_EOFBLOCKS_FL 0x400000
#define FS_NOCOW_FL 0x800000
#define FS_DAX_FL 0x2000000
#define FS_INLINE_DATA_FL 0x10000000
#define FS_PROJINHERIT_FL 0x20000000
#define FS_CASEFOLD_FL 0x40000000
#define FS_RESERVED_FL 0x80000000U
#define SYNC_FILE_RANGE_WAIT_BEFORE 1
#define SYNC_FILE_RANGE_WRITE 2
#define SYNC_FILE_RANGE_WAIT_AFTER 4
#define SYNC_FILE_RANGE_WRITE_AND_WAIT 7
#define RWF_HIPRI 0x1
#define RWF_DSYNC 0x2
#define RWF_SYNC 0x4
#define RWF_NOWAIT 0x8
#define RWF_APPEND 0x10

#endif
