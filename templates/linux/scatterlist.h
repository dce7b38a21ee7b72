// Lists of memory: include/linux/scatterlist.h, Linux 6.1.
#ifndef DBCC_LINUX_SCATTERLIST_H
#define DBCC_LINUX_SCATTERLIST_H

#define SG_CHAIN 0x01UL
#define SG_END 0x02UL
#define SG_PAGE_LINK_MASK (SG_CHAIN | SG_END)
#define sg_is_chain(sg) ((bool)((sg)->page_link & SG_CHAIN))
#define sg_is_last(sg) ((bool)((sg)->page_link & SG_END))
#define sg_chain_ptr(sg) ((struct scatterlist *)((sg)->page_link & ~SG_PAGE_LINK_MASK))
#define sg_page(sg) ((struct page *)((sg)->page_link & ~SG_PAGE_LINK_MASK))
#define sg_dma_address(sg) ((sg)->dma_address)

#endif
