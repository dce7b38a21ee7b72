// Block devices: include/linux/blkdev.h and, up to 5.17, include/linux/genhd.h; include/linux/blk-mq.h, Linux 6.1.
#ifndef DBCC_LINUX_BLKDEV_H
#define DBCC_LINUX_BLKDEV_H

#include <linux/blk_types.h>
#include <linux/kdev_t.h>

#define DISK_NAME_LEN 32
#define BDEVNAME_SIZE 32

#define disk_devt(disk) ((dev_t)MKDEV((disk)->major, (disk)->first_minor))

#endif
