// include/linux/math.h, Linux 6.1.
#ifndef DBCC_LINUX_MATH_H
#define DBCC_LINUX_MATH_H

#define round_up(x, y) ((((x) - 1) | ((typeof(x))((y) - 1))) + 1)
#define round_down(x, y) ((x) & ~((typeof(x))((y) - 1)))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define DIV_ROUND_DOWN_ULL(n, d) ((u64)(n) / (u32)(d))
#define DIV_ROUND_UP_ULL(n, d) DIV_ROUND_DOWN_ULL((unsigned long long)(n) + (d) - 1, (d))
#define roundup(x, y)                                          \
    ({                                                         \
        typeof(y) dbcc_y = (y);                                \
        (((x) + (dbcc_y - 1)) / dbcc_y) * dbcc_y;              \
    })
#define rounddown(x, y)                                        \
    ({                                                         \
        typeof(x) dbcc_x = (x);                                \
        dbcc_x - (dbcc_x % (y));                               \
    })
// The type of the value with a sign.
#define DBCC_SIGNED(x)                                         \
    typeof(_Generic((x),                                       \
        unsigned char: (signed char)0,                         \
        unsigned short: (short)0,                              \
        unsigned int: 0,                                       \
        unsigned long: 0L,                                     \
        unsigned long long: 0LL,                               \
        default: (x)))
#define abs(x)                                                 \
    ({                                                         \
        DBCC_SIGNED(x) dbcc_x = (x);                           \
        dbcc_x < 0 ? -dbcc_x : dbcc_x;                         \
    })

#endif
