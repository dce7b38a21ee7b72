// Zones: include/linux/mmzone.h, Linux 6.1.
#ifndef DBCC_LINUX_MMZONE_H
#define DBCC_LINUX_MMZONE_H

#define PAGE_ALLOC_COSTLY_ORDER 3
#define zone_idx(zone) ((zone) - (zone)->zone_pgdat->node_zones)

#endif
