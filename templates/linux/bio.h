// What <linux/bio.h> includes, and its macros, Linux 6.1.
#ifndef DBCC_LINUX_BIO_H
#define DBCC_LINUX_BIO_H

#include <linux/blkdev.h>

#define bio_sectors(bio) ((bio)->bi_iter.bi_size >> SECTOR_SHIFT)
#define bio_end_sector(bio) ((bio)->bi_iter.bi_sector + bio_sectors(bio))
#define bio_data_dir(bio) (op_is_write(bio_op(bio)) ? WRITE : READ)

#endif
