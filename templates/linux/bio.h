// What <linux/bio.h> includes.
#ifndef DBCC_LINUX_BIO_H
#define DBCC_LINUX_BIO_H

#include <linux/blkdev.h>

#endif
