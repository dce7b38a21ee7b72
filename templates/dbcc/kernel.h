// Macros of the kernel that probes use whatever they include. Short names for members, which are apt to collide, are
// only in the headers that define them: <net/sock.h> and the like.
#ifndef DBCC_KERNEL_H
#define DBCC_KERNEL_H

// The enumerators of include/linux/stddef.h, as C11's stdbool.h has them.
#define true 1
#define false 0

// Annotations for sparse and for the compiler: include/linux/compiler_types.h, include/linux/init.h.
#define __user
#define __kernel
#define __iomem
#define __percpu
#define __rcu
#define __force
#define __bitwise
#define __must_check
#define __init
#define __read_mostly
#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __maybe_unused __attribute__((unused))
#define __always_unused __attribute__((unused))

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define barrier_data(p) barrier_var(p)

// include/linux/minmax.h: each argument is evaluated once.
#define min(x, y)                            \
    ({                                       \
        __auto_type dbcc_x = (x);            \
        __auto_type dbcc_y = (y);            \
        dbcc_x < dbcc_y ? dbcc_x : dbcc_y;   \
    })
#define max(x, y)                            \
    ({                                       \
        __auto_type dbcc_x = (x);            \
        __auto_type dbcc_y = (y);            \
        dbcc_x > dbcc_y ? dbcc_x : dbcc_y;   \
    })
#define min_t(type, x, y)                    \
    ({                                       \
        type dbcc_x = (x);                   \
        type dbcc_y = (y);                   \
        dbcc_x < dbcc_y ? dbcc_x : dbcc_y;   \
    })
#define max_t(type, x, y)                    \
    ({                                       \
        type dbcc_x = (x);                   \
        type dbcc_y = (y);                   \
        dbcc_x > dbcc_y ? dbcc_x : dbcc_y;   \
    })
#define clamp(value, low, high) min(max(value, low), high)

// include/linux/array_size.h, bits.h, align.h, math.h, math64.h
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define div_u64(dividend, divisor) ((u64)(dividend) / (u32)(divisor))
#define div64_u64(dividend, divisor) ((u64)(dividend) / (u64)(divisor))
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define BUILD_BUG_ON(condition) ((void)sizeof(char[1 - 2 * !!(condition)]))

// PAGE_SHIFT is that of the running kernel: generated.
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

// include/linux/byteorder/generic.h, by libbpf's bpf_endian.h
#define ntohs(x) bpf_ntohs(x)
#define htons(x) bpf_htons(x)
#define ntohl(x) bpf_ntohl(x)
#define htonl(x) bpf_htonl(x)
#define be16_to_cpu(x) bpf_ntohs(x)
#define be32_to_cpu(x) bpf_ntohl(x)
#define be64_to_cpu(x) bpf_be64_to_cpu(x)
#define cpu_to_be16(x) bpf_htons(x)
#define cpu_to_be32(x) bpf_htonl(x)
#define cpu_to_be64(x) bpf_cpu_to_be64(x)

// A struct tcp_sock starts with its struct inet_connection_sock, that with its struct inet_sock, and that with its struct
// sock, and so the others: include/net/inet_sock.h, include/net/inet_connection_sock.h, include/linux/tcp.h,
// include/linux/udp.h.
#define inet_sk(sk) ((struct inet_sock *)(sk))
#define inet_csk(sk) ((struct inet_connection_sock *)(sk))
#define inet_rsk(req) ((struct inet_request_sock *)(req))
#define tcp_sk(sk) ((struct tcp_sock *)(sk))
#define tcp_rsk(req) ((struct tcp_request_sock *)(req))
#define tcp_twsk(sk) ((struct tcp_timewait_sock *)(sk))
#define udp_sk(sk) ((struct udp_sock *)(sk))

#include <linux/capability.h>
#include <linux/dcache.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/kdev_t.h>
#include <linux/limits.h>
#include <linux/pkt_cls.h>
#include <linux/sched.h>
#include <linux/socket.h>
#include <linux/stat.h>
#include <linux/time64.h>

#endif
