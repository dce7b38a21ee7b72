// Kernel stacks: arch/x86/include/asm/page_64_types.h, arch/arm64/include/asm/memory.h, Linux 6.1, without KASAN.
#ifndef DBCC_LINUX_THREAD_INFO_H
#define DBCC_LINUX_THREAD_INFO_H

#include <asm/page.h>

#if defined(__TARGET_ARCH_x86)
#if defined(CONFIG_KASAN)
#define THREAD_SIZE_ORDER 3
#else
#define THREAD_SIZE_ORDER 2
#endif
#define THREAD_SIZE (PAGE_SIZE << THREAD_SIZE_ORDER)
#endif

#endif
