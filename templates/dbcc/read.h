/* What implicit dereferences become: reads through a helper that can fail, with the place of the field relocated to
 * the running kernel (CO-RE) where the type is the kernel's. What cannot be read is zero. Each macro expands its
 * argument once, so that a chain of n pointers is n reads and not 2^n. */
#pragma once

/* The value of the lvalue x in kernel memory. The statement expression inside typeof is never evaluated; it drops the
 * qualifiers of x, so that the copy may be written. */
#define dbcc_read(x)                                                                                                   \
	({                                                                                                             \
		__auto_type dbcc_from = &(x);                                                                          \
		typeof(({ *dbcc_from; })) dbcc_value;                                                                  \
		if (bpf_probe_read_kernel(&dbcc_value, sizeof(dbcc_value), (const void *)dbcc_from))                   \
			__builtin_memset(&dbcc_value, 0, sizeof(dbcc_value));                                          \
		dbcc_value;                                                                                            \
	})

/* The value of the lvalue x in the memory of the traced process. */
#define dbcc_read_user(x)                                                                                              \
	({                                                                                                             \
		__auto_type dbcc_from = &(x);                                                                          \
		typeof(({ *dbcc_from; })) dbcc_value;                                                                  \
		if (bpf_probe_read_user(&dbcc_value, sizeof(dbcc_value), (const void *)dbcc_from))                     \
			__builtin_memset(&dbcc_value, 0, sizeof(dbcc_value));                                          \
		dbcc_value;                                                                                            \
	})

/* The bit field `field` of the struct in kernel memory that p points to. */
#define dbcc_read_bits(p, field)                                                                                       \
	({                                                                                                             \
		__auto_type dbcc_from = (p);                                                                           \
		(typeof(({ dbcc_from->field; })))BPF_CORE_READ_BITFIELD_PROBED(dbcc_from, field);                      \
	})

/* The bit field `field` of the struct in the memory of the traced process that p points to. */
#define dbcc_read_user_bits(p, field)                                                                                  \
	({                                                                                                             \
		__auto_type dbcc_from = (p);                                                                           \
		typeof(({ *dbcc_from; })) dbcc_whole;                                                                  \
		if (bpf_probe_read_user(&dbcc_whole, sizeof(dbcc_whole), (const void *)dbcc_from))                     \
			__builtin_memset(&dbcc_whole, 0, sizeof(dbcc_whole));                                          \
		dbcc_whole.field;                                                                                      \
	})

#ifdef DBCC_PARSE
/* A pointer of the traced process: rewriting reads through it accordingly. */
#undef __user
#define __user __attribute__((annotate("dbcc:user")))
#endif
