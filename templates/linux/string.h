// Functions of include/linux/string.h, as far as clang expands them in place, which it does for small constant sizes.
#ifndef DBCC_LINUX_STRING_H
#define DBCC_LINUX_STRING_H

#define memcpy(to, from, size) __builtin_memcpy((to), (from), (size))
#define memmove(to, from, size) __builtin_memmove((to), (from), (size))
#define memset(to, byte, size) __builtin_memset((to), (byte), (size))
#define memcmp(a, b, size) __builtin_memcmp((a), (b), (size))

#endif
