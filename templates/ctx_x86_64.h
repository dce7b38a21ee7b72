// Registers at a probe on x86-64: struct pt_regs of arch/x86/include/asm/ptrace.h, Linux 6.1 (its layout is ABI). The
// accessors PT_REGS_* are libbpf's, in bpf_tracing.h.
#ifndef DBCC_CTX_H
#define DBCC_CTX_H

#define __TARGET_ARCH_x86

struct pt_regs {
    unsigned long r15;
    unsigned long r14;
    unsigned long r13;
    unsigned long r12;
    unsigned long bp;
    unsigned long bx;
    unsigned long r11;
    unsigned long r10;
    unsigned long r9;
    unsigned long r8;
    unsigned long ax;
    unsigned long cx;
    unsigned long dx;
    unsigned long si;
    unsigned long di;
    unsigned long orig_ax;
    unsigned long ip;
    unsigned long cs;
    unsigned long flags;
    unsigned long sp;
    unsigned long ss;
};

#endif
