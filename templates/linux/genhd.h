// What <linux/genhd.h> includes.
#ifndef DBCC_LINUX_GENHD_H
#define DBCC_LINUX_GENHD_H

#include <linux/blkdev.h>

#endif
