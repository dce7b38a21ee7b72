// Links: include/uapi/linux/if_link.h, Linux 6.1.
#ifndef DBCC_LINUX_IF_LINK_H
#define DBCC_LINUX_IF_LINK_H

#define XDP_FLAGS_UPDATE_IF_NOEXIST 0x1U
#define XDP_FLAGS_SKB_MODE 0x2U
#define XDP_FLAGS_DRV_MODE 0x4U
#define XDP_FLAGS_HW_MODE 0x8U
#define XDP_FLAGS_REPLACE 0x10U

#endif
