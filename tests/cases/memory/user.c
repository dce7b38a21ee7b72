// Reads the memory of the traced program by implicit dereference.
#include <uapi/linux/ptrace.h>
#include "types.h"

BPF_HASH(numbers, u32, s64);

#define PUT(number, value)                  \
	do {                                \
		u32 dbcc_number = number;   \
		s64 dbcc_found = value;     \
		numbers.update(&dbcc_number, &dbcc_found); \
	} while (0)

int on_visit(struct pt_regs *ctx, struct mine *m, int i)
{
#include "expressions.h"
	return 0;
}
