// What BCC's own helpers.h gives to probes and plain C can express. Each name is a macro, so that a probe may declare
// the name itself.
#ifndef DBCC_HELPERS_H
#define DBCC_HELPERS_H

// floor(log2(v)), and 0 for 0. Without branches, which would multiply the paths that the verifier follows.
static __always_inline unsigned int dbcc_log2(unsigned int v)
{
    unsigned int log = (v > 0xffff) << 4;
    unsigned int step;

    v >>= log;
    step = (v > 0xff) << 3;
    v >>= step;
    log += step;
    step = (v > 0xf) << 2;
    v >>= step;
    log += step;
    step = (v > 0x3) << 1;
    v >>= step;
    log += step;
    return log + (v > 1);
}

// The slot of a histogram: floor(log2(v)) + 1, and 1 for 0.
static __always_inline unsigned int dbcc_log2l(unsigned long v)
{
    unsigned int high = v >> 32;

    return high ? dbcc_log2(high) + 33 : dbcc_log2(v) + 1;
}

#define bpf_log2(v) dbcc_log2(v)
#define bpf_log2l(v) dbcc_log2l(v)

#define lock_xadd(pointer, value) ((void)__sync_fetch_and_add((pointer), (value)))

// Functions that the naming conventions attach.
#define TRACEPOINT_PROBE(category, event) int tracepoint__##category##__##event(struct tracepoint__##category##__##event *args)
#define RAW_TRACEPOINT_PROBE(event) int raw_tracepoint__##event(struct bpf_raw_tracepoint_args *ctx)
#define DBCC_TRACED(name, arguments...) int name(unsigned long long *ctx, ##arguments)
#define KFUNC_PROBE(event, arguments...) DBCC_TRACED(kfunc__vmlinux__##event, ##arguments)
#define KRETFUNC_PROBE(event, arguments...) DBCC_TRACED(kretfunc__vmlinux__##event, ##arguments)
#define MODULE_KFUNC_PROBE(module, event, arguments...) DBCC_TRACED(kfunc__##module##__##event, ##arguments)
#define MODULE_KRETFUNC_PROBE(module, event, arguments...) DBCC_TRACED(kretfunc__##module##__##event, ##arguments)
#define KMOD_RET(event, arguments...) DBCC_TRACED(kmod_ret__##event, ##arguments)
#define LSM_PROBE(event, arguments...) DBCC_TRACED(lsm__##event, ##arguments)
#define BPF_ITER(target) int bpf_iter__##target(struct bpf_iter__##target *ctx)

// A field of dynamic length in the record of a tracepoint: data_loc_NAME holds its offset from the start of the record
// in the low 16 bits and its length in the high 16 bits (include/trace/trace_events.h, __dynamic_array).
#define TP_DATA_LOC_READ_PTR(field) ((void *)args + (args->data_loc_##field & 0xffff))
#define TP_DATA_LOC_READ_CONST(dst, field, length) bpf_probe_read_kernel((dst), (length), TP_DATA_LOC_READ_PTR(field))
#define TP_DATA_LOC_READ(dst, field) TP_DATA_LOC_READ_CONST(dst, field, (args->data_loc_##field >> 16) & 0xffff)
#define TP_DATA_LOC_READ_STR(dst, field, length) bpf_probe_read_kernel_str((dst), (length), TP_DATA_LOC_READ_PTR(field))

// The registers of a system call's caller, where its wrapper is handed them, and its arguments in these.
#define PT_REGS_SYSCALL_CTX(ctx) PT_REGS_SYSCALL_REGS(ctx)

#include <dbcc/packet.h>

#endif
