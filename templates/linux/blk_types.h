// Block requests: include/linux/blk_types.h, Linux 6.1. The operations (REQ_OP_READ, …) and the numbers of the flags
// are enumerators.
#ifndef DBCC_LINUX_BLK_TYPES_H
#define DBCC_LINUX_BLK_TYPES_H

#include <linux/fs.h>

#define SECTOR_SHIFT 9
#define SECTOR_SIZE (1 << SECTOR_SHIFT)
#define REQ_OP_BITS 8

// Of type blk_opf_t since 6.0.
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
#define DBCC_REQ(bit) ((blk_opf_t)(1ULL << (bit)))
#define REQ_OP_MASK ((blk_opf_t)((1 << REQ_OP_BITS) - 1))
#else
#define DBCC_REQ(bit) (1ULL << (bit))
#define REQ_OP_MASK ((1 << REQ_OP_BITS) - 1)
#endif
#define REQ_FAILFAST_DEV DBCC_REQ(__REQ_FAILFAST_DEV)
#define REQ_FAILFAST_TRANSPORT DBCC_REQ(__REQ_FAILFAST_TRANSPORT)
#define REQ_FAILFAST_DRIVER DBCC_REQ(__REQ_FAILFAST_DRIVER)
#define REQ_SYNC DBCC_REQ(__REQ_SYNC)
#define REQ_META DBCC_REQ(__REQ_META)
#define REQ_PRIO DBCC_REQ(__REQ_PRIO)
#define REQ_NOMERGE DBCC_REQ(__REQ_NOMERGE)
#define REQ_IDLE DBCC_REQ(__REQ_IDLE)
#define REQ_INTEGRITY DBCC_REQ(__REQ_INTEGRITY)
#define REQ_FUA DBCC_REQ(__REQ_FUA)
#define REQ_PREFLUSH DBCC_REQ(__REQ_PREFLUSH)
#define REQ_RAHEAD DBCC_REQ(__REQ_RAHEAD)
#define REQ_BACKGROUND DBCC_REQ(__REQ_BACKGROUND)
#define REQ_NOWAIT DBCC_REQ(__REQ_NOWAIT)

#define blk_op_is_passthrough(op)                                                                  \
    ((bool)(((op) & REQ_OP_MASK) == REQ_OP_DRV_IN || ((op) & REQ_OP_MASK) == REQ_OP_DRV_OUT))
#define bio_op(bio) ((bio)->bi_opf & REQ_OP_MASK)
#define op_is_write(op) ((bool)((op) & 1))
#define op_is_flush(op) ((bool)((op) & (REQ_FUA | REQ_PREFLUSH)))
#define op_is_sync(op) ((bool)(((op) & REQ_OP_MASK) == REQ_OP_READ || ((op) & (REQ_SYNC | REQ_FUA | REQ_PREFLUSH))))
#define op_is_discard(op) ((bool)(((op) & REQ_OP_MASK) == REQ_OP_DISCARD))

#endif
