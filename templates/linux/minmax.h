// Least and greatest: include/linux/minmax.h, Linux 6.1. Each argument is evaluated once.
#ifndef DBCC_LINUX_MINMAX_H
#define DBCC_LINUX_MINMAX_H

#define dbcc_choose(type_x, x, comparison, type_y, y)          \
    ({                                                         \
        type_x dbcc_x = (x);                                   \
        type_y dbcc_y = (y);                                   \
        dbcc_x comparison dbcc_y ? dbcc_x : dbcc_y;            \
    })
#define min(x, y) dbcc_choose(__auto_type, x, <, __auto_type, y)
#define max(x, y) dbcc_choose(__auto_type, x, >, __auto_type, y)
#define min_t(type, x, y) dbcc_choose(type, x, <, type, y)
#define max_t(type, x, y) dbcc_choose(type, x, >, type, y)
#define min3(x, y, z) min((typeof(x))min(x, y), z)
#define max3(x, y, z) max((typeof(x))max(x, y), z)
#define clamp(value, low, high) min((typeof(value))max(value, low), high)
#define clamp_t(type, value, low, high) min_t(type, max_t(type, value, low), high)
#define swap(a, b)                      \
    do {                                \
        typeof(a) dbcc_a = (a);         \
        (a) = (b);                      \
        (b) = dbcc_a;                   \
    } while (0)

#endif
