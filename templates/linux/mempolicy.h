// Flags of memory policies: include/uapi/linux/mempolicy.h, Linux 6.1.
#ifndef DBCC_LINUX_MEMPOLICY_H
#define DBCC_LINUX_MEMPOLICY_H

#define MPOL_F_STATIC_NODES 0x8000
#define MPOL_F_RELATIVE_NODES 0x4000
#define MPOL_F_NUMA_BALANCING 0x2000
#define MPOL_MODE_FLAGS 57344
#define MPOL_F_NODE 0x1
#define MPOL_F_ADDR 0x2
#define MPOL_F_MEMS_ALLOWED 0x4
#define MPOL_MF_STRICT 0x1
#define MPOL_MF_MOVE 0x2
#define MPOL_MF_MOVE_ALL 0x4
#define MPOL_MF_LAZY 0x8
#define MPOL_F_SHARED 0x1
#define MPOL_F_MOF 0x8
#define MPOL_F_MORON 0x10
#define RECLAIM_ZONE 0x1
#define RECLAIM_WRITE 0x2
#define RECLAIM_UNMAP 0x4

#endif
