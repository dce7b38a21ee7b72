// What <linux/blk_types.h> includes.
#ifndef DBCC_LINUX_BLK_TYPES_H
#define DBCC_LINUX_BLK_TYPES_H

#include <linux/blkdev.h>

#endif
