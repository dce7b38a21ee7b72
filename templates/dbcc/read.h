/* What implicit dereferences become: reads through a helper that can fail, with the place of the field relocated to
 * the running kernel (CO-RE) where the type is the kernel's. What cannot be read is zero. Each macro expands its
 * argument once, so that a chain of n pointers is n reads and not 2^n.
 *
 * dbcc_read: the address tells whether it is the kernel's or the process's memory, as for BCC: kernel functions take
 * pointers of both kinds. bpf_probe_read does that where the two do not overlap, which is so on x86-64 and arm64
 * (CONFIG_ARCH_HAS_NON_OVERLAPPING_ADDRESS_SPACE); the program's own memory is the kernel's. dbcc_read_kernel: for
 * programs that trace nothing, which lack that helper. dbcc_read_user: the traced process's memory. */
#pragma once

#define dbcc_read(x) dbcc_read_by(bpf_probe_read, x)
#define dbcc_read_kernel(x) dbcc_read_by(bpf_probe_read_kernel, x)
#define dbcc_read_user(x) dbcc_read_by(bpf_probe_read_user, x)

/* The value of the lvalue x. The statement expression inside typeof is never evaluated; it drops the qualifiers of x,
 * so that the copy may be written. */
#define dbcc_read_by(helper, x)                                                                                        \
	({                                                                                                             \
		__auto_type dbcc_from = &(x);                                                                          \
		typeof(({ *dbcc_from; })) dbcc_value;                                                                  \
		if (helper(&dbcc_value, sizeof(dbcc_value), (const void *)dbcc_from))                                  \
			__builtin_memset(&dbcc_value, 0, sizeof(dbcc_value));                                          \
		dbcc_value;                                                                                            \
	})

/* The bit field `field` of the kernel's struct that p points to. */
#define dbcc_read_bits(p, field) dbcc_read_bits_by(bpf_probe_read, p, field)
#define dbcc_read_kernel_bits(p, field) dbcc_read_bits_by(bpf_probe_read_kernel, p, field)

#define dbcc_read_bits_by(helper, p, field)                                                                            \
	({                                                                                                             \
		__auto_type dbcc_from = (p);                                                                           \
		unsigned long long dbcc_bits = 0;                                                                      \
		if (helper(&dbcc_bits, __CORE_RELO(dbcc_from, field, BYTE_SIZE),                                       \
		           (const char *)dbcc_from + __CORE_RELO(dbcc_from, field, BYTE_OFFSET)))                      \
			dbcc_bits = 0;                                                                                 \
		dbcc_bits <<= __CORE_RELO(dbcc_from, field, LSHIFT_U64);                                               \
		if (__CORE_RELO(dbcc_from, field, SIGNED))                                                             \
			dbcc_bits = (long long)dbcc_bits >> __CORE_RELO(dbcc_from, field, RSHIFT_U64);                 \
		else                                                                                                   \
			dbcc_bits >>= __CORE_RELO(dbcc_from, field, RSHIFT_U64);                                       \
		(typeof(({ dbcc_from->field; })))dbcc_bits;                                                            \
	})

/* The bit field `field` of the struct of the probe's own that p points to: `width` bits behind the first `offset` ones.
 * The lowest bit is the first, as on all little-endian machines. */
#define dbcc_read_bits_at(p, field, offset, width) dbcc_read_bits_at_by(bpf_probe_read, p, field, offset, width)
#define dbcc_read_kernel_bits_at(p, field, offset, width)                                                              \
	dbcc_read_bits_at_by(bpf_probe_read_kernel, p, field, offset, width)
#define dbcc_read_user_bits_at(p, field, offset, width)                                                                \
	dbcc_read_bits_at_by(bpf_probe_read_user, p, field, offset, width)

#define dbcc_read_bits_at_by(helper, p, field, offset, width)                                                          \
	({                                                                                                             \
		__auto_type dbcc_from = (p);                                                                           \
		unsigned long long dbcc_bits = 0;                                                                      \
		if (helper(&dbcc_bits, ((offset) % 8 + (width) + 7) / 8, (const char *)dbcc_from + (offset) / 8))      \
			dbcc_bits = 0;                                                                                 \
		dbcc_bits <<= 64 - (width) - (offset) % 8;                                                             \
		if ((typeof(({ dbcc_from->field; })))-1 < 0)                                                           \
			dbcc_bits = (long long)dbcc_bits >> (64 - (width));                                            \
		else                                                                                                   \
			dbcc_bits >>= 64 - (width);                                                                    \
		(typeof(({ dbcc_from->field; })))dbcc_bits;                                                            \
	})

/* __builtin_memcpy from memory that is not the program's own. */
#define dbcc_copy(to, from, size) dbcc_copy_by(bpf_probe_read, to, from, size)
#define dbcc_copy_kernel(to, from, size) dbcc_copy_by(bpf_probe_read_kernel, to, from, size)
#define dbcc_copy_user(to, from, size) dbcc_copy_by(bpf_probe_read_user, to, from, size)

#define dbcc_copy_by(helper, to, from, size)                                                                           \
	({                                                                                                             \
		void *dbcc_to = (void *)(to);                                                                          \
		if (helper(dbcc_to, size, (const void *)(from)))                                                       \
			__builtin_memset(dbcc_to, 0, size);                                                            \
		dbcc_to;                                                                                               \
	})

#ifdef DBCC_PARSE
/* A pointer of the traced process: rewriting reads through it accordingly. */
#undef __user
#define __user __attribute__((annotate("dbcc:user")))
#endif
