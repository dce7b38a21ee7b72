// Annotations for sparse and for the compiler: include/linux/compiler_types.h, include/linux/compiler_attributes.h,
// include/linux/init.h, Linux 6.1. Some are in the preamble: likely, unlikely, __always_inline, __weak, barrier.
#ifndef DBCC_LINUX_COMPILER_H
#define DBCC_LINUX_COMPILER_H

#define __user
#define __kernel
#define __iomem
#define __percpu
#define __rcu
#define __force
#define __nocast
#define __safe
#define __private
#define __bitwise
#define __must_check
#define __init
#define __exit
#define __read_mostly
#define __cold __attribute__((__cold__))
#define __used __attribute__((__used__))
#define __packed __attribute__((__packed__))
#define __aligned(n) __attribute__((__aligned__(n)))
#define __maybe_unused __attribute__((__unused__))
#define __always_unused __attribute__((__unused__))
#define fallthrough __attribute__((fallthrough))
#define noinline __attribute__((noinline))
#define notrace
#define asmlinkage

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))
#define barrier_data(p) barrier_var(p)
#define __same_type(a, b) __builtin_types_compatible_p(typeof(a), typeof(b))
#define typeof_member(type, member) typeof(((type *)0)->member)
#define unreachable() __builtin_unreachable()

#endif
