// Virtio: members of types of include/linux/virtio.h that probes read, Linux 6.1. These are types of a module: its
// BTF places the members when the probe is loaded, and the kernel's own BTF, where it has the type, gives all of
// them.
#ifndef DBCC_LINUX_VIRTIO_H
#define DBCC_LINUX_VIRTIO_H

#include <linux/virtio_ids.h>

#ifndef DBCC_KERNEL_HAS_virtio_device_id
struct virtio_device_id {
    __u32 device;
    __u32 vendor;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_virtio_device
struct virtio_device {
    int index;
    struct device dev;
    struct virtio_device_id id;
    u64 features;
} __attribute__((preserve_access_index));
#endif

#ifndef DBCC_KERNEL_HAS_virtqueue
struct virtqueue {
    const char *name;
    struct virtio_device *vdev;
    unsigned int index;
    unsigned int num_free;
} __attribute__((preserve_access_index));
#endif

#endif
