// Registers at a probe on arm64: struct user_pt_regs of arch/arm64/include/uapi/asm/ptrace.h, with which struct pt_regs
// starts, Linux 6.1. The accessors PT_REGS_* are libbpf's, in bpf_tracing.h.
#ifndef DBCC_CTX_H
#define DBCC_CTX_H

#define __TARGET_ARCH_arm64

struct user_pt_regs {
    unsigned long long regs[31];
    unsigned long long sp;
    unsigned long long pc;
    unsigned long long pstate;
};

struct pt_regs {
    union {
        struct user_pt_regs user_regs;
        struct {
            unsigned long long regs[31];
            unsigned long long sp;
            unsigned long long pc;
            unsigned long long pstate;
        };
    };
};

#endif
