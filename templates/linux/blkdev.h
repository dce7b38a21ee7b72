// Block devices: DISK_NAME_LEN is in include/linux/genhd.h up to 5.17 and in include/linux/blkdev.h since, REQ_OP_* in
// include/linux/blk_types.h, Linux 6.1. The operations themselves (REQ_OP_READ, …) are enumerators.
#ifndef DBCC_LINUX_BLKDEV_H
#define DBCC_LINUX_BLKDEV_H

#include <linux/fs.h>

#define DISK_NAME_LEN 32
#define REQ_OP_BITS 8
#define REQ_OP_MASK ((1 << REQ_OP_BITS) - 1)

#endif
