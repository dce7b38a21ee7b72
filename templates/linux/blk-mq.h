// What <linux/blk-mq.h> includes.
#ifndef DBCC_LINUX_BLK_MQ_H
#define DBCC_LINUX_BLK_MQ_H

#include <linux/blkdev.h>

#endif
