// Folios: include/linux/page-flags.h, Linux 6.1: the pages of one follow one another (on all machines with
// CONFIG_SPARSEMEM_VMEMMAP, as 64-bit ones have it).
#ifndef DBCC_LINUX_PAGE_FLAGS_H
#define DBCC_LINUX_PAGE_FLAGS_H

#define folio_page(folio, n) (&(folio)->page + (n))

#endif
