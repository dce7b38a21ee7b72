// An entry for each hit, with values in no order.
//@ top counts 20
// BCC needs to be told where the registers are declared.
#include <uapi/linux/ptrace.h>

BPF_HASH(counts, u64, u64, 1000000);

int on_hit(struct pt_regs *ctx)
{
    u64 key = PT_REGS_PARM1(ctx), value = (key * 2654435761) & 0xffffffff;

    counts.update(&key, &value);
    return 0;
}
