// RDMA connections: members of types of include/rdma/rdma_cm.h that probes read, Linux 6.1. These are types of a
// module: its BTF places the members when the probe is loaded, and the kernel's own BTF, where it has the type, gives
// all of them.
#ifndef DBCC_RDMA_RDMA_CM_H
#define DBCC_RDMA_RDMA_CM_H

#ifndef DBCC_KERNEL_HAS_rdma_addr
struct rdma_addr {
    struct __kernel_sockaddr_storage src_addr;
    struct __kernel_sockaddr_storage dst_addr;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_rdma_route
struct rdma_route {
    struct rdma_addr addr;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_rdma_cm_id
struct rdma_cm_id {
    void *context;
    struct rdma_route route;
    u32 port_num;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_rdma_cm_event
struct rdma_cm_event {
    int event;
    int status;
} __attribute__((preserve_access_index));
#endif

#endif
