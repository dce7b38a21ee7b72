// Functions with all sorts of prologues. For each line that says a number it calls each of them as many times, with arguments
// that are different for each call, and says `done`; at the start it says where `plain` is, and `ready`.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __clang__
#define OWN __attribute__((noinline))
#else
// GCC would also keep values in registers that it sees a callee leave alone.
#define OWN __attribute__((noipa))
#endif

volatile long total;

// A call keeps values in registers that must be saved.
OWN long leaf(long a)
{
    total += a;
    return a + 1;
}

OWN long plain(long a, long b, long c, long d, long e, long f)
{
    long sum = leaf(a);
    sum += leaf(b) * 2;
    sum += leaf(c) * 3;
    return sum + leaf(d) * 4 + leaf(e) * 5 + leaf(f) * 6;
}

// Its first instruction is a load from the file's own data.
OWN long loads(long a, long b)
{
    long before = total;
    long sum = leaf(a) + leaf(b);
    return sum + (before == -1);
}

// No register is saved: the stack pointer is moved first.
OWN long frame(long a, long b)
{
    volatile long values[9];

    values[a & 7] = b;
    if (a & 1)
        return values[a & 7] + a;
    return leaf(values[a & 7]);
}

OWN long variadic(long count, ...)
{
    va_list list;
    long sum = 0;

    va_start(list, count);
    for (long i = 0; i < (count & 7); i++)
        sum += leaf(va_arg(list, long));
    va_end(list);
    return sum;
}

OWN long on_stack(long a, long b, long c, long d, long e, long f, long g, long h)
{
    long sum = leaf(a) + leaf(b) + leaf(c) + leaf(d);
    return sum + leaf(e) + leaf(f) + leaf(g) + leaf(h);
}

OWN double floating(double a, long b, double c)
{
    long sum = leaf(b);
    return a + c + (double)sum + (double)leaf((long)a);
}

// The loop may begin right behind the entry.
OWN long loops(long a, long b)
{
    while (a > 0) {
        total += b;
        a -= 3;
    }
    return a + b;
}

OWN long switches(long a, long b)
{
    switch (a & 7) {
    case 0: return leaf(b);
    case 1: return leaf(b + 1) * 2;
    case 2: return b * 7;
    case 3: return leaf(b * 3) + leaf(a);
    case 4: return b - a;
    case 5: total += a; return b;
    case 6: return leaf(a) - b;
    default: return leaf(a) ^ b;
    }
}

OWN long tail(long a, long b)
{
    return leaf(a + b);
}

long asm_branched(long, long), asm_moves(long, long), asm_frame(long, long), asm_refused(long, long), asm_vector(long, long);
__asm__(".text\n"
        // The instruction that would be the site is the head of a loop.
        ".p2align 4\n.globl asm_branched\n.type asm_branched, @function\nasm_branched:\n"
        "endbr64\n1: cmp $0, %rdi\n2: jle 3f\ndec %rdi\ncmp $0, %rdi\njmp 2b\n3: mov %rsi, %rax\nret\n"
        ".size asm_branched, . - asm_branched\n"
        ".p2align 4\n.globl asm_moves\n.type asm_moves, @function\nasm_moves:\n"
        "mov $7, %eax\nlea 1(%rdi), %r11\npush %rbx\nmov %rsi, %rbx\nadd %r11, %rbx\nmov %rbx, %rax\npop %rbx\nret\n"
        ".size asm_moves, . - asm_moves\n"
        ".p2align 4\n.globl asm_frame\n.type asm_frame, @function\nasm_frame:\n"
        "endbr64\nsub $40, %rsp\ntest $1, %dil\njne 1f\nlea (%rdi,%rsi), %rax\nadd $40, %rsp\nret\n"
        "1: lea 3(%rdi,%rsi), %rax\nadd $40, %rsp\nret\n"
        ".size asm_frame, . - asm_frame\n"
        ".p2align 4\n.globl asm_refused\n.type asm_refused, @function\nasm_refused:\n"
        "lock incq total(%rip)\nmov %rdi, %rax\nret\n"
        ".size asm_refused, . - asm_refused\n"
        ".p2align 4\n.globl asm_vector\n.type asm_vector, @function\nasm_vector:\n"
        "vzeroupper\nmov %rdi, %rax\nret\n"
        ".size asm_vector, . - asm_vector\n");

// The first argument of each is different, and tells which function and which call it is.
static void call_all(long round)
{
    long n = 100 * round;

    plain(n, 1000002, 3, 4, 5, -6);
    loads(n + 1, 12);
    frame(n + 2, 22);
    frame(n + 3, 23);
    variadic(n + 4, 31L, 32L, 33L, 34L, 35L, 36L, 37L, 38L);
    on_stack(n + 5, 2, 3, 4, 5, 6, 70 + round, 80);
    floating(1.5, n + 6, 2.5);
    loops(n + 7, 8);
    for (long i = 0; i < 8; i++)
        switches(n + 10 + i, i);
    tail(n + 20, 21);
    asm_branched(n + 30, 31);
    asm_moves(n + 31, 32);
    asm_frame(n + 32, 33);
    asm_frame(n + 33, 34);
}

int main(void)
{
    char line[64];
    long round = 1;

    printf("plain %p\nready\n", (void *)plain);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        for (long last = round + atol(line); round < last; round++)
            call_all(round);
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
