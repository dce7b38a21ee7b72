// Asks the kernel what it does with instructions: each function here begins with another one. It probes itself at each, in a
// child of its own, and says for each: `NAME refused ERRNO`, or `NAME taken` with how the function then fared: `right`,
// `wrong` (it gave another value than without a probe, or was not hit once for each call), `crashed`, or `uncalled`.
//
// With a count as its argument it says instead how many nanoseconds a call takes under the probe.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef long (*function)(long, long *);

// A function of that name: the code, then its size. It is called with rdi = 5 and rsi pointing to 6 longs.
#define ROW(name, code)                                                                                                \
    __asm__(".text\n.p2align 4\n.globl row_" #name "\n.type row_" #name ", @function\nrow_" #name ":\n" code           \
            "\n.size row_" #name ", . - row_" #name "\n");

// Emulated.
ROW(push_rbx, "push %rbx\nmov %rdi, %rbx\nmov %rbx, %rax\npop %rbx\nret")
ROW(push_r12, "push %r12\nmov %rdi, %r12\nmov %r12, %rax\npop %r12\nret")
ROW(push_rsp, "push %rsp\npop %rax\nsub %rsp, %rax\nret")
ROW(jmp_short, "jmp 1f\nxor %edi, %edi\n1: mov %rdi, %rax\nret")
ROW(jmp_near, ".byte 0xe9\n.long 2\nxor %edi, %edi\nmov %rdi, %rax\nret")
ROW(jcc_short, "jne 1f\nmov %rdi, %rax\nret\n1: mov $3, %eax\nret")
ROW(jcc_near, ".byte 0x0f, 0x84\n.long 4\nmov %rdi, %rax\nret\nmov $3, %eax\nret")
ROW(call, "call 1f\nmov $4, %eax\nadd %rdi, %rax\nret\n1: inc %rdi\nret")
ROW(nop, "nop\nmov %rdi, %rax\nret")
ROW(nop_short, ".byte 0x66, 0x90\nmov %rdi, %rax\nret")
ROW(nop_4, ".byte 0x0f, 0x1f, 0x40, 0x00\nmov %rdi, %rax\nret")
ROW(nop_odd, ".byte 0x0f, 0x1f, 0x47, 0x08\nmov %rdi, %rax\nret")
ROW(mov_itself, "mov %rdi, %rdi\nmov %rdi, %rax\nret")
ROW(pause, "pause\nmov %rdi, %rax\nret")
// Single-stepped.
ROW(endbr64, "endbr64\nmov %rdi, %rax\nret")
ROW(mov, "mov %rdi, %rax\nret")
ROW(mov_rip, "mov 1f(%rip), %rax\nret\n1: .quad 77")
ROW(lea_rip, "lea 1f(%rip), %rax\nsub %rdi, %rax\nret\n1: ret")
ROW(mov_rip_si, "mov %rsi, %r9\nmov %rsi, 1f(%rip)\nmov %rdi, %rax\nret\n.data\n1: .quad 0\n.text")
ROW(sub_rsp, "sub $8, %rsp\nmov %rdi, %rax\nadd $8, %rsp\nret")
ROW(xor, "xor %eax, %eax\nret")
ROW(push_imm, "push $9\npop %rax\nret")
ROW(push_wide, ".byte 0x48, 0x57\npop %rax\nret")
ROW(push_16, "push %ax\nadd $2, %rsp\nmov %rdi, %rax\nret")
ROW(ret, "ret")
ROW(jmp_reg, "jmp *%rdx")
ROW(call_mem, "call *8(%rsi)\nmov %rdi, %rax\nret")
ROW(jrcxz, "jrcxz 1f\nmov %rdi, %rax\nret\n1: xor %eax, %eax\nret")
ROW(movabs, "movabs $0x1122334455667788, %rax\nret")
ROW(cpuid, "mov %rbx, %r8\nxor %eax, %eax\nxor %ecx, %ecx\ncpuid\nmov %r8, %rbx\nmov %ecx, %eax\nret")
ROW(syscall, "syscall\nret")
ROW(movsd, "movsd (%rsi), %xmm0\nmovq %xmm0, %rax\nret")
ROW(vxorps, "vxorps %xmm0, %xmm0, %xmm0\nvmovups %xmm0, (%rsi)\nmov (%rsi), %rax\nret")
ROW(vmovups, "vmovups (%rsi), %xmm0\nvmovq %xmm0, %rax\nret")
ROW(vaddps_rip, "vaddps 1f(%rip), %xmm0, %xmm0\nvmovq %xmm0, %rax\nret\n.p2align 4\n1: .quad 1, 2")
ROW(tls, "mov %fs:0, %rax\nsub %fs:0, %rax\nret")
// Refused.
ROW(int3, "int3\nret")
ROW(int80, "int $0x80\nret")
ROW(hlt, "hlt\nret")
ROW(iret, "iretq\nret")
ROW(in, "in %dx, %al\nret")
ROW(outs, "outsb\nret")
ROW(cli, "cli\nret")
ROW(int1, ".byte 0xf1\nret")
ROW(mov_ss, "mov %eax, %ss\nret")
ROW(lock, "lock incl (%rsi)\nret")
ROW(notrack, "notrack jmp *%rdx")
ROW(cs_nop, ".byte 0x2e, 0x0f, 0x1f, 0x00\nret")
ROW(branch_hint, ".byte 0x3e, 0x74, 0x00\nret")
ROW(short_call, ".byte 0x66, 0xe8\n.long 0\nret")
ROW(short_jcc, ".byte 0x66, 0x0f, 0x84\n.long 0\nret")
ROW(vmovdqu, "vmovdqu (%rsi), %xmm0\nret")
ROW(vpxor, "vpxor %xmm0, %xmm0, %xmm0\nret")
ROW(invalid, ".byte 0x06\nret")
// Taken, and hit more than once by each call.
ROW(rep_stos, "rep stosb\nmov $1, %eax\nret")
// Taken, and executed as something else.
ROW(vzeroupper, "vzeroupper\nvmovups %ymm0, (%rsi)\nret")
ROW(vpshufd, "vpshufd $0x10, %xmm0, %xmm0\n.fill 64, 1, 0x90\nvmovq %xmm0, %rax\nret")
ROW(vpcmpeqd, "vpcmpeqd %xmm0, %xmm0, %xmm0\nvmovq %xmm0, %rax\nret")
ROW(vpor, "vpor %xmm1, %xmm1, %xmm0\nvmovq %xmm0, %rax\nret")
ROW(vpsubsb, "vpsubsb %xmm1, %xmm0, %xmm0\nvmovq %xmm0, %rax\nret")
ROW(xchg_r8, "xchg %r8, %rax\nmov %r8, %rax\nmov $0, %r8d\nret")

struct row {
    const char *name;
    function code;
    enum { CALLED, ONLY_PROBED, WITH_AVX } how;
};
#define NAMED(name, how) extern long row_##name(long, long *);
#define LISTED(name, how) {"row_" #name, row_##name, how},
#define ROWS(X)                                                                                                        \
    X(push_rbx, CALLED) X(push_r12, CALLED) X(push_rsp, CALLED) X(jmp_short, CALLED) X(jmp_near, CALLED)               \
    X(jcc_short, CALLED) X(jcc_near, CALLED) X(call, CALLED) X(nop, CALLED) X(nop_short, CALLED) X(nop_4, CALLED)      \
    X(nop_odd, CALLED) X(mov_itself, CALLED) X(pause, CALLED) X(endbr64, CALLED) X(mov, CALLED) X(mov_rip, CALLED)     \
    X(lea_rip, CALLED) X(mov_rip_si, CALLED) X(sub_rsp, CALLED) X(xor, CALLED) X(push_imm, CALLED)                     \
    X(push_wide, CALLED) X(push_16, CALLED) X(ret, CALLED) X(jmp_reg, CALLED) X(call_mem, CALLED) X(jrcxz, CALLED)     \
    X(movabs, CALLED) X(rep_stos, CALLED) X(cpuid, CALLED) X(syscall, CALLED) X(movsd, CALLED) X(vxorps, WITH_AVX)     \
    X(vmovups, WITH_AVX) X(vaddps_rip, WITH_AVX) X(tls, CALLED) X(int3, ONLY_PROBED) X(int80, ONLY_PROBED)             \
    X(hlt, ONLY_PROBED) X(iret, ONLY_PROBED) X(in, ONLY_PROBED) X(outs, ONLY_PROBED) X(cli, ONLY_PROBED)               \
    X(int1, ONLY_PROBED) X(mov_ss, ONLY_PROBED) X(lock, ONLY_PROBED) X(notrack, ONLY_PROBED) X(cs_nop, ONLY_PROBED)    \
    X(branch_hint, ONLY_PROBED) X(short_call, ONLY_PROBED) X(short_jcc, ONLY_PROBED) X(vmovdqu, ONLY_PROBED)           \
    X(vpxor, ONLY_PROBED) X(invalid, ONLY_PROBED) X(vzeroupper, WITH_AVX) X(vpshufd, WITH_AVX) X(vpcmpeqd, WITH_AVX)   \
    X(vpor, WITH_AVX) X(vpsubsb, WITH_AVX) X(xchg_r8, CALLED)
ROWS(NAMED)
static const struct row rows[] = {ROWS(LISTED)};

extern char __executable_start;

static long has_avx;

static long target(void)
{
    return 41;
}

// Calls a function with all registers known that a row may read.
static long call(function code)
{
    long values[6] = {0x3ff0000000000000, (long)target, 3, 4, 5, 6};
    long result = 11, first = 5, second = (long)values, third = (long)target, fourth = 0, fifth = 17;
    static const long vector[] = {0x0102030405060708, 0x1112131415161718, 0x2122232425262728, 0x3132333435363738};
    register long r8 __asm__("r8") = fifth;
    register long r9 __asm__("r9") = 9;
    char buffer[16] = {0};

    if ((void *)code == (void *)row_rep_stos) {
        first = (long)buffer;
        fourth = 3;
    }
    if ((void *)code == (void *)row_syscall)
        result = SYS_getppid;
    __asm__ volatile("movups (%[vector]), %%xmm0\n\tmovups 16(%[vector]), %%xmm1\n\ttest %[avx], %[avx]\n\tjz 1f\n\t"
                     "vmovups (%[vector]), %%ymm0\n1:\tsub $128, %%rsp\n\tcmp %%rax, %%rax\n\t"
                     "call *%[code]\n\tlea 128(%%rsp), %%rsp"
                     : "+a"(result), "+D"(first), "+S"(second), "+d"(third), "+c"(fourth), "+r"(r8), "+r"(r9)
                     : [code] "b"(code), [vector] "r"(vector), [avx] "r"(has_avx)
                     : "r10", "r11", "xmm0", "xmm1", "memory", "cc");
    return result + buffer[2] + values[0] % 1000 + values[2] % 1000;
}

static int probe(function code)
{
    struct perf_event_attr attr = {.size = sizeof(attr)};
    FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
    unsigned type = 0;
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (!file || fscanf(file, "%u", &type) != 1 || length < 0)
        exit(2);
    fclose(file);
    path[length] = 0;
    attr.type = type;
    attr.config1 = (uint64_t)path;
    attr.config2 = (uint64_t)((char *)code - &__executable_start);
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static int fares(const struct row *row)
{
    long expected = call(row->code);
    int event = probe(row->code);
    uint64_t hits = 0;

    if (event < 0)
        return 10;
    for (int i = 0; i < 3; i++)
        if (call(row->code) != expected)
            return 11;
    return read(event, &hits, sizeof(hits)) == sizeof(hits) && hits == 3 ? 0 : 11;
}

static void ask(const struct row *row)
{
    int event = probe(row->code), error = errno, status = 0;

    if (event < 0) {
        printf("%s refused %d\n", row->name, error);
        return;
    }
    close(event);
    if (row->how == ONLY_PROBED || (row->how == WITH_AVX && !has_avx)) {
        printf("%s taken uncalled\n", row->name);
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(fares(row));
    }
    waitpid(child, &status, 0);
    const char *how = !WIFEXITED(status) ? "crashed" : WEXITSTATUS(status) == 0 ? "right" : "wrong";
    printf("%s taken %s\n", row->name, how);
}

static void measure(const struct row *row, long count)
{
    struct timespec start, end;
    int event = probe(row->code), status;

    if (event < 0 || row->how == ONLY_PROBED || (row->how == WITH_AVX && !has_avx))
        return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int own = probe(row->code);
        if (own < 0)
            _exit(1);
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (long i = 0; i < count; i++)
            call(row->code);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double time = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
        printf("%s %.0f\n", row->name, time / (double)count);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
    close(event);
}

int main(int argc, char **argv)
{
    has_avx = __builtin_cpu_supports("avx") != 0;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (argc > 1)
            measure(&rows[i], atol(argv[1]));
        else
            ask(&rows[i]);
    }
    return 0;
}
