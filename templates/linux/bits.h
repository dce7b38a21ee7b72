// Bits: include/linux/bits.h, include/vdso/bits.h, include/linux/bitops.h, include/asm-generic/bitsperlong.h, Linux
// 6.1, for 64-bit machines.
#ifndef DBCC_LINUX_BITS_H
#define DBCC_LINUX_BITS_H

#define BITS_PER_BYTE 8
#define BITS_PER_LONG 64
#define BITS_PER_LONG_LONG 64
#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define BIT_MASK(n) (1UL << ((n) % BITS_PER_LONG))
#define BIT_WORD(n) ((n) / BITS_PER_LONG)
#define BIT_ULL_MASK(n) (1ULL << ((n) % BITS_PER_LONG_LONG))
#define BIT_ULL_WORD(n) ((n) / BITS_PER_LONG_LONG)
#define GENMASK(high, low) (((~0UL) - (1UL << (low)) + 1) & (~0UL >> (BITS_PER_LONG - 1 - (high))))
#define GENMASK_ULL(high, low) (((~0ULL) - (1ULL << (low)) + 1) & (~0ULL >> (BITS_PER_LONG_LONG - 1 - (high))))
#define BITS_PER_TYPE(type) (sizeof(type) * BITS_PER_BYTE)
#define BITS_TO_LONGS(n) (((n) + BITS_PER_TYPE(long) - 1) / BITS_PER_TYPE(long))

#endif
