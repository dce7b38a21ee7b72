// Requests: include/linux/blk-mq.h, Linux 6.1.
#ifndef DBCC_LINUX_BLK_MQ_H
#define DBCC_LINUX_BLK_MQ_H

#include <linux/blkdev.h>

#define req_op(request) ((request)->cmd_flags & REQ_OP_MASK)
#define rq_data_dir(request) (op_is_write(req_op(request)) ? WRITE : READ)
#define blk_rq_pos(request) ((request)->__sector)
#define blk_rq_bytes(request) ((request)->__data_len)
#define blk_rq_sectors(request) ((request)->__data_len >> SECTOR_SHIFT)

#endif
