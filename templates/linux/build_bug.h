// include/linux/build_bug.h, Linux 6.1.
#ifndef DBCC_LINUX_BUILD_BUG_H
#define DBCC_LINUX_BUILD_BUG_H

#define BUILD_BUG_ON(condition) ((void)sizeof(char[1 - 2 * !!(condition)]))
#define BUILD_BUG_ON_MSG(condition, message) BUILD_BUG_ON(condition)
#define BUILD_BUG_ON_ZERO(condition) ((int)sizeof(char[1 - 2 * !!(condition)]) - 1)
#define static_assert(condition, ...) _Static_assert(condition, "" #condition)

#endif
