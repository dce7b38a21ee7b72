// Division: include/linux/math64.h, Linux 6.1. BPF divides without sign.
#ifndef DBCC_LINUX_MATH64_H
#define DBCC_LINUX_MATH64_H

#define div_u64(dividend, divisor) ((u64)(dividend) / (u32)(divisor))
#define div64_u64(dividend, divisor) ((u64)(dividend) / (u64)(divisor))
#define div64_ul(x, y) ((u64)(x) / (u64)(y))
#define mul_u32_u32(a, b) ((u64)(u32)(a) * (u32)(b))

#endif
