// Pages: arch/x86/include/asm/page_types.h, arch/arm64/include/asm/page-def.h; include/linux/pfn.h, Linux 6.1.
// PAGE_SHIFT is that of the running kernel: generated. Where the kernel's memory starts on x86-64 with
// CONFIG_DYNAMIC_MEMORY_LAYOUT is known to the kernel alone, so PAGE_OFFSET is not here.
#ifndef DBCC_ASM_PAGE_H
#define DBCC_ASM_PAGE_H

#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PFN_UP(x) (((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PFN_DOWN(x) ((x) >> PAGE_SHIFT)
#define PFN_PHYS(x) ((phys_addr_t)(x) << PAGE_SHIFT)
#define PHYS_PFN(x) ((unsigned long)((x) >> PAGE_SHIFT))

#if defined(__TARGET_ARCH_x86)
#define __PAGE_OFFSET_BASE_L4 0xffff888000000000UL
#define __PAGE_OFFSET_BASE_L5 0xff11000000000000UL
#define __START_KERNEL_map 0xffffffff80000000UL
#endif

#endif
