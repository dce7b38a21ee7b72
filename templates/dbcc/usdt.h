/* Arguments of USDT probes, as BCC's probes read them, by libbpf's usdt.bpf.h. Included where a probe is attached to a USDT
 * probe or names one of these functions. */
#pragma once

#include <bpf/usdt.bpf.h>

#ifdef DBCC_PARSE

int bpf_usdt_readarg(int number, struct pt_regs *ctx, void *to);
int bpf_usdt_readarg_p(int number, struct pt_regs *ctx, void *to, __u64 size);

#else

/* Reads an argument, from 0, and hands its value out by a way on which the verifier forgets it: swapping bytes twice. It
 * would tell a value that was read from the 0 of one that was not, and before Linux 6.8 follow each combination of both
 * through the rest of the program: a dozen arguments are more than it has patience for. */
static __always_inline int dbcc_usdt_arg(struct pt_regs *ctx, __u64 number, long *to)
{
	long value = 0;
	int error = bpf_usdt_arg(ctx, number, &value);

	asm volatile("%0 = be64 %0\n%0 = be64 %0" : "+r"(value));
	*to = value;
	return error;
}

/* Reads argument `number`, from 1, into the variable that `to` points to, converted to its size: extended with the sign
 * if the argument is a signed number. 0, or an error below 0: then the variable is 0. */
#define bpf_usdt_readarg(number, ctx, to)                                                                              \
	({                                                                                                             \
		typeof((to) + 0) dbcc_to = (to);                                                                       \
		long dbcc_value = 0;                                                                                   \
		int dbcc_error = dbcc_usdt_arg((struct pt_regs *)(ctx), (number) - 1, &dbcc_value);                    \
                                                                                                                       \
		_Static_assert(sizeof(*dbcc_to) <= sizeof(dbcc_value),                                                 \
			       "an argument of a USDT probe has at most 8 bytes: read a buffer with bpf_usdt_readarg_p()"); \
		__builtin_memcpy(dbcc_to, &dbcc_value, sizeof(*dbcc_to));                                              \
		dbcc_error;                                                                                            \
	})

/* Reads `size` bytes of the process's memory that argument `number` points to. */
#define bpf_usdt_readarg_p(number, ctx, to, size)                                                                      \
	({                                                                                                             \
		long dbcc_from = 0;                                                                                    \
		int dbcc_error = dbcc_usdt_arg((struct pt_regs *)(ctx), (number) - 1, &dbcc_from);                     \
                                                                                                                       \
		dbcc_error ?: (int)bpf_probe_read_user(to, size, (const void *)dbcc_from);                             \
	})

/* The argument that a parameter of a program is bound to. */
static __always_inline long dbcc_usdt_value(struct pt_regs *ctx, __u64 number)
{
	long value = 0;

	dbcc_usdt_arg(ctx, number - 1, &value);
	return value;
}

#endif
